"""Shapes drawn on an image as it is stored, for the image as EXIF asks to show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from components.core.formats import masks
from components.core.formats.shapes import Kind, Mask, Shape

SIDEWAYS = range(5, 9)
"""EXIF orientations whose width and height change places."""

_ROWS, _COLUMNS = {6, 7}, {7, 8}
"""Those whose rows or columns are mirrored before."""


def turned(shape: Shape, orientation: int, width: int, height: int) -> Shape:
    """A shape of the stored pixels, in the image as shown.

    Args:
        shape: of any kind; what is wrong with it stays wrong.
        orientation: one of SIDEWAYS.
        width, height: of the image as stored.

    Raises:
        ValueError: a mask with damaged run lengths.
    """
    turn = _Turn(orientation, width, height)
    points = shape.points
    if shape.kind is Kind.RECTANGLE or shape.kind is Kind.ROTATED:
        points = turn.box(points)
    elif shape.kind is Kind.ELLIPSE:
        points = *turn.points(points[:2]), *points[2:]
    else:
        points = turn.points(points)
    if shape.kind is Kind.ROTATED and len(points) == 4:  # its sides keep their lengths
        points = _swapped(points)
    has_angle = shape.kind is Kind.ROTATED or shape.kind is Kind.ELLIPSE
    return replace(
        shape,
        points=points,
        rotation=turn.angle(shape.rotation) if has_angle else shape.rotation,
        further_parts=tuple(turn.points(part) for part in shape.further_parts),
        mask=turn.mask(shape.mask) if shape.mask else None,
        elements=tuple(turned(each, orientation, width, height) for each in shape.elements),
        box=turn.box(shape.box) if shape.box else None,  # type: ignore[arg-type]
    )


class _Turn:
    def __init__(self, orientation: int, width: int, height: int) -> None:
        self.rows, self.columns = orientation in _ROWS, orientation in _COLUMNS
        self.width, self.height = width, height

    def points(self, points: Sequence[float]) -> tuple[float, ...]:
        """Pairs of x and y; an odd number at the end stays."""
        found: list[float] = []
        for x, y in zip(points[0::2], points[1::2], strict=False):
            found += [self.height - y if self.rows else y, self.width - x if self.columns else x]
        return tuple(found) + tuple(points[len(found) :])

    def box(self, box: Sequence[float]) -> tuple[float, ...]:
        """Left, top, right, bottom; swapped corners stay swapped, and other numbers as they are."""
        if len(box) != 4:
            return tuple(box)
        left, top, right, bottom = box
        if self.rows:
            top, bottom = self.height - bottom, self.height - top
        if self.columns:
            left, right = self.width - right, self.width - left
        return top, left, bottom, right

    def angle(self, degrees: float) -> float:
        """Clockwise degrees; a mirrored image turns the other way."""
        if self.rows and self.columns:
            return (270 - degrees) % 360
        if self.rows or self.columns:
            return (degrees + (90 if self.rows else 270)) % 360
        return (90 - degrees) % 360

    def mask(self, mask: Mask) -> Mask:
        pixels = masks.pixels(mask)
        left, top, _, _ = self.box(
            (mask.left, mask.top, mask.left + mask.width, mask.top + mask.height)
        )
        pixels = pixels[:: -1 if self.rows else 1, :: -1 if self.columns else 1].T
        return masks.of_pixels(np.ascontiguousarray(pixels), int(left), int(top))


def _swapped(box: tuple[float, ...]) -> tuple[float, ...]:
    """The box about the same centre with width and height changed."""
    left, top, right, bottom = box
    x, y, across, down = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    return x - down / 2, y - across / 2, x + down / 2, y + across / 2
