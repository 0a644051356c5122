"""YOLO text labels: a file per image, `class x y width height` a line, in parts of the image.

Read: Ultralytics' layout (data.yaml, images/…, labels/…), Darknet's and CVAT's (obj.names,
obj_train_data/…), and files beside their images with classes.txt. A sixth number is a score; with
more, the line is an outline `class x1 y1 x2 y2 …`. An image without a label file has no objects.
https://docs.ultralytics.com/datasets/detect/
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import yaml

from components.core import files
from components.core.errors import InputError
from components.core.formats import boxes
from components.core.formats.image_files import ImageFiles, folder_of, image_size
from components.core.formats.reading import Placed, Reading, short, text_of
from components.core.formats.shapes import AnnotatedImage, Annotations, Fault, Kind, Shape, part_of
from components.core.formats.yolo_config import YoloConfig, read_config

DIGITS = 10
"""Decimals of written numbers: enough to get pixels back exactly."""

NO_LABELS = ("readme", "license", "classes", "labels", "train", "val", "test", "valid", "notes")
"""Names of text files that are something else, unless they lie in a folder `labels`."""


def read(source: Path, images: Path | None = None, classes: Sequence[str] = ()) -> Annotations:
    """Reads YOLO labels.

    Args:
        source: folder of the data set, or its YAML file.
        images: folder in which the images are looked for; by default that of the data set.
        classes: names in the order of their numbers; by default from the YAML file, `classes.txt`
            or `*.names`.

    Raises:
        InputError: no such folder, no class names, or a damaged YAML file.
    """
    config = read_config(source, classes)
    found = Reading(ImageFiles(images or config.folder), config.classes)
    for what in config.problems:
        found.problem(Fault.UNREADABLE, config.file, "", what)
    assert found.files is not None
    texts = set(config.folder.rglob("*.txt")) - config.others
    for name in found.files.names:
        path = found.files.find(name)
        assert path is not None
        label = next((place for place in _label_files(name, config.folder) if place in texts), None)
        texts.discard(label or config.folder)
        _read_image(path, name, label, config, found)
    for path in sorted(texts):
        _read_orphan(path, config, found)
    return found.finished(told_unused=False)


def write(
    folder: Path,
    images: Sequence[AnnotatedImage],
    classes: Sequence[str],
    outlines: bool = False,
) -> None:
    """Writes `labels/<name>.txt`, a list `<part>.txt` of each part, and data.yaml.

    Shapes are written as their boxes; with `outlines`, polygons as such. Images are not copied:
    they belong into `images/<name>`.

    Raises:
        InputError: shapes of other classes or without a box, images of unknown size, or two of one
            label file.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    texts: dict[str, str] = {}
    problems = []
    for image in images:
        stem = str(PurePosixPath(image.name).with_suffix(""))
        if stem in texts:
            problems.append(f"{image.name!r} would be labels/{stem}.txt as another image is")
        if not image.width or not image.height:
            problems.append(f"the size of {image.name!r} is not known")
        others = {shape.label for shape in image.shapes if shape.kind is not Kind.TAG}
        problems += [
            f"{image.name!r} has the class {label!r}, which is not among {', '.join(classes)}"
            for label in sorted(others - set(numbers))
        ]
        if not problems:
            lines = [_line(shape, image, numbers, outlines) for shape in image.shapes]
            texts[stem] = "".join(f"{line}\n" for line in lines if line)
    if problems:
        raise InputError("cannot be written as YOLO:\n" + "\n".join(f"  - {p}" for p in problems))
    for stem, text in texts.items():
        files.write_text(folder / "labels" / f"{stem}.txt", text)
    config: dict[str, object] = {"path": ".", "names": list(classes), "nc": len(classes)}
    for part in sorted({image.part for image in images if image.part}):
        names = [image.name for image in images if image.part == part]
        files.write_text(folder / f"{part}.txt", "".join(f"./images/{name}\n" for name in names))
        config[part] = f"{part}.txt"
    files.write_text(folder / "data.yaml", yaml.safe_dump(config, sort_keys=False))


def _label_files(name: str, folder: Path) -> list[Path]:
    """Where the labels of an image may lie."""
    path = PurePosixPath(name).with_suffix(".txt")
    parts = list(path.parts)
    places = [str(path), f"labels/{path}", f"labels/{path.name}", path.name]
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[:-1][::-1].index("images")
        places.insert(0, "/".join([*parts[:last], "labels", *parts[last + 1 :]]))
    return [folder / place for place in places]


