"""Which annotation format files are in, told from their content."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from components.core.errors import InputError
from components.core.formats import cwfid, kitti_labels
from components.core.formats.yolo_config import read_config

LOOKED_AT = 20
"""Files of each extension that are looked into."""

SIGNS = {
    "coco": "COCO (*.json with lists images, annotations and categories)",
    "voc": "Pascal VOC (*.xml whose root is <annotation>)",
    "yolo": "YOLO (data.yaml, classes.txt or obj.names, and labels *.txt)",
    "kitti": "KITTI (label_2/*.txt or labels/*.txt with 15 or 16 columns)",
    "vott": "VoTT (*.json with assets or frames, *.vott)",
    "cvat": "CVAT (*.xml whose root is <annotations>)",
    "cwfid": "CWFID (*.yaml with filename and annotation)",
}
"""Format → how it is recognised, for people."""

SHOWN = 5
"""Damaged files that a message names."""

YOLO_COLUMNS = 5
KITTI_COLUMNS = (kitti_labels.COLUMNS, kitti_labels.COLUMNS + 1)


def recognised(source: Path, given: str = "annotations", choice: str = "format") -> str:
    """The format of an annotation file, or of the files in a folder.

    Args:
        source: the file or folder.
        given: what messages call it.
        choice: what messages call the setting that names the format.

    Raises:
        InputError: nothing is there, no known format, or several.
    """
    if not source.exists():
        raise InputError(f"{given}: {source} does not exist")
    found = {name: next(look(source), None) for name, look in _LOOKS.items()}
    signs = {name: path for name, path in found.items() if path is not None}
    if len(signs) == 1:
        return next(iter(signs))
    if signs:
        examples = "; ".join(f"{name}, such as {path}" for name, path in signs.items())
        raise InputError(
            f"{given}: {source} holds annotations of several formats: {examples}. Set {choice} "
            "to the one that is to be read"
        )
    unparsed = [f"{path} is {why}" for path, why in damaged(source)]
    if unparsed and source.is_file():
        raise InputError(f"{given}: {unparsed[0]}: mend or replace it")
    if len(unparsed) > SHOWN:
        unparsed[SHOWN:] = [f"and {len(unparsed) - SHOWN} more"]
    broken = f". Of these cannot be parsed: {'; '.join(unparsed)}" if unparsed else ""
    there = ", ".join(f"{count} *{kind}" for kind, count in _kinds(source).most_common(5))
    raise InputError(
        f"{given}: {source} holds no annotations of a known format. Looked for: "
        f"{'; '.join(SIGNS.values())}. There are: {there or 'no files'}{broken}. Name the "
        f"folder that holds them, or set {choice}"
    )


def damaged(source: Path, extensions: Sequence[str] = (".json", ".xml")) -> list[tuple[Path, str]]:
    """Files, of those that are looked into, that cannot be parsed, and why; not in hidden folders.

    Args:
        source: the file or folder.
        extensions: of the files; XML is told where it ends before its first element.
    """
    paths = [path for extension in extensions for path in _files(source, extension)]
    shown = [
        path
        for path in paths
        if path == source or not any(p.startswith(".") for p in path.relative_to(source).parts)
    ]
    return [(path, why) for path in shown if (why := _damage(path))]


def _damage(path: Path) -> str:
    try:
        if path.suffix.lower() == ".json":
            json.loads(path.read_bytes())
        else:
            with open(path, "rb") as file:
                next(ElementTree.iterparse(file, events=("start",)), None)
    except json.JSONDecodeError as error:
        return f"no JSON: line {error.lineno}, column {error.colno}: {error.msg}"
    except ElementTree.ParseError as error:
        return f"no XML: {error}"
    except UnicodeDecodeError:
        return "no JSON: not UTF-8 text"
    except (OSError, RecursionError) as error:
        return f"unreadable: {error}"
    return ""


def _coco(source: Path) -> Iterator[Path]:
    keys = ("images", "annotations", "categories")
    for path, content in _documents(source):
        if isinstance(content, dict) and all(isinstance(content.get(k), list) for k in keys):
            yield path


def _vott(source: Path) -> Iterator[Path]:
    yield from _files(source, ".vott")
    for path, content in _documents(source):
        if isinstance(content, dict) and {"assets", "asset", "frames"} & set(content):
            yield path


def _voc(source: Path) -> Iterator[Path]:
    return _with_root(source, "annotation")


def _cvat(source: Path) -> Iterator[Path]:
    return _with_root(source, "annotations")


def _yolo(source: Path) -> Iterator[Path]:
    if source.suffix.lower() in cwfid.ENDINGS:
        yield from [] if any(_cwfid(source)) else [source]
        return
    if source.is_file():
        return
    try:
        config = read_config(source)
    except InputError:
        return
    if config.file.suffix.lower() in cwfid.ENDINGS:
        yield config.file
        return
    for path in _files(source, ".txt"):
        if path not in config.others and _numbers(path) >= YOLO_COLUMNS:
            yield path


def _cwfid(source: Path) -> Iterator[Path]:
    for path in cwfid.yaml_files(source)[:LOOKED_AT]:
        try:
            if path.suffix.lower() in cwfid.ENDINGS and "annotation" in cwfid.content_of(path):
                yield path
        except InputError:
            continue


def _kitti(source: Path) -> Iterator[Path]:
    if source.is_file():
        return
    for path in kitti_labels.label_files(source)[:LOOKED_AT]:
        columns = _first_line(path)
        if len(columns) in KITTI_COLUMNS and not _is_number(columns[0]):
            yield path


_LOOKS: dict[str, Callable[[Path], Iterator[Path]]] = {
    "coco": _coco,
    "voc": _voc,
    "yolo": _yolo,
    "kitti": _kitti,
    "vott": _vott,
    "cvat": _cvat,
    "cwfid": _cwfid,
}
"""Format → what yields files that are in it."""


def _files(source: Path, extension: str) -> Sequence[Path]:
    """A file itself; of a folder the largest file of this extension and the first ones."""
    if source.is_file():
        return [source] if source.suffix.lower() == extension else []
    paths = sorted(path for path in source.rglob(f"*{extension}") if path.is_file())
    largest = max(paths, key=lambda path: path.stat().st_size, default=None)
    return list(dict.fromkeys([*([largest] if largest else []), *paths[:LOOKED_AT]]))


def _documents(source: Path) -> Iterator[tuple[Path, object]]:
    for path in _files(source, ".json"):
        try:
            yield path, json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue


def _with_root(source: Path, tag: str) -> Iterator[Path]:
    for path in _files(source, ".xml"):
        try:
            with open(path, "rb") as file:
                _, root = next(ElementTree.iterparse(file, events=("start",)))
        except (OSError, ElementTree.ParseError, StopIteration):
            continue
        if root.tag == tag:
            yield path


def _numbers(path: Path) -> int:
    """Columns of a label file whose first line is all numbers; else 0."""
    columns = _first_line(path)
    return len(columns) if all(map(_is_number, columns)) else 0


def _first_line(path: Path) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return next((line.split() for line in file if line.strip()), [])
    except (OSError, UnicodeDecodeError):
        return []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _kinds(source: Path) -> Counter[str]:
    paths = [source] if source.is_file() else source.rglob("*")
    return Counter(path.suffix.lower() or " without extension" for path in paths if path.is_file())
