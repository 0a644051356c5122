"""Masks as run lengths: of CVAT (rows of a rectangle), of COCO (columns of the whole image).

COCO's compact text form is that of pycocotools' `rleToString`: five bits a character, numbers from
the third on as differences to the one before the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core.formats.shapes import Mask

LIMIT = 1 << 28
"""Pixels of a mask; more is taken for damage."""


def pixels(mask: Mask) -> NDArray[np.bool_]:
    """The rectangle of a mask, bool of shape (height, width).

    Raises:
        ValueError: negative runs, or more pixels than the rectangle has.
    """
    return _unrolled(mask.counts, mask.width * mask.height).reshape(mask.height, mask.width)


def of_pixels(image: NDArray[np.bool_], left: int = 0, top: int = 0) -> Mask:
    """The mask of bool pixels (height, width), cut to the object; `left`, `top`: where they lie."""
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    if not rows.size:
        return Mask(left, top, 0, 0, ())
    cut = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = cut.shape
    counts = _rolled(cut.ravel())
    return Mask(left + int(columns[0]), top + int(rows[0]), width, height, counts)


def tight_box(mask: Mask) -> tuple[float, float, float, float] | None:
    """Left, top, right, bottom of the object's pixels; None where there are none."""
    cut = of_pixels(pixels(mask), mask.left, mask.top)
    if not cut.width:
        return None
    return (
        float(cut.left),
        float(cut.top),
        float(cut.left + cut.width),
        float(cut.top + cut.height),
    )


def area(mask: Mask) -> int:
    """Pixels of the object."""
    return sum(mask.counts[1::2])


def to_coco(mask: Mask, width: int, height: int) -> dict[str, Any]:
    """Uncompressed COCO run lengths in an image of the given size; what lies beyond is cut off."""
    whole = np.zeros((height, width), dtype=np.bool_)
    top, left = max(mask.top, 0), max(mask.left, 0)
    bottom, right = min(mask.top + mask.height, height), min(mask.left + mask.width, width)
    if bottom > top and right > left:
        cut = pixels(mask)[top - mask.top : bottom - mask.top, left - mask.left : right - mask.left]
        whole[top:bottom, left:right] = cut
    return {"size": [height, width], "counts": list(_rolled(whole.ravel(order="F")))}


def from_coco(segmentation: Any) -> Mask:
    """The mask of COCO run lengths, compressed or not.

    Raises:
        ValueError: damaged.
    """
    try:
        height, width = (int(side) for side in segmentation["size"])
        counts = segmentation["counts"]
        if isinstance(counts, str):
            counts = _decompressed(counts)
        flat = _unrolled([int(count) for count in counts], width * height)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no COCO run lengths: {error}") from None
    return of_pixels(flat.reshape(width, height).T)


def _unrolled(counts: Sequence[int], size: int) -> NDArray[np.bool_]:
    if size < 0 or any(count < 0 for count in counts):
        raise ValueError("run lengths and sizes must not be negative")
    if size > LIMIT:
        raise ValueError(f"a mask of {size} pixels is too large: up to {LIMIT} are read")
    if sum(counts) > size:
        raise ValueError(f"run lengths of {sum(counts)} pixels, but only {size} are there")
    flat = np.zeros(size, dtype=np.bool_)
    ends = np.cumsum(np.asarray(counts, dtype=np.int64))
    for start, end in zip(ends[0::2], ends[1::2], strict=False):
        flat[start:end] = True
    return flat


def _rolled(flat: NDArray[np.bool_]) -> tuple[int, ...]:
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = [0, *changes.tolist(), flat.size]
    runs = [end - start for start, end in pairwise(edges)]
    return tuple([0, *runs] if flat.size and flat[0] else runs)


def _decompressed(text: str) -> Iterable[int]:
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"{letter!r} does not occur in compressed run lengths")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
        value = shift = 0
    if shift:
        raise ValueError("compressed run lengths end in the middle of a number")
    return counts
