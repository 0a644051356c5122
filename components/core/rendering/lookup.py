"""Lookup coordinates: where the point that a pixel of the target shows is in an aux photo.

They are normalised device coordinates: x to the right, y up, -1 and 1 at the photo's borders, so a
photo's pixel centres lie at (2 i + 1) / size - 1. As an array (3, H, W) float32 holds x, y, and 1
where they are valid. Elsewhere they are NOWHERE, far outside of every photo, so that a lookup with
zeros around the photo finds nothing, with a network that does not know the third channel too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOWHERE = -4.0
"""Both coordinates of pixels that see nothing."""

HALO = 4
"""Pixels that a crop of an aux photo keeps around what is looked up; features of a pixel depend on
3 pixels around it."""

STEP = 32
"""Sides of such crops are multiples of it, where the photo allows that: few sizes, fewer plans of
a GPU's libraries."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """A part of a photo, in pixels; it may reach past the photo's right and lower border."""

    top: int
    left: int
    height: int
    width: int


def coordinates(motion: Floats) -> Floats:
    """What the viewer exports as lookup coordinates.

    Holes, values that are not finite, and places outside of the photo become NOWHERE.

    Args:
        motion: (H, W, 3): x, y, 1 where a point was drawn; or (H, W, 2), which is valid everywhere.

    Returns:
        (3, H, W).
    """
    x, y = motion[..., 0], motion[..., 1]
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(x) & np.isfinite(y) & (np.abs(x) <= 1) & (np.abs(y) <= 1)
        if motion.shape[2] > 2:
            valid &= motion[..., 2] > 0.5
    return masked(np.stack([x, y]), valid)


def masked(places: Floats, valid: NDArray[np.bool_]) -> Floats:
    """(3, H, W) of places (2, H, W) that are valid where (H, W) says so."""
    return np.concatenate([np.where(valid, places, NOWHERE), valid[None]]).astype(np.float32)


def identity(height: int, width: int) -> Floats:
    """(3, H, W): the coordinates of a photo's own pixel centres."""
    x = (2 * np.arange(width) + 1) / width - 1
    y = 1 - (2 * np.arange(height) + 1) / height
    return np.stack([*np.meshgrid(x, y), np.ones((height, width))]).astype(np.float32)


def pixels(found: Floats, height: int, width: int) -> NDArray[np.float64]:
    """(2, H, W): column and row, from 0 at the first pixel's centre, of coordinates in a photo."""
    x, y = found[0].astype(np.float64), found[1].astype(np.float64)
    return np.stack([((x + 1) * width - 1) / 2, ((1 - y) * height - 1) / 2])


def aux_window(found: Floats, height: int, width: int, halo: int = HALO) -> Window:
    """The smallest part of a photo that holds all that is looked up, and `halo` pixels around.

    Args:
        found: (3, H, W) coordinates in the photo.
        height: of the photo in pixels.
        width: of the photo.
        halo: pixels around.
    """
    valid = found[2] > 0
    if not valid.any():
        return Window(0, 0, min(2 * halo, height), min(2 * halo, width))
    columns, rows = (values[valid] for values in pixels(found, height, width))
    # one more pixel on each side, for bilinear lookups too
    left, right = _ends(columns, width, halo + 1)
    top, bottom = _ends(rows, height, halo + 1)
    return Window(top, left, bottom - top, right - left)


def grown(window: Window, height: int, width: int, photo: tuple[int, int]) -> Window:
    """A window of this height and width around another, inside the photo as far as that is larger.

    Args:
        window: what it has to hold.
        height: not less than the window's.
        width: not less than the window's.
        photo: height and width of the photo.
    """

    def first(start: int, size: int, wanted: int, whole: int) -> int:
        return max(min(start - (wanted - size) // 2, whole - wanted), 0)

    top = first(window.top, window.height, height, photo[0])
    return Window(top, first(window.left, window.width, width, photo[1]), height, width)


def common_size(windows: list[tuple[Window, tuple[int, int]]]) -> tuple[int, int]:
    """Height and width that hold each window; multiples of STEP unless photos end before.

    Args:
        windows: each with the height and width of its photo; at least one.
    """
    sizes = []
    for axis, name in enumerate(("height", "width")):
        needed = max(getattr(window, name) for window, _ in windows)
        rounded = -(-needed // STEP) * STEP
        sizes.append(max(needed, min(rounded, max(photo[axis] for _, photo in windows))))
    return sizes[0], sizes[1]


def remapped(found: Floats, window: Window, height: int, width: int) -> Floats:
    """Coordinates in a photo as those in a window of it; (3, H, W) to (3, H, W).

    Args:
        found: coordinates in the photo.
        window: that holds all that is looked up.
        height: of the photo in pixels.
        width: of the photo.
    """
    valid = found[2] > 0
    columns, rows = pixels(found, height, width)
    x = (2 * (columns - window.left) + 1) / window.width - 1
    y = 1 - (2 * (rows - window.top) + 1) / window.height
    return masked(np.stack([x, y]).astype(np.float32), valid)


def looked_up(photo: NDArray[np.generic], found: Floats) -> NDArray[np.generic]:
    """(C, H, W): a photo (C, h, w) as seen from the target: the nearest pixel, 0 where none is."""
    height, width = photo.shape[1:]
    columns, rows = np.rint(pixels(found, height, width)).astype(np.int64)
    valid = (found[2] > 0) & (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    values = photo[:, np.where(valid, rows, 0), np.where(valid, columns, 0)]
    return np.where(valid, values, np.zeros((), photo.dtype))


def _ends(values: NDArray[np.float64], size: int, halo: int) -> tuple[int, int]:
    """First pixel, and the one behind the last, of an axis with `size` pixels."""
    low, high = int(np.floor(values.min())) - halo, int(np.ceil(values.max())) + halo + 1
    return max(low, 0), min(high, size)
