"""One shape of a CVAT XML file: `box`, `polygon`, `mask`, `skeleton` … and back."""

from __future__ import annotations

import math
from dataclasses import replace
from xml.etree import ElementTree

from components.core.formats.reading import short
from components.core.formats.shapes import Fault, Kind, Mask, Shape
from components.core.formats.xml_elements import Element

SIDES = ("xtl", "ytl", "xbr", "ybr")
CENTRE = ("cx", "cy", "rx", "ry")
CORNERS = tuple(f"{axis}{corner}{side}" for side in "12" for corner in ("tl", "bl", "tr", "br")
                for axis in "xy")  # fmt: skip
"""Of a cuboid: front face, then back face."""

KINDS = {
    "box": Kind.RECTANGLE,
    "polygon": Kind.POLYGON,
    "polyline": Kind.POLYLINE,
    "points": Kind.POINTS,
    "ellipse": Kind.ELLIPSE,
    "mask": Kind.MASK,
    "cuboid": Kind.CUBOID,
    "skeleton": Kind.SKELETON,
    "tag": Kind.TAG,
}
"""Element → kind of shape."""

TAGS = {kind: tag for tag, kind in KINDS.items()} | {Kind.ROTATED: "box"}


class ShapeError(Exception):
    """An element that is no shape; `fault` says why."""

    def __init__(self, fault: Fault, what: str) -> None:
        super().__init__(what)
        self.fault = fault


def read_shape(element: Element, label: str = "") -> Shape:
    """The shape that an element describes; `label`: of its track.

    Raises:
        ShapeError: coordinates that are missing or no numbers.
    """
    kind = KINDS[element.tag]
    given = element.attrib
    shape = Shape(
        label or given.get("label", ""),
        kind,
        occluded=given.get("occluded") == "1",
        source=given.get("source", "manual"),
        attributes=attributes(element),
        keyframe=given.get("keyframe", "1") == "1",
        z_order=int(_number(element, "z_order", 0.0)),
        group="" if given.get("group_id", "0") == "0" else given["group_id"],
    )
    if kind is Kind.RECTANGLE:
        rotation = _number(element, "rotation", 0.0) % 360
        kind = Kind.ROTATED if rotation else kind
        points = _numbers(element, SIDES)
        return replace(shape, kind=kind, points=points, rotation=rotation)
    if kind is Kind.ELLIPSE:
        rotation = _number(element, "rotation", 0.0) % 360
        return replace(shape, points=_numbers(element, CENTRE), rotation=rotation)
    if kind is Kind.CUBOID:
        return replace(shape, points=_numbers(element, CORNERS))
    if kind is Kind.MASK:
        return replace(shape, mask=_mask(element))
    if kind is Kind.SKELETON:
        return _skeleton(element, shape)
    return shape if kind is Kind.TAG else replace(shape, points=_points(element))


def attributes(element: Element) -> dict[str, str]:
    """The `attribute` children of a shape."""
    return {child.get("name", ""): (child.text or "").strip() for child in element.all("attribute")}


def write_shape(parent: ElementTree.Element, shape: Shape, element: bool = False) -> None:
    """Adds a shape to an image; `element`: to a skeleton."""
    given = {"label": shape.label, "source": shape.source}
    if element:
        given["outside"] = str(int(shape.outside))
    if shape.kind not in (Kind.SKELETON, Kind.TAG):
        given["occluded"] = str(int(shape.occluded))
    given |= _geometry(shape)
    if not element and shape.kind is not Kind.TAG:
        given["z_order"] = str(shape.z_order)
    if shape.group:
        given["group_id"] = shape.group
    child = ElementTree.SubElement(parent, TAGS[shape.kind], given)
    for part in shape.elements:
        write_shape(child, part, element=True)
    for name, value in shape.attributes.items():
        ElementTree.SubElement(child, "attribute", {"name": name}).text = value


def _skeleton(element: Element, shape: Shape) -> Shape:
    parts = []
    for child in element.all("*"):
        if child.tag in ("points", "box", "polygon", "polyline"):
            outside = child.get("outside") == "1"
            parts.append(replace(read_shape(child), outside=outside))
    occluded = shape.occluded or any(part.occluded for part in parts)
    return replace(shape, elements=tuple(parts), occluded=occluded)


def _geometry(shape: Shape) -> dict[str, str]:
    numbers = [short(number) for number in shape.points]
    turned = {"rotation": short(shape.rotation)} if shape.rotation else {}
    if shape.kind in (Kind.RECTANGLE, Kind.ROTATED):
        return dict(zip(SIDES, numbers, strict=True)) | turned
    if shape.kind is Kind.ELLIPSE:
        return dict(zip(CENTRE, numbers, strict=True)) | turned
    if shape.kind is Kind.CUBOID:
        return dict(zip(CORNERS, numbers, strict=True))
    if shape.kind is Kind.MASK and shape.mask:
        mask = shape.mask
        place = {"left": mask.left, "top": mask.top, "width": mask.width, "height": mask.height}
        runs = {"rle": ", ".join(map(str, mask.counts))}
        return runs | {name: str(number) for name, number in place.items()}
    if shape.kind in (Kind.SKELETON, Kind.TAG):
        return {}
    pairs = zip(numbers[0::2], numbers[1::2], strict=True)
    return {"points": ";".join(f"{x},{y}" for x, y in pairs)}


def _points(element: Element) -> tuple[float, ...]:
    text = element.get("points", "").strip()
    numbers: list[float] = []
    for pair in filter(None, text.split(";")):
        values = pair.split(",")
        if len(values) != 2:
            raise ShapeError(Fault.TOO_FEW, f"points: {pair!r} is no pair like 1.5,2: left out")
        numbers += [_float(value, "points") for value in values]
    return tuple(numbers)


def _mask(element: Element) -> Mask:
    left, top, width, height = _numbers(element, ("left", "top", "width", "height"))
    try:
        counts = tuple(int(count) for count in element.get("rle", "").split(",") if count.strip())
        return Mask(int(left), int(top), int(width), int(height), counts)
    except (ValueError, OverflowError):
        raise ShapeError(Fault.NUMBER, "mask with run lengths that are no numbers: left out") from (
            None
        )


def _numbers(element: Element, names: tuple[str, ...]) -> tuple[float, ...]:
    if missing := [name for name in names if name not in element.attrib]:
        raise ShapeError(Fault.TOO_FEW, f"{element.tag} lacks {', '.join(missing)}: left out")
    return tuple(_number(element, name) for name in names)


def _number(element: Element, name: str, default: float = 0.0) -> float:
    given = element.get(name)
    return default if given is None else _float(given, name)


def _float(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ShapeError(Fault.NUMBER, f"{name} {text!r} is no finite number: left out")
    return number
