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
    kept = np.ones(len(found), np.bool_)
    for row in range(len(found)):  # a table of all pairs would be large for many tiles
        if kept[row]:
            rest = np.flatnonzero(
                kept[row + 1 :] & (found.classes[row + 1 :] == found.classes[row])
            )
            rest += row + 1
            kept[rest] = iou_matrix(found.boxes[row : row + 1], found.boxes[rest])[0] <= iou
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
    for axis in (0, 1, 0):  # what lies on four tiles is first joined in each row of them
        low, high = axis, 2 + axis
        while True:
            first = np.flatnonzero(alive & edges[:, high])
            second = np.flatnonzero(alive & edges[:, low])
            pairs = _halves(boxes[first], boxes[second], axis)
            pairs &= found.classes[first][:, None] == found.classes[second][None]
            pairs &= origin[first][:, None] != origin[second][None]
            if not pairs.any():
                break
            for one, other in zip(*np.nonzero(pairs), strict=True):
                a, b = first[one], second[other]
                if not (alive[a] and alive[b] and edges[a, high]) or a == b:
                    continue
                boxes[a, :2] = np.minimum(boxes[a, :2], boxes[b, :2])
                boxes[a, 2:] = np.maximum(boxes[a, 2:], boxes[b, 2:])
                scores[a] = max(scores[a], scores[b])
                both = edges[a] | edges[b]
                both[low], both[high] = edges[a, low], edges[b, high]
                edges[a], origin[a] = both, origin[b]
                alive[b] = False
    return Detections(boxes, scores, found.classes).where(alive), edges[alive]


def _halves(first: NDArray[np.float32], second: NDArray[np.float32], axis: int) -> Edges:
    """(N, M): which of `first` go on in which of `second` to the right (axis 0) or below (1)."""
    a, b = first[:, None], second[None]
    low, high = axis, 2 + axis
    joined = a[..., high] >= b[..., low] - 2 * BORDER
    # The strip that both tiles show is full of the object, if it is one.
    joined &= (a[..., low] <= b[..., low] + BORDER) & (b[..., high] >= a[..., high] - BORDER)
    low, high = 1 - axis, 3 - axis
    both = np.minimum(a[..., high], b[..., high]) - np.maximum(a[..., low], b[..., low])
    either = np.maximum(a[..., high], b[..., high]) - np.minimum(a[..., low], b[..., low])
    return np.asarray(joined & (both >= ALIGNED * either))


def _parts(found: Detections, edges: Edges) -> NDArray[np.bool_]:
    """Which boxes are cut and lie in a larger one of their class."""
    parts: NDArray[np.bool_] = np.asarray(edges.any(axis=1))
    cut = np.flatnonzero(parts)
    boxes, own = found.boxes.astype(np.float64), areas(found.boxes)
    low = np.maximum(boxes[cut, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[cut, None, 2:], boxes[None, :, 2:])
    share = (high - low).clip(0).prod(axis=2) / np.maximum(own[cut], 1e-9)[:, None]
    within = (share >= COVERED) & (own[None] > own[cut, None])
    within &= found.classes[cut][:, None] == found.classes[None]
    parts[cut] = within.any(axis=1)
    return parts
