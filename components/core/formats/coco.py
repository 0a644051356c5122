"""COCO JSON of object detection: read and written, one file or a folder with one per part.

https://cocodataset.org/#format-data. What COCO has no word for is kept under keys of our own, which
other tools pass over: `task`, `group`, `frame`, `part`, `source_id`, `checksum` and `tags` of an
image, `shape`, `occluded`, `source`, `attributes`, `score` … of an annotation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.core import files
from components.core.errors import InputError
from components.core.formats.coco_records import Record, image_of, image_record, records, shape_of
from components.core.formats.image_files import ImageFiles, normal_name
from components.core.formats.reading import Placed, Reading, text_of
from components.core.formats.shapes import AnnotatedImage, Annotations, Fault, Kind, part_of

_STEMS = ("instances_", "_annotations.coco", "annotations", "instances")


def document(images: Sequence[AnnotatedImage], classes: Sequence[str]) -> dict[str, Any]:
    """A COCO document: categories from 1 in the order of `classes` (0 is background, never used).

    Raises:
        InputError: shapes of other classes or without a box, or classes that are there twice.
    """
    numbers = {name: number for number, name in enumerate(classes, 1)}
    if len(numbers) != len(classes):
        raise InputError(f"classes are there twice among {', '.join(classes)}: give each once")
    labels = {s.label for image in images for s in image.shapes if s.kind is not Kind.TAG}
    if others := sorted(labels - set(numbers)):
        raise InputError(
            f"shapes of the classes {', '.join(map(repr, others))}, which are not among "
            f"{', '.join(classes)}: select the classes first"
        )
    annotations: list[Record] = []
    entries = []
    for number, image in enumerate(images, 1):
        entries.append(image_record(image, number))
        annotations += records(image, number, len(annotations) + 1, numbers)
    return {
        "images": entries,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
    }


def images_of(content: Mapping[str, Any], folder: Path | None = None) -> list[AnnotatedImage]:
    """The images of a document that `document` made; with a folder, their files are below it."""
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    found = {}
    for entry in content["images"]:
        image = image_of(entry)
        image.path = folder / image.name if folder else None
        found[entry["id"]] = image
    for entry in content["annotations"]:
        found[entry["image_id"]].shapes.append(shape_of(entry, names[entry["category_id"]]))
    return list(found.values())


def write(path: Path, images: Sequence[AnnotatedImage], classes: Sequence[str]) -> None:
    """Writes one COCO file.

    Raises:
        InputError: as `document`.
    """
    content = document(images, classes)
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    files.write_text(path, text + "\n")


def read(source: Path, images: Path | None = None) -> Annotations:
    """Reads a COCO file, or those of a folder.

    In a folder, the part of an image is that in the name of its file or of the file's folder:
    `instances_train2017.json`, `valid/_annotations.coco.json`, `test.json`.

    Args:
        source: file, or folder with files `*.json`; in a folder, other JSON is passed over.
        images: folder in which the images are looked for; by default that of `source`, or the one
            above where that is called `annotations`.

    Raises:
        InputError: there is no such file.
    """
    paths = sorted(source.rglob("*.json")) if source.is_dir() else [source]
    if not paths or not paths[0].is_file():
        raise InputError(f"{source} is no COCO file and no folder with files *.json")
    folder = source if source.is_dir() else source.parent
    if folder.name == "annotations":
        folder = folder.parent
    found = Reading(ImageFiles(images or folder))
    for path in paths:
        _read_file(path, found, alone=not source.is_dir())
    return found.finished()


def _read_file(path: Path, found: Reading, alone: bool) -> None:
    try:
        content = json.loads(text_of(path))
    except (InputError, ValueError, RecursionError) as error:
        found.problem(Fault.UNREADABLE, path, "", f"no JSON: {error}")
        return
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in keys):
        what = f"no COCO of objects: it has no lists {', '.join(keys)}"
        fault = Fault.UNREADABLE if alone else Fault.LEFT_OUT
        found.problem(fault, path, "", what)
        return
    names = _categories(content["categories"], path, found)
    entries = _images(content["images"], path, found)
    placed: dict[Any, list[Placed]] = {number: [] for number in entries}
    for place, entry in enumerate(content["annotations"]):
        _place(entry, f"annotations[{place}]", names, placed, path, found)
    part = _part(path)
    for number, (where, image) in entries.items():
        image.part = image.part or part
        found.add(image, placed[number], path, where)


def _categories(entries: list[Any], path: Path, found: Reading) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for place, entry in enumerate(entries):
        where = f"categories[{place}]"
        if not isinstance(entry, dict) or not {"id", "name"} <= set(entry):
            found.problem(Fault.UNREADABLE, path, where, "no id and name: left out")
        elif not isinstance(entry["id"], int | str) or entry["id"] in names:
            what = f"id {entry['id']!r} is there a second time, or no number: left out"
            found.problem(Fault.DUPLICATE, path, where, what)
        else:
            name = str(entry["name"])
            if name in names.values():
                what = f"name {name!r} is there a second time: taken as the same class"
                found.problem(Fault.DUPLICATE, path, where, what)
            names[entry["id"]] = name
    ordered = sorted(names.items(), key=lambda pair: (isinstance(pair[0], str), pair[0]))
    for _, name in ordered:
        if name not in found.labels:
            found.labels.append(name)
    return names


def _images(
    entries: list[Any], path: Path, found: Reading
) -> dict[Any, tuple[str, AnnotatedImage]]:
    images: dict[Any, tuple[str, AnnotatedImage]] = {}
    for place, entry in enumerate(entries):
        where = f"images[{place}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str):
            found.problem(Fault.UNREADABLE, path, where, "no file_name: left out")
            continue
        number = entry.get("id")
        if not isinstance(number, int | str) or number in images:
            what = f"id {number!r} of {entry['file_name']!r} is there a second time, or no number"
            found.problem(Fault.DUPLICATE, path, where, f"{what}: left out")
            continue
        try:
            image = image_of(entry)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            found.problem(Fault.UNREADABLE, path, where, f"damaged, left out: {error}")
            continue
        image.name = normal_name(image.name)
        images[number] = where, image
    return images


def _place(
    entry: Any,
    where: str,
    names: Mapping[Any, str],
    placed: dict[Any, list[Placed]],
    path: Path,
    found: Reading,
) -> None:
    if not isinstance(entry, dict) or not isinstance(entry.get("image_id"), int | str):
        found.problem(Fault.UNREADABLE, path, where, "no object with an image_id: left out")
        return
    number, category = entry["image_id"], entry.get("category_id")
    if number not in placed:
        what = f"image {number!r} is not among the images: left out"
        found.problem(Fault.MISSING_IMAGE, path, where, what)
    elif not isinstance(category, int | str) or category not in names:
        what = f"category {category!r} is not among the categories: left out"
        found.problem(Fault.UNKNOWN_CLASS, path, where, what)
        placed[number].append((where, None))
    else:
        if entry.get("keypoints"):
            found.problem(Fault.LEFT_OUT, path, where, "keypoints are not read, its box is")
        try:
            placed[number].append((where, shape_of(entry, names[category])))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            found.problem(Fault.UNREADABLE, path, where, f"damaged, left out: {error}")
            placed[number].append((where, None))


def _part(path: Path) -> str:
    """`train` of `instances_train2017.json`, `train.json` and `train/_annotations.coco.json`."""
    stem = path.stem
    for known in _STEMS:
        stem = stem.removeprefix(known)
    return part_of(stem.strip("_-0123456789")) or part_of(path.parent.name)
