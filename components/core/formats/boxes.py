"""From a shape to its axis-aligned box, in the image or beyond it."""

from __future__ import annotations

import math
from dataclasses import replace

from components.core.errors import InputError
from components.core.formats import masks
from components.core.formats.shapes import AnnotatedImage, Fault, Kind, Shape

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

TOLERANCE = 0.5
"""Pixels that a box may reach beyond its image without being told: tools round."""

NEEDED = {
    Kind.RECTANGLE: 4,
    Kind.ROTATED: 4,
    Kind.POLYGON: 6,
    Kind.POLYLINE: 4,
    Kind.POINTS: 4,
    Kind.ELLIPSE: 4,
    Kind.CUBOID: 16,
}
"""Numbers that a shape needs to have a box."""

DECIMALS = 6
"""Of pixels, where they are computed: less than any tool draws."""


def box(shape: Shape) -> Box | None:
    """The box around a shape; None for tags, empty masks and too few coordinates.

    Raises:
        ValueError: a mask with damaged run lengths.
    """
    if shape.box is not None:
        return shape.box
    if shape.kind is Kind.MASK:
        return masks.tight_box(shape.mask) if shape.mask else None
    if shape.kind is Kind.SKELETON:
        return _skeleton_box(shape)
    if shape.kind is Kind.TAG or len(shape.points) < NEEDED[shape.kind]:
        return None
    if shape.kind is Kind.RECTANGLE:
        left, top, right, bottom = shape.points[:4]
        return left, top, right, bottom
    if shape.kind is Kind.ROTATED:
        return extents(corners(shape))
    if shape.kind is Kind.ELLIPSE:
        return _ellipse_box(shape)
    return extents([*shape.points, *(number for part in shape.further_parts for number in part)])


def extents(points: tuple[float, ...] | list[float]) -> Box:
    """The box around a flat list of at least one point."""
    across, down = points[0::2], points[1::2]
    return min(across), min(down), max(across), max(down)


def corners(shape: Shape) -> tuple[float, ...]:
    """The corners of a (rotated) rectangle from the upper left one clockwise, flat."""
    left, top, right, bottom = shape.points[:4]
    if not shape.rotation:
        return left, top, right, top, right, bottom, left, bottom
    x, y = (left + right) / 2, (top + bottom) / 2
    cosine, sine = _turn(shape.rotation)
    found: list[float] = []
    for across, down in ((left, top), (right, top), (right, bottom), (left, bottom)):
        dx, dy = across - x, down - y
        found += [
            round(x + dx * cosine - dy * sine, DECIMALS),
            round(y + dx * sine + dy * cosine, DECIMALS),
        ]
    return tuple(found)


def clamped(whole: Box, width: int, height: int) -> Box:
    """The part of a box inside an image of the given size; unknown sizes (0) do not limit it."""
    left, top, right, bottom = whole
    if width > 0:
        left, right = min(max(left, 0.0), width), min(max(right, 0.0), width)
    if height > 0:
        top, bottom = min(max(top, 0.0), height), min(max(bottom, 0.0), height)
    return float(left), float(top), float(right), float(bottom)


def box_on(shape: Shape, image: AnnotatedImage) -> Box | None:
    """The box of a shape inside its image, for writers; None for tags.

    Raises:
        InputError: there is no box with an area, as with shapes that no reader has checked.
    """
    if shape.kind is Kind.TAG:
        return None
    usable, _, what = fit(shape, image.width, image.height)
    found = box(shape) if usable else None
    if found is None:
        raise InputError(f"image {image.name!r}: {what.rpartition(':')[0]}: remove the shape")
    return clamped(found, image.width, image.height)