def _read_image(
    path: Path, name: str, label: Path | None, config: YoloConfig, found: Reading
) -> None:
    parts = PurePosixPath(name).parts
    short_name = "/".join([*(part for part in parts[:-1] if part != "images"), parts[-1]])
    by_folder = next((part_of(p) for p in reversed(parts[:-1]) if part_of(p)), "")
    image = AnnotatedImage(
        short_name, path=path, task=folder_of(short_name), part=config.part(path) or by_folder
    )
    shapes: list[Placed] = []
    if label is None:
        what = "has no label file: taken as an image without objects"
        found.problem(Fault.NO_ENTRY, path, "", what)
    else:
        try:
            size = image_size(path)
        except InputError as error:
            found.problem(Fault.UNREADABLE, path, "", f"{error}: its labels are left out")
            return
        shapes = _shapes(label, size, config, found)
    found.add(image, shapes, label or path)


def _read_orphan(path: Path, config: YoloConfig, found: Reading) -> None:
    """A text file that belongs to no image: labels, or something else."""
    is_label = "labels" in path.relative_to(config.folder).parts[:-1]
    if not is_label and path.stem.lower() in NO_LABELS:
        return
    what = "there is no image of this name: its labels are left out"
    found.problem(Fault.MISSING_IMAGE, path, "", what)


def _shapes(path: Path, size: tuple[int, int], config: YoloConfig, found: Reading) -> list[Placed]:
    try:
        lines = text_of(path).splitlines()
    except InputError as error:
        found.problem(Fault.UNREADABLE, path, "", str(error))
        return [("", None)]
    shapes: list[Placed] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            values = [float(value) for value in line.split()]
        except ValueError as error:
            found.problem(Fault.NUMBER, path, where, f"{error}: left out")
            shapes.append((where, None))
            continue
        if config.keypoints and len(values) > 5:
            found.problem(Fault.LEFT_OUT, path, where, "keypoints are not read, their box is")
            values = values[:5]
        if len(values) < 5 or (len(values) > 6 and len(values) % 2 == 0):
            what = f"{len(values)} numbers; expected 5, 6 with a score, or a class and pairs x y"
            found.problem(Fault.TOO_FEW, path, where, f"{what}: left out")
            shapes.append((where, None))
        elif values[0] not in range(len(config.classes)):
            what = f"class {line.split()[0]} is not one of the {len(config.classes)} classes"
            found.problem(Fault.UNKNOWN_CLASS, path, where, f"{what}, from 0: left out")
            shapes.append((where, None))
        else:
            shapes.append((where, _shape(config.classes[int(values[0])], values[1:], size)))
    return shapes


def _shape(label: str, values: Sequence[float], size: tuple[int, int]) -> Shape:
    width, height = size
    if len(values) > 5:
        points = [value * size[place % 2] for place, value in enumerate(values)]
        return Shape(label, Kind.POLYGON, tuple(round(n, boxes.DECIMALS) for n in points))
    x, y, across, down = values[:4]
    points = [
        (x - across / 2) * width,
        (y - down / 2) * height,
        (x + across / 2) * width,
        (y + down / 2) * height,
    ]
    score = values[4] if len(values) == 5 else None
    numbers = tuple(round(number, boxes.DECIMALS) for number in points)
    return Shape(label, Kind.RECTANGLE, numbers, score=score)


def _line(shape: Shape, image: AnnotatedImage, numbers: dict[str, int], outlines: bool) -> str:
    inside = boxes.box_on(shape, image)
    if inside is None:
        return ""
    size = image.width, image.height
    if outlines and shape.kind is Kind.POLYGON:
        values = [number / size[place % 2] for place, number in enumerate(shape.points)]
        values = [min(max(value, 0.0), 1.0) for value in values]
    else:
        left, top, right, bottom = inside
        values = [
            (left + right) / 2 / image.width,
            (top + bottom) / 2 / image.height,
            (right - left) / image.width,
            (bottom - top) / image.height,
        ]
        values += [] if shape.score is None else [shape.score]
    return " ".join([str(numbers[shape.label]), *(short(value, DIGITS) for value in values)])
