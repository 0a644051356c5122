"""Which found box is which annotated one: overlaps, and one-to-one matches by score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NOTHING = -1
"""In a table of matches: no box."""

_ALMOST_ONE = 1 - 1e-10
"""What COCO takes for a threshold of 1, which rounding would never let any pair reach."""


def iou_matrix(a: ArrayLike, b: ArrayLike, crowd: ArrayLike | None = None) -> Floats:
    """How much boxes overlap: intersection over union, or over `a` alone where `b` is a crowd.

    Args:
        a: (N, 4) left, top, right, bottom in pixels.
        b: (M, 4).
        crowd: (M,) whether a box of `b` is around many objects (COCO's iscrowd); default none.

    Returns:
        (N, M), 0 to 1; 0 where both have no area.
    """
    first, second = _boxes(a), _boxes(b)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = (high - low).clip(0).prod(axis=2)
    own = areas(first)[:, None]
    union = own + areas(second)[None] - both
    if crowd is not None:
        union = np.where(np.asarray(crowd, dtype=bool)[None], own, union)
    return np.asarray(np.divide(both, union, out=np.zeros_like(both), where=union > 0))


def areas(boxes: ArrayLike) -> Floats:
    """(N,) square pixels of boxes (N, 4); 0 for those turned inside out."""
    corners = _boxes(boxes)
    return np.asarray((corners[:, 2:] - corners[:, :2]).clip(0).prod(axis=1))


def match(overlaps: Floats, thresholds: ArrayLike, crowd: ArrayLike | None = None) -> Ints:
    """Gives every found box at most one annotated one, the surest first, as COCO does.

    Each takes the free box that it overlaps most; where none reaches the threshold, a crowd that
    does. A crowd may be taken any number of times: what matches it is neither right nor wrong.

    Args:
        overlaps: (N, M) see `iou_matrix`; rows in descending order of the score.
        thresholds: (T,) overlaps from which two boxes may belong together, 0 to 1.
        crowd: (M,) which annotated boxes are crowds; default none.

    Returns:
        (T, N) positions among the M, NOTHING where there is none.
    """
    levels = np.minimum(np.asarray(thresholds, dtype=np.float64), _ALMOST_ONE)
    found, there = overlaps.shape
    is_crowd = np.zeros(there, bool) if crowd is None else np.asarray(crowd, dtype=bool)
    matched = np.full((len(levels), found), NOTHING, dtype=np.int64)
    if not found or not there or not len(levels):
        return matched
    # Positions from the last: of equal overlaps COCO takes the later box.
    singles, crowds = np.flatnonzero(~is_crowd)[::-1], np.flatnonzero(is_crowd)[::-1]
    free = np.ones((len(levels), len(singles)), dtype=bool)
    levels_at = np.arange(len(levels))
    for row in np.flatnonzero(overlaps.max(axis=1) >= levels.min()):
        rest = np.ones(len(levels), dtype=bool)
        if len(singles):
            own = overlaps[row, singles]
            usable = free & (own >= levels[:, None])
            best = np.where(usable, own, -1.0).argmax(axis=1)
            hit = usable[levels_at, best]
            matched[hit, row] = singles[best[hit]]
            free[levels_at[hit], best[hit]] = False
            rest = ~hit
        if len(crowds) and rest.any():
            own = overlaps[row, crowds]
            reached = rest & (own.max() >= levels)
            matched[reached, row] = crowds[own.argmax()]
    return matched


def _boxes(boxes: ArrayLike) -> Floats:
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