def area(shape: Shape, width: int, height: int) -> float:
    """Square pixels of the outline, or of the box where there is none; at most the box's in the
    image."""
    found = box(shape)
    if found is None:
        return 0.0
    inside = clamped(found, width, height)
    whole = (inside[2] - inside[0]) * (inside[3] - inside[1])
    if shape.kind is Kind.POLYGON:
        parts = (shape.points, *shape.further_parts)
        whole = min(whole, sum(_polygon_area(part) for part in parts))
    elif shape.kind is Kind.ROTATED:
        left, top, right, bottom = shape.points[:4]
        whole = min(whole, (right - left) * (bottom - top))
    elif shape.kind is Kind.ELLIPSE:
        whole = min(whole, math.pi * shape.points[2] * shape.points[3])
    elif shape.kind is Kind.MASK and shape.mask:
        whole = min(whole, float(masks.area(shape.mask)))
    return round(whole, DECIMALS)


def fit(shape: Shape, width: int, height: int) -> tuple[Shape | None, Fault | None, str]:
    """Checks a shape against its image (0: size unknown).

    Returns:
        The shape, a rectangle cut to the image, or None where it has no box in the image; and what
        is wrong, where anything is.
    """
    if shape.kind is Kind.TAG:
        return shape, None, ""
    named = f"{shape.kind} {shape.label!r}"
    if not all(math.isfinite(number) for number in _numbers(shape)):
        return None, Fault.NUMBER, f"{named} has a coordinate that is no finite number: left out"
    try:
        found = box(shape)
    except ValueError as error:
        return None, Fault.NUMBER, f"{named}: {error}: left out"
    if found is None:
        return None, Fault.TOO_FEW, f"{named} has too few coordinates for a box: left out"
    left, top, right, bottom = found
    if min(right - left, bottom - top) <= 0 or _turned_inside_out(shape):
        size = f"{_short(right - left)} x {_short(bottom - top)} pixels"
        return None, Fault.ZERO_AREA, f"{named} has no area ({size}): left out"
    inside = clamped(found, width, height)
    if inside == found:
        return shape, None, ""
    reach = f"{named} reaches from ({_short(left)}, {_short(top)}) to "
    reach += f"({_short(right)}, {_short(bottom)}) in an image of {width} x {height} pixels"
    if min(inside[2] - inside[0], inside[3] - inside[1]) <= 0:
        return None, Fault.OUTSIDE, f"{reach}: left out"
    if shape.kind is Kind.RECTANGLE:
        shape = replace(shape, points=inside)
    if shape.box is not None:
        shape = replace(shape, box=inside)
    if max(abs(a - b) for a, b in zip(inside, found, strict=True)) <= TOLERANCE:
        return shape, None, ""
    return shape, Fault.OUTSIDE, f"{reach}: cut to the image"


def _turned_inside_out(shape: Shape) -> bool:
    if shape.kind is Kind.ROTATED:
        left, top, right, bottom = shape.points[:4]
        return right <= left or bottom <= top
    return shape.kind is Kind.ELLIPSE and min(shape.points[2:4]) <= 0


def _skeleton_box(shape: Shape) -> Box | None:
    points = [n for element in shape.elements if not element.outside for n in element.points]
    return extents(points) if len(points) >= NEEDED[Kind.POINTS] else None


def _ellipse_box(shape: Shape) -> Box:
    x, y, across, down = shape.points[:4]
    cosine, sine = _turn(shape.rotation)
    half_width = round(math.hypot(across * cosine, down * sine), DECIMALS)
    half_height = round(math.hypot(across * sine, down * cosine), DECIMALS)
    return x - half_width, y - half_height, x + half_width, y + half_height


def _turn(degrees: float) -> tuple[float, float]:
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def _polygon_area(points: tuple[float, ...]) -> float:
    across, down = points[0::2], points[1::2]
    total = sum(
        x * next_y - next_x * y
        for x, y, next_x, next_y in zip(
            across, down, across[1:] + across[:1], down[1:] + down[:1], strict=True
        )
    )
    return abs(total) / 2


def _numbers(shape: Shape) -> list[float]:
    own = [*shape.points, shape.rotation, *(shape.box or ())]
    own += [number for part in shape.further_parts for number in part]
    return own + [number for element in shape.elements for number in _numbers(element)]


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
