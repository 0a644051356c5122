"""The YAML of the Crop/Weed Field Image Dataset, one file per image: read.

Haug and Ostermann, "A Crop/Weed Field Image Dataset for the Evaluation of Computer Vision Based
Precision Agriculture Tasks", ECCV 2014 Workshops. `filename` names the image; every entry of
`annotation` has a `type` and `points`, whose `x` and `y` are the pixels of an outline.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components.core.errors import InputError
from components.core.formats.image_files import ImageFiles, folder_of, normal_name
from components.core.formats.reading import Placed, Reading, text_of
from components.core.formats.shapes import AnnotatedImage, Annotations, Fault, Kind, Shape

ENDINGS = (".yaml", ".yml")

LABELS = "annotations"
"""Folder that only holds annotations; the images are beside it."""


def read(source: Path, images: Path | None = None) -> Annotations:
    """Reads outlines of plants as polygons; classes are sorted by name.

    Args:
        source: folder with files `*.yaml`, at any depth; a file is that one alone.
        images: folder in which the images are looked for; by default that of `source`, or the one
            above a folder `annotations`.

    Raises:
        InputError: there is no such file.
    """
    paths = yaml_files(source)
    if not paths or not paths[0].is_file():
        raise InputError(f"{source} is no YAML file and no folder with files *.yaml")
    folder = source if source.is_dir() else source.parent
    folder = folder.parent if folder.name == LABELS else folder
    found = Reading(ImageFiles(images or folder))
    for path in paths:
        _read_file(path, found)
    return found.finished(told_unused=source.is_dir())


def yaml_files(source: Path) -> list[Path]:
    """A file itself; of a folder those that end in `.yaml` or `.yml`, sorted."""
    if not source.is_dir():
        return [source]
    return sorted(path for path in source.rglob("*") if path.suffix.lower() in ENDINGS)


def content_of(path: Path) -> Mapping[str, Any]:
    """What a file holds.

    Raises:
        InputError: no such YAML.
    """
    try:
        content = yaml.safe_load(text_of(path))
    except yaml.YAMLError as error:
        raise InputError(f"no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(content.get("filename"), str):
        raise InputError("does not name its image: expected filename and annotation")
    if not isinstance(content.get("annotation") or [], list):
        raise InputError("annotation is no list")
    return content


def _read_file(path: Path, found: Reading) -> None:
    try:
        content = content_of(path)
    except InputError as error:
        found.problem(Fault.UNREADABLE, path, "", str(error))
        return
    name = normal_name(content["filename"])
    shapes: list[Placed] = []
    for number, entry in enumerate(content.get("annotation") or []):
        where = f"annotation[{number}]"
        try:
            shapes.append((where, _shape(entry)))
        except (TypeError, ValueError, KeyError) as error:
            found.problem(Fault.UNREADABLE, path, where, f"damaged, left out: {error!r}")
            shapes.append((where, None))
    found.add(AnnotatedImage(name, task=folder_of(name)), shapes, path)


def _shape(entry: Any) -> Shape:
    """An outline; a single point, of which numbers are given instead of lists, is one without area.

    Raises:
        KeyError, TypeError, ValueError: damaged.
    """
    sides = [entry["points"][side] for side in ("x", "y")]
    across, down = (side if isinstance(side, list) else [side] for side in sides)
    pairs = zip(across, down, strict=True)
    points = tuple(float(number) for pair in pairs for number in pair)
    if not isinstance(entry["type"], str):
        raise TypeError(f"type {entry['type']!r} is no text")
    return Shape(entry["type"], Kind.POLYGON, points)
