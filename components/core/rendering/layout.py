"""How frames are kept: plain arrays, one behind the other, that are mapped instead of read.

A frame's file holds, in this order, for each aux view the coordinates (2, H, W), for each level
the depth (H, W), for each level the colours (3, H, W), and the mask (H, W) if there is one. Photos
and their depths have files of their own, (3, H, W) and (H, W), which many frames share.

Colours and masks are uint8. With 16 bits, depths and coordinates are uint16: 0 to 65535 for 0 to 1,
and 0 to 65534 for -1 to 1 with 65535 for nowhere, a fortieth of a pixel on photos of 1,600 pixels;
with 32 they are float32 and NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from components.core.rendering.lookup import masked

LEVELS = 4
"""A rendering in full size, and halved up to three times."""

ALIGNMENT = 16
"""The network halves four times, so sides and offsets in full size are multiples of it."""

Precision = Literal[16, 32]

_NOWHERE, _STEPS = 65535, 65534


@dataclass(frozen=True)
class Part:
    """Where an array is in a file."""

    offset: int
    """Bytes."""
    shape: tuple[int, ...]
    type: np.dtype[Any]

    @property
    def end(self) -> int:
        """Bytes before what follows."""
        return self.offset + math.prod(self.shape) * self.type.itemsize


@dataclass(frozen=True)
class FrameLayout:
    """The parts of a frame's file."""

    height: int
    width: int
    aux: int
    precision: Precision
    mask: bool = False

    @cached_property
    def parts(self) -> dict[str, Part]:
        """`coordinates0` …, `depth0` …, `colours0` …, `mask` → where it is."""
        fine = precise(self.precision)
        wanted: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        for number in range(self.aux):
            wanted[f"coordinates{number}"] = (2, self.height, self.width), fine
        for level in range(LEVELS):
            wanted[f"depth{level}"] = self.size(level), fine
        for level in range(LEVELS):
            wanted[f"colours{level}"] = (3, *self.size(level)), np.dtype("u1")
        if self.mask:
            wanted["mask"] = self.size(0), np.dtype("u1")
        found: dict[str, Part] = {}
        offset = 0
        for name, (shape, kind) in wanted.items():
            found[name] = Part(offset, shape, kind)
            offset = found[name].end
        return found

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return max(part.end for part in self.parts.values())

    def size(self, level: int) -> tuple[int, int]:
        """Height and width of a level."""
        return self.height >> level, self.width >> level


def precise(precision: Precision) -> np.dtype[Any]:
    """How depths and coordinates are stored."""
    return np.dtype("<u2") if precision == 16 else np.dtype("<f4")


def encoded_depth(depth: NDArray[np.float32], precision: Precision) -> NDArray[Any]:
    """Depths in [0, 1], as stored."""
    if precision == 16:
        return np.rint(depth * 65535).astype("<u2")
    return depth.astype("<f4")


def decoded_depth(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Stored depths as float32 in [0, 1]."""
    if stored.dtype.kind == "u":
        return stored * np.float32(1 / 65535)
    return stored.astype(np.float32)


def encoded_coordinates(found: NDArray[np.float32], precision: Precision) -> NDArray[Any]:
    """Coordinates (3, H, W) as stored, (2, H, W)."""
    valid = found[2] > 0
    if precision == 32:
        return np.where(valid, found[:2], np.nan).astype("<f4")
    steps = np.rint((found[:2] + 1) * (_STEPS / 2))
    return np.where(valid, steps, _NOWHERE).astype("<u2")


def decoded_coordinates(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Stored coordinates (2, H, W) as (3, H, W) float32."""
    if stored.dtype.kind == "u":
        places = stored * np.float32(2 / _STEPS) - np.float32(1)
        return masked(places, stored[0] != _NOWHERE)
    return masked(stored, ~np.isnan(stored[0]))


def packed(arrays: Sequence[NDArray[Any]]) -> bytes:
    """Arrays behind each other."""
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
