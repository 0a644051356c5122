"""KITTI object labels: a text file per image with 15 columns a line, 16 with a score.

Geiger, Lenz and Urtasun, "Are we ready for Autonomous Driving?", CVPR 2012; development kit of the
object benchmark. An empty file is an image without objects. Columns: type, truncated (0–1),
occluded (0–3), alpha, left, top, right, bottom, height, width, length (m), x, y, z (m), rotation_y.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from components.core import files
from components.core.errors import InputError
from components.core.formats import boxes
from components.core.formats.image_files import ImageFiles
from components.core.formats.reading import Placed, Reading, short, text_of
from components.core.formats.shapes import AnnotatedImage, Annotations, Fault, Kind, Shape, part_of

COLUMNS = 15
UNSET = {
    "truncated": "0",
    "occluded": "0",
    "alpha": "-10",
    "height": "-1",
    "width": "-1",
    "length": "-1",
    "x": "-1000",
    "y": "-1000",
    "z": "-1000",
    "rotation_y": "-10",
}
"""Column → what stands for not known, as in KITTI's own `DontCare` lines."""

PLACES = dict(zip(UNSET, (1, 2, 3, 8, 9, 10, 11, 12, 13, 14), strict=True))
IMAGE_FOLDERS = {"label_2": "image_2", "labels": "images", "label": "image"}
"""Folder of labels → that of their images."""

LABEL_FOLDERS = tuple(IMAGE_FOLDERS)
ALL_LABELLED = "training"
"""Folder of everything that has labels in KITTI's own layout: no part in our sense."""

PARTIALLY, LARGELY = "1", "2"


class LineError(ValueError):
    """A line that is no label."""

    def __init__(self, fault: Fault, what: str) -> None:
        """`fault`: its kind; `what`: what is wrong, for people."""
        super().__init__(what)
        self.fault = fault


def read(source: Path, images: Path | None = None) -> Annotations:
    """Reads KITTI labels; classes, `DontCare` among them, are sorted by name.

    Args:
        source: folder with label files, or one that holds folders `label_2` or `labels`.
        images: folder in which the images are looked for; by default `source`, or the folder above
            where `source` is itself called `label_2` or `labels`.

    Raises:
        InputError: there is no label file.
    """
    paths = label_files(source)
    if not paths:
        raise InputError(
            f"{source} holds no label files *.txt, and no folder {' or '.join(LABEL_FOLDERS)} with "
            "such files"
        )
    folder = source.parent if source.name in LABEL_FOLDERS else source
    found = Reading(ImageFiles(images or folder))
    for path in paths:
        _read_file(path, path.relative_to(folder), found)
    return found.finished()


def write(folder: Path, images: Sequence[AnnotatedImage], labels: str = "labels") -> None:
    """Writes `<labels>/<name>.txt` for every image; shapes are written as their boxes.

    The 3D columns and truncation come from attributes of their names. Images are not copied.

    Raises:
        InputError: classes with blanks, which the format cannot hold, shapes without a box, or two
            images of one name.
    """
    names = {shape.label for image in images for shape in image.shapes}
    if wrong := sorted(name for name in names if not name or any(c.isspace() for c in name)):
        raise InputError(
            f"KITTI cannot hold the classes {', '.join(map(repr, wrong))}: rename them, "
            "without blanks"
        )
    stems: dict[str, str] = {}
    for image in images:
        stem = str(PurePosixPath(image.name).with_suffix(""))
        if stem in stems:
            raise InputError(
                f"{stems[stem]!r} and {image.name!r} would both be {stem}.txt: rename one"
            )
        stems[stem] = image.name
    for stem, image in zip(stems, images, strict=True):
        files.write_text(folder / labels / f"{stem}.txt", text(image))


def text(image: AnnotatedImage) -> str:
    """The label file of an image; empty without shapes.

    Raises:
        InputError: a shape without a box.
    """
    lines = [_line(shape, image) for shape in image.shapes]
    return "".join(f"{line}\n" for line in lines if line)


