"""What is right and wrong about the boxes that count: kinds of mistakes, and the confusion.

The kinds follow D. Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors,
ECCV 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from components.core.detection.matching import NOTHING, iou_matrix, match
from components.core.detection.results import Detections
from components.core.metrics.detection import Truth

NEAR = 0.1
"""Overlap from which a box was meant for an object, however poorly it fits."""


class Kind(StrEnum):
    """What a found box is."""

    RIGHT = "right"
    WRONG_CLASS = "wrong_class"
    """On an object of another class that no box of its class found."""
    DUPLICATE = "duplicate"
    """On an object that another box has found."""
    POOR_BOX = "poor_box"
    """Overlaps an object of its class too little."""
    BACKGROUND = "background"
    """Nothing is annotated there."""
    IGNORED = "ignored"
    """In a crowd of its class."""


@dataclass(frozen=True)
class Judged:
    """The boxes of one image that reach the thresholds."""

    found: Detections
    """N boxes in descending order of the score."""
    kinds: list[Kind]
    """(N,)."""
    partner: NDArray[np.int64]
    """(N,) the annotation that a box is right or of the wrong class about, or NOTHING."""
    overlap: NDArray[np.float64]
    """(N,) with the partner; elsewhere the largest with any annotation."""
    missed: NDArray[np.int64]
    """Annotations, without crowds, that no right box matches; also those of the wrong class."""


def judge(truth: Truth, found: Detections, thresholds: NDArray[np.float64], iou: float) -> Judged:
    """Judges what was found on one image.

    An object is first given to a box of its own class, the surest one, so that right boxes are the
    same as those that precision and recall count; what then is left over of both is matched
    regardless of the class. Every box and every object is used once.

    Args:
        truth: of the image.
        found: on it.
        thresholds: (C,) scores from which boxes of each class count.
        iou: overlap from which a box and an object belong together.
    """
    counts = found.where(found.scores >= thresholds[found.classes])
    counts = _in_order(counts)
    overlaps = iou_matrix(counts.boxes, truth.boxes, truth.crowd)
    same = counts.classes[:, None] == truth.classes[None]
    partner = match(np.where(same, overlaps, -1.0), [iou], truth.crowd)[0]
    matched = partner != NOTHING
    in_crowd = np.zeros(len(counts), dtype=bool)
    in_crowd[matched] = truth.crowd[partner[matched]]
    partner[in_crowd] = NOTHING
    right = matched & ~in_crowd
    left = np.flatnonzero(~matched)
    free = ~truth.crowd
    free[partner[right]] = False
    missed = np.flatnonzero(free)
    others = match(overlaps[np.ix_(left, missed)], [iou])[0]
    partner[left[others != NOTHING]] = missed[others[others != NOTHING]]
    single = np.where(truth.crowd[None], 0.0, overlaps)
    own = np.where(same, single, 0.0)
    largest, largest_own = single.max(axis=1, initial=0), own.max(axis=1, initial=0)
    kinds = []
    for row in range(len(counts)):
        if in_crowd[row]:
            kinds.append(Kind.IGNORED)
        elif right[row]:
            kinds.append(Kind.RIGHT)
        elif partner[row] != NOTHING:
            kinds.append(Kind.WRONG_CLASS)
        elif largest[row] >= iou:
            kinds.append(Kind.DUPLICATE)
        else:
            kinds.append(Kind.POOR_BOX if largest_own[row] >= NEAR else Kind.BACKGROUND)
    has = partner != NOTHING
    if has.any():
        largest = np.where(has, single[np.arange(len(counts)), np.where(has, partner, 0)], largest)
    return Judged(counts, kinds, partner, largest, missed)


def confusion(truth: Sequence[Truth], judged: Sequence[Judged], classes: int) -> NDArray[np.int64]:
    """(C + 1, C + 1) boxes by annotated class (rows) and found class (columns).

    The last row is boxes without an object, the last column objects without a box. Boxes in crowds
    are left out.
    """
    counts = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    for true, one in zip(truth, judged, strict=True):
        for row, kind in enumerate(one.kinds):
            if kind is not Kind.IGNORED:
                place = one.partner[row]
                actual = classes if place == NOTHING else true.classes[place]
                counts[actual, one.found.classes[row]] += 1
        taken = one.partner[one.partner != NOTHING]
        alone = np.setdiff1d(np.flatnonzero(~true.crowd), taken)
        counts[:, classes] += np.bincount(true.classes[alone], minlength=classes + 1)
    return counts


def _in_order(found: Detections) -> Detections:
    order = np.argsort(-found.scores, kind="stable")
    return Detections(found.boxes[order], found.scores[order], found.classes[order])
