"""Pascal VOC XML, one file per image: read and written.

Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010. The original data count
pixels from 1 and include the last one; the tools in use today (LabelImg, CVAT, Roboflow) write
coordinates from 0 as they are drawn. The latter is the default, `one_based` the former.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from components.core import files
from components.core.errors import InputError
from components.core.formats import boxes, xml_elements
from components.core.formats.image_files import EXTENSIONS, ImageFiles, folder_of, normal_name
from components.core.formats.reading import Placed, Reading, short, text_of
from components.core.formats.shapes import AnnotatedImage, Annotations, Fault, Kind, Shape
from components.core.formats.xml_elements import Element

ANNOTATIONS = "Annotations"
"""Folder of the XML files in the challenge's own layout; the images are beside it."""

SETS = "ImageSets/Main"
"""Folder with train.txt, val.txt and test.txt: names of images without extension."""

SIDES = ("xmin", "ymin", "xmax", "ymax")
UNSET = {"pose": "Unspecified", "truncated": "0", "difficult": "0"}
"""Element → what every object has where nothing else is known."""

_SKIPPED = ("name", "bndbox", "robndbox", "occluded", "attributes", "part", "score")


def read(source: Path, images: Path | None = None, one_based: bool = False) -> Annotations:
    """Reads all Pascal VOC files of a folder; classes are sorted by name.

    The image of a file is the one beside it, where its folder holds images; other folders are
    looked into only where it holds none.

    Args:
        source: folder with files `*.xml`, at any depth; a file is that one alone.
        images: folder in which the images are looked for; by default `source` (of a file, that
            folder or the one above).
        one_based: pixels are counted from 1 and the last one is part of the box.

    Raises:
        InputError: there is no such file.
    """
    paths = sorted(source.rglob("*.xml")) if source.is_dir() else [source]
    if not paths or not paths[0].is_file():
        raise InputError(f"{source} is no Pascal VOC file and no folder with files *.xml")
    found = Reading(ImageFiles(images or (source if source.is_dir() else source.parent)))
    parts = _parts(source, found) if source.is_dir() else {}
    nearby = {path: _nearby(path, source) for path in paths}
    assert found.files is not None
    stems_there = {str(PurePosixPath(name).with_suffix("")) for name in found.files.names}

    def alone(path: Path) -> bool:
        return f"{nearby[path]}/{path.stem}".lstrip("/") not in stems_there

    # Files beside their images first: no other one may take these from them.
    for path in sorted(paths, key=alone):
        _read_file(path, nearby[path], parts, one_based, found)
    stems = {path.stem for path in paths}
    for name, (part, file) in parts.items():
        if PurePosixPath(name).name not in stems:
            what = f"image {name!r} of the part {part} has no XML file"
            found.problem(Fault.MISSING_IMAGE, file, "", what)
    return found.finished(told_unused=source.is_dir())


def write(folder: Path, images: Sequence[AnnotatedImage], one_based: bool = False) -> None:
    """Writes `Annotations/<name>.xml` and, where images have parts, `ImageSets/Main/<part>.txt`.

    Shapes are written as their boxes. Images are not copied.

    Raises:
        InputError: two images whose names only differ in folder or extension, or a shape without a
            box.
    """
    stems: dict[str, str] = {}
    for image in images:
        stem = PurePosixPath(image.name).stem
        if stem in stems:
            raise InputError(
                f"{stems[stem]!r} and {image.name!r} would both be Annotations/{stem}.xml: "
                "rename one, or write another format"
            )
        stems[stem] = image.name
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    for image in images:
        stem = PurePosixPath(image.name).stem
        content = xml_elements.text(_document(image, one_based))
        files.write_text(folder / "Annotations" / f"{stem}.xml", content)
    for part in sorted({image.part for image in images if image.part}):
        own = [PurePosixPath(image.name).stem for image in images if image.part == part]
        (folder / SETS).mkdir(parents=True, exist_ok=True)
        files.write_text(folder / SETS / f"{part}.txt", "".join(f"{stem}\n" for stem in own))


def _parts(folder: Path, found: Reading) -> dict[str, tuple[str, Path]]:
    """Name without extension → part, and the file that says so."""
    parts: dict[str, tuple[str, Path]] = {}
    for part in ("train", "val", "test"):
        path = folder / SETS / f"{part}.txt"
        if not path.is_file():
            continue
        try:
            lines = text_of(path).splitlines()
        except InputError as error:
            found.problem(Fault.UNREADABLE, path, "", str(error))
            continue
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            name = line.split()[0]
            if name in parts and parts[name][0] != part:
                what = f"{name!r} is also in the part {parts[name][0]}, which is kept"
                found.problem(Fault.DUPLICATE, path, f"line {number}", what)
                continue
            parts[name] = part, path
    return parts


def _nearby(path: Path, source: Path) -> str:
    """The folder, below that of the images, where the image of a file is looked for first."""
    folders = path.parent.relative_to(source).parts if source.is_dir() else ()
    return "/".join(name for name in folders if name != ANNOTATIONS)