def label_files(source: Path) -> list[Path]:
    """The label files of a folder, or of its folders that are called as those of labels."""
    folders = [place for name in LABEL_FOLDERS for place in sorted(source.rglob(name))]
    if source.name in LABEL_FOLDERS or not folders:
        folders = [source]
    found = {path for place in folders if place.is_dir() for path in place.rglob("*.[tT][xX][tT]")}
    return sorted(path for path in found if path.is_file())


def parsed(line: str) -> Shape:
    """The object of a line that is not empty; its 16th column is a score.

    Raises:
        LineError: another number of columns, or one that is no number.
    """
    values = line.split()
    if len(values) not in (COLUMNS, COLUMNS + 1):
        what = f"{len(values)} columns instead of {COLUMNS}, or {COLUMNS + 1} with a score"
        raise LineError(Fault.TOO_FEW, what)
    try:
        numbers = [float(value) for value in values[1:]]
    except ValueError as error:
        raise LineError(Fault.NUMBER, str(error)) from None
    attributes = {name: values[place] for name, place in PLACES.items()}
    return Shape(
        values[0],
        Kind.RECTANGLE,
        tuple(numbers[3:7]),
        occluded=attributes["occluded"] in (PARTIALLY, LARGELY),
        score=numbers[COLUMNS - 1] if len(values) > COLUMNS else None,
        attributes={
            name: value for name, value in attributes.items() if float(value) != float(UNSET[name])
        },
    )


def image_file(place: Path, files: ImageFiles) -> Path | None:
    """The image of a label file: `image_2` for `label_2`, `images` for `labels`, or any other.

    Args:
        place: of the label file, below the folder of the images.
        files: of that folder.
    """
    parts = place.with_suffix("").parts
    return files.find("/".join(IMAGE_FOLDERS.get(name, name) for name in parts)) or files.find(
        "/".join(name for name in parts if name not in IMAGE_FOLDERS)
    )


def part_in(folders: Sequence[str]) -> str:
    """The part that the innermost of some nested folders names, or ''."""
    named = (part_of(name) for name in reversed(folders) if name != ALL_LABELLED)
    return next((part for part in named if part), "")


def _read_file(path: Path, place: Path, found: Reading) -> None:
    try:
        lines = text_of(path).splitlines()
    except InputError as error:
        found.problem(Fault.UNREADABLE, path, "", str(error))
        return
    parts = [name for name in place.parent.parts if name not in LABEL_FOLDERS]
    file = image_file(place, found.files) if found.files else None
    name = "/".join([*parts, f"{path.stem}{file.suffix if file else '.png'}"])
    image = AnnotatedImage(name, part=part_in(parts), task="/".join(parts), path=file)
    found.add(image, _shapes(lines, path, found), path)


def _shapes(lines: Sequence[str], path: Path, found: Reading) -> list[Placed]:
    shapes: list[Placed] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            shapes.append((where, parsed(line)))
        except LineError as error:
            found.problem(error.fault, path, where, f"{error}: left out")
            shapes.append((where, None))
    return shapes


def _line(shape: Shape, image: AnnotatedImage) -> str:
    inside = boxes.box_on(shape, image)
    if inside is None:
        return ""
    known = UNSET | {"occluded": PARTIALLY if shape.occluded else UNSET["occluded"]}
    given = {name: _number(shape.attributes.get(name, "")) for name in UNSET}
    known |= {name: value for name, value in given.items() if value}
    values = [shape.label, *[known[name] for name in ("truncated", "occluded", "alpha")]]
    values += [short(number) for number in inside]
    values += [known[name] for name in list(UNSET)[3:]]
    return " ".join(values + ([] if shape.score is None else [short(shape.score)]))


def _number(value: str) -> str:
    """The text of an attribute where it is a number, or yes or no; else ''."""
    plain = {"true": "1", "false": "0"}.get(value.strip().lower(), value.strip())
    try:
        return plain if math.isfinite(float(plain)) else ""
    except ValueError:
        return ""
