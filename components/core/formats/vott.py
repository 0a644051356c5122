"""VoTT's JSON, read: exports and projects of version 2, and the format of version 1.

https://github.com/microsoft/VoTT. Version 2: `assets`, each with `asset` and `regions`, in one
export or in files `<id>-asset.json` of a project. Version 1: `frames`, and sizes at every region.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from components.core.errors import InputError
from components.core.formats.image_files import ImageFiles, folder_of, normal_name
from components.core.formats.reading import Placed, Reading, text_of
from components.core.formats.shapes import AnnotatedImage, Annotations, Fault, Kind, Shape

NOT_VISITED = 0
"""State of an asset that nobody has looked at: its missing regions say nothing."""

TYPES: dict[str, tuple[type, ...]] = {
    "assets": (dict, list),
    "frames": (dict,),
    "tags": (list,),
    "inputTags": (str, list),
    "visitedFrames": (list,),
}
"""Keys of a file → what they may be."""

_DAMAGED = (TypeError, ValueError, KeyError, AttributeError)


def read(source: Path, images: Path | None = None) -> Annotations:
    """Reads VoTT's JSON.

    Args:
        source: the export, a file of version 1, or a folder with exports or `*-asset.json`.
        images: folder in which the images are looked for; by default that of `source`.

    Returns:
        Images that were looked at; those that were not are told as without entry.

    Raises:
        InputError: there is no such file.
    """
    patterns = ("*.json", "*.vott")
    paths = sorted(p for pattern in patterns for p in source.rglob(pattern))
    paths = paths if source.is_dir() else [source]
    if not paths or not paths[0].is_file():
        raise InputError(f"{source} is no VoTT file and no folder with files {', '.join(patterns)}")
    found = Reading(ImageFiles(images or (source if source.is_dir() else source.parent)))
    contents = [(path, _content(path, found)) for path in paths]
    for _, content in contents:
        for name in _tags(content):
            if name not in found.labels:
                found.labels.append(name)
    for path, content in contents:
        _read_content(path, content, found)
    return found.finished()


def _content(path: Path, found: Reading) -> dict[str, Any]:
    try:
        content = json.loads(text_of(path))
    except (InputError, ValueError, RecursionError) as error:
        found.problem(Fault.UNREADABLE, path, "", f"no JSON: {error}")
        return {}
    what = _what_is_wrong(content)
    if what:
        found.problem(Fault.UNREADABLE, path, "", f"no VoTT file: {what}")
        return {}
    return dict(content)


def _what_is_wrong(content: Any) -> str:
    if not isinstance(content, dict) or not {"assets", "asset", "frames"} & set(content):
        return "it has no `assets`, `asset` or `frames`"
    wrong = [
        key for key, kinds in TYPES.items() if not isinstance(content.get(key, kinds[0]()), kinds)
    ]
    return f"its {' and '.join(wrong)} are of the wrong type" if wrong else ""


def _tags(content: Mapping[str, Any]) -> list[str]:
    tags = content.get("tags") or content.get("inputTags") or []
    if isinstance(tags, str):
        tags = tags.split(",")
    names = [tag.get("name") if isinstance(tag, dict) else tag for tag in tags]
    return [str(name).strip() for name in names if name]


def _read_content(path: Path, content: Mapping[str, Any], found: Reading) -> None:
    if isinstance(content.get("frames"), dict):
        for name, regions in content["frames"].items():
            _read_frame(name, regions, content, path, found)
        return
    assets = content.get("assets", {})
    if isinstance(assets, dict):
        assets = list(assets.values())
    for entry in [content] if "asset" in content else assets:
        if isinstance(entry, dict) and "asset" in entry:
            _read_asset(entry, path, found)
        elif path.suffix != ".vott":  # a project only lists its assets
            found.problem(Fault.UNREADABLE, path, "assets", "an entry without `asset`: left out")


def _read_asset(entry: Mapping[str, Any], path: Path, found: Reading) -> None:
    try:
        asset, regions = entry["asset"], list(entry.get("regions") or [])
        where = f"asset {asset['name']!r}"
        parent = asset.get("parent") or {}
        size = asset.get("size") or {}
        name = normal_name(unquote(str(asset["name"]).split("?")[0]))
        image = AnnotatedImage(
            name,
            int(size.get("width") or 0),
            int(size.get("height") or 0),
            task=folder_of(name),
            group=str(parent.get("name") or ""),
            source_id={"image": str(asset["id"])} if asset.get("id") else {},
        )
        if not regions and asset.get("state", 1) == NOT_VISITED:
            what = "nobody has looked at it: left out, not taken as an image without objects"
            found.problem(Fault.NO_ENTRY, path, where, what)
            if found.files:
                found.files.find(name)
            return
    except _DAMAGED as error:
        found.problem(Fault.UNREADABLE, path, "asset", f"damaged, left out: {error!r}")
        return
    shapes: list[Placed] = []
    for number, region in enumerate(regions):
        place = f"{where}, regions[{number}]"
        try:
            shapes += [(place, shape) for shape in _region(region)]
        except _DAMAGED as error:
            found.problem(Fault.UNREADABLE, path, place, f"damaged, left out: {error!r}")
            shapes.append((place, None))
            continue
        if not region.get("tags"):
            found.problem(Fault.UNKNOWN_CLASS, path, place, "without a tag: left out")
            shapes.append((place, None))
    found.add(image, shapes, path, where)


def _region(region: Mapping[str, Any]) -> list[Shape]:
    """The shapes of a region, one for every tag."""
    points = [float(point[axis]) for point in region.get("points") or [] for axis in ("x", "y")]
    kind = Kind.POLYGON if str(region.get("type", "")).upper() == "POLYGON" else Kind.RECTANGLE
    if kind is Kind.RECTANGLE:
        box = region["boundingBox"]
        left, top = float(box["left"]), float(box["top"])
        points = [left, top, left + float(box["width"]), top + float(box["height"])]
    return _shapes(kind, points, list(region.get("tags") or []), str(region.get("id") or ""))


def _read_frame(
    name: str, regions: Any, content: Mapping[str, Any], path: Path, found: Reading
) -> None:
    """An image of version 1; of a video, `name` is the number of the frame."""
    where = f"frame {name!r}"
    frame = int(name) if name.isdecimal() else None
    group = path.name.removesuffix(".json") if frame is not None else ""
    wanted = f"{group}/frame_{frame:06d}.png" if frame is not None else normal_name(name)
    image = AnnotatedImage(wanted, task=folder_of(wanted), group=group, frame=frame)
    visited = {str(each) for each in content.get("visitedFrames") or []}
    if not regions and visited and name not in visited:
        what = "nobody has looked at it: left out, not taken as an image without objects"
        found.problem(Fault.NO_ENTRY, path, where, what)
        return
    if not isinstance(regions, list):
        found.problem(Fault.UNREADABLE, path, where, "its regions are no list: left out")
        return
    shapes: list[Placed] = []
    for number, region in enumerate(regions):
        place = f"{where}, [{number}]"
        try:
            points = [float(region[side]) for side in ("x1", "y1", "x2", "y2")]
            image.width, image.height = int(region["width"]), int(region["height"])
            tags = list(region.get("tags") or [])
            own = _shapes(Kind.RECTANGLE, points, tags, str(region.get("UID") or ""))
        except _DAMAGED as error:
            found.problem(Fault.UNREADABLE, path, place, f"damaged, left out: {error!r}")
            shapes.append((place, None))
            continue
        if not own:
            found.problem(Fault.UNKNOWN_CLASS, path, place, "without a tag: left out")
            shapes.append((place, None))
        shapes += [(place, shape) for shape in own]
    found.add(image, shapes, path, where)


def _shapes(kind: Kind, points: Sequence[float], tags: Sequence[str], number: str) -> list[Shape]:
    return [Shape(str(tag), kind, tuple(points), source_id=number) for tag in tags]