def _read_file(
    path: Path,
    nearby: str,
    parts: Mapping[str, tuple[str, Path]],
    one_based: bool,
    found: Reading,
) -> None:
    try:
        root = xml_elements.parse(path)
    except InputError as error:
        found.problem(Fault.UNREADABLE, path, "", str(error).removeprefix(f"{path}: "))
        return
    if root.tag != "annotation":
        found.problem(Fault.UNREADABLE, path, "", f"the root is <{root.tag}>, not <annotation>")
        return
    sides = []
    for side in ("width", "height"):
        text = root.value(f"size/{side}", "0")
        if not text.isdecimal():
            what = f"{side} {text!r} is no whole number: taken from the image"
            found.problem(Fault.NUMBER, path, "<size>", what)
        sides.append(int(text) if text.isdecimal() else 0)
    name, file = _name(path, nearby, root, found)
    part = parts.get(path.stem, ("", path))[0]
    image = AnnotatedImage(name, sides[0], sides[1], path=file, part=part, task=folder_of(name))
    shapes: list[Placed] = []
    for element in root.all("object"):
        where = f"line {element.line}, <object>"
        try:
            shapes.append((where, _shape(element, one_based)))
        except ValueError as error:
            found.problem(Fault.NUMBER, path, where, f"{error}: left out")
            shapes.append((where, None))
        if element.all("part"):
            found.problem(Fault.LEFT_OUT, path, where, "its <part> elements are not read")
    found.add(image, shapes, path)


def _name(path: Path, nearby: str, root: Element, found: Reading) -> tuple[str, Path | None]:
    """Name and file of the image: the one beside, or as the file is called, or as it says."""
    assert found.files is not None
    said = normal_name(root.value("filename"))
    below = f"{nearby}/" if nearby else ""
    plain = f"{path.stem}{PurePosixPath(said).suffix}", path.stem, said
    wanted = [f"{below}{name}" for name in plain if name]
    if not found.files.is_folder(nearby):
        wanted += plain
    elif folder_of(said):
        wanted.append(said)
    for candidate in dict.fromkeys(wanted):
        if candidate and (file := found.files.find(candidate)):
            if PurePosixPath(said).stem != path.stem:
                what = f"says that its image is {said!r}" if said else "names no image"
                found.problem(Fault.NAME, path, "<filename>", f"{what}; {file.name} is taken")
            return _shortened(file.relative_to(found.files.folder).as_posix()), file
    known = PurePosixPath(said).suffix.lower() in EXTENSIONS
    name = said if known else f"{path.stem}.jpg"
    return (name if folder_of(name) else f"{below}{name}"), None


def _shortened(name: str) -> str:
    """The name without the folder that every VOC data set has."""
    for folder in ("JPEGImages/", "images/"):
        name = name.removeprefix(folder)
    return name


def _shape(element: Element, one_based: bool) -> Shape:
    simple = {
        child.tag: (child.text or "").strip()
        for child in element.all("*")
        if child.tag not in _SKIPPED and not len(child)
    }
    named = {
        attribute.value("name"): attribute.value("value")
        for attribute in element.all("attributes/attribute")
    }
    actions = {child.tag: (child.text or "").strip() for child in element.all("actions/*")}
    shape = Shape(
        element.value("name"),
        Kind.RECTANGLE,
        occluded=element.value("occluded") == "1",
        attributes={**simple, **actions, **named},
        score=_number(element, "score") if element.value("score") else None,
    )
    if element.find("robndbox") is not None:
        return _turned(element, shape)
    given = [f"bndbox/{side}" for side in SIDES if element.value(f"bndbox/{side}")]
    points = tuple(_number(element, path) for path in given)
    if one_based and len(points) == 4:
        points = points[0] - 1, points[1] - 1, points[2], points[3]
    return replace(shape, points=points)


def _turned(element: Element, shape: Shape) -> Shape:
    """roLabelImg's box: centre, size, and angle in radians clockwise."""
    x, y, width, height, angle = (
        _number(element, f"robndbox/{name}") for name in ("cx", "cy", "w", "h", "angle")
    )
    rotation = round(math.degrees(angle), boxes.DECIMALS) % 360
    points = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return replace(
        shape, kind=Kind.ROTATED if rotation else Kind.RECTANGLE, points=points, rotation=rotation
    )


def _number(element: Element, path: str) -> float:
    text = element.value(path)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{path} {text!r} is no number") from None


def _document(image: AnnotatedImage, one_based: bool) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    path = PurePosixPath(image.name)
    _add(root, {"folder": str(path.parent) if path.parent.name else "", "filename": path.name})
    size = ElementTree.SubElement(root, "size")
    _add(size, {"width": image.width, "height": image.height, "depth": 3})
    _add(root, {"segmented": 0})
    for shape in image.shapes:
        inside = boxes.box_on(shape, image)
        if inside is None:
            continue
        known = UNSET | shape.attributes
        child = ElementTree.SubElement(root, "object")
        _add(child, {"name": shape.label, **{key: known.pop(key) for key in UNSET}})
        _add(child, {"occluded": int(shape.occluded)})
        if shape.score is not None:
            _add(child, {"score": short(shape.score)})
        shift = 1 if one_based else 0
        numbers = (inside[0] + shift, inside[1] + shift, inside[2], inside[3])
        place = ElementTree.SubElement(child, "bndbox")
        _add(place, {side: short(value) for side, value in zip(SIDES, numbers, strict=True)})
        if known:
            listed = ElementTree.SubElement(child, "attributes")
            for key, value in known.items():
                entry = ElementTree.SubElement(listed, "attribute")
                _add(entry, {"name": key, "value": value})
    return root


def _add(parent: ElementTree.Element, content: Mapping[str, Any]) -> None:
    for tag, value in content.items():
        ElementTree.SubElement(parent, tag).text = str(value)
