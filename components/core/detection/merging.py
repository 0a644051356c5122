"""One list of detections out of those on the tiles of an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.core.detection.matching import areas, iou_matrix
from components.core.detection.preprocessing import Tile
from components.core.detection.results import Detections

BORDER = 2.0
"""Pixels from the edge of a tile within which a box is taken to be cut there."""

COVERED = 0.7
"""A cut box of which this share lies in another of its class is a part of that one."""

ALIGNED = 0.6
"""Two cut boxes are halves of one object where their extents along the cut overlap so much."""

Edges = NDArray[np.bool_]
"""(N, 4) at which edges (left, top, right, bottom) boxes are cut by their tile."""


def merged(found: Sequence[Detections], tiles: Sequence[Tile], iou: float) -> Detections:
    """Detections in the image's coordinates, each object once.

    Of an object that several tiles show whole, the best box stays. Boxes that end at the edge of
    a tile inside the image are cut: those that are halves of one object become one, and those
    that lie in another box of their class go, whatever their scores.

    Args:
        found: on each tile, in its coordinates.
        tiles: where they lie in the image; together they cover it.
        iou: overlap from which two boxes of a class are the same object.
    """
    moved = [_moved(one, tile) for one, tile in zip(found, tiles, strict=True)]
    if not sum(map(len, moved)):
        return Detections.none()
    whole = tuple(max(tile[k] for tile in tiles) for k in (2, 3))
    cut = [_cut(one, tile, whole) for one, tile in zip(moved, tiles, strict=True)]
    everything = Detections(
        np.concatenate([one.boxes for one in moved]),
        np.concatenate([one.scores for one in moved]),
        np.concatenate([one.classes for one in moved]),
    )
    origin = np.repeat(np.arange(len(moved)), [len(one) for one in moved])
    joined, edges = _joined(everything, np.concatenate(cut), origin)
    left = joined.where(~_parts(joined, edges))
    return suppressed(left, iou)


def suppressed(found: Detections, iou: float) -> Detections:
    """Without the weaker of two boxes of a class that overlap more than `iou`; best first."""
    order = np.argsort(-found.scores, kind="stable")
    found = Detections(found.boxes[order], found.scores[order], found.classes[order])
    overlaps = iou_matrix(found.boxes, found.boxes) > iou
    overlaps &= found.classes[:, None] == found.classes[None]
    kept = np.ones(len(found), np.bool_)
    for row in range(len(found)):
        if kept[row]:
            kept[row + 1 :] &= ~overlaps[row, row + 1 :]
    return found.where(kept)


def _moved(found: Detections, tile: Tile) -> Detections:
    offset = np.array([tile[0], tile[1]] * 2, np.float32)
    return Detections(found.boxes + offset, found.scores, found.classes)


def _cut(found: Detections, tile: Tile, whole: tuple[int, ...]) -> Edges:
    inside = np.array([tile[0] > 0, tile[1] > 0, tile[2] < whole[0], tile[3] < whole[1]])
    near = np.abs(found.boxes - np.array(tile, np.float32)) <= BORDER
    return np.asarray(near & inside)


def _joined(found: Detections, edges: Edges, origin: NDArray[np.intp]) -> tuple[Detections, Edges]:
    """Halves made whole: boxes of neighbouring tiles that are cut at the edges that they share."""
    boxes, scores, edges = found.boxes.copy(), found.scores.copy(), edges.copy()
    alive = np.ones(len(found), np.bool_)
    cut = [int(row) for row in np.flatnonzero(edges.any(axis=1))]
    pairs = [
        (first, second)
        for first in cut
        for second in cut
        if found.classes[first] == found.classes[second] and origin[first] != origin[second]
    ]
    for axis in (0, 1):
        for first, second in pairs:
            if not (alive[first] and alive[second]):
                continue
            if not (edges[first, 2 + axis] and edges[second, axis]):
                continue
            if _halves(boxes[first], boxes[second], axis):
                boxes[first, :2] = np.minimum(boxes[first, :2], boxes[second, :2])
                boxes[first, 2:] = np.maximum(boxes[first, 2:], boxes[second, 2:])
                scores[first] = max(scores[first], scores[second])
                kept = edges[first] | edges[second]
                kept[axis], kept[2 + axis] = edges[first, axis], edges[second, 2 + axis]
                edges[first] = kept
                alive[second] = False
    return Detections(boxes, scores, found.classes).where(alive), edges[alive]


def _halves(first: NDArray[np.float32], second: NDArray[np.float32], axis: int) -> bool:
    """Whether `first` goes on in `second` to the right (axis 0) or below (axis 1)."""
    if first[2 + axis] < second[axis] - 2 * BORDER:
        return False
    other = 1 - axis
    both = min(first[2 + other], second[2 + other]) - max(first[other], second[other])
    either = max(first[2 + other], second[2 + other]) - min(first[other], second[other])
    return bool(both >= ALIGNED * either)


def _parts(found: Detections, edges: Edges) -> NDArray[np.bool_]:
    """Which boxes are cut and lie in a larger one of their class."""
    boxes = found.boxes.astype(np.float64)
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    own = areas(boxes)
    share = (high - low).clip(0).prod(axis=2) / np.maximum(own, 1e-9)[:, None]
    within = (share >= COVERED) & (own[None] > own[:, None])
    within &= found.classes[:, None] == found.classes[None]
    return np.asarray(edges.any(axis=1) & within.any(axis=1))
