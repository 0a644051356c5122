"""Every found box with what it matches: what curves, thresholds and intervals are made of.

faster-coco-eval gives figures but not their parts; the matches here follow the same rules, so that
figures from them are the same (tested).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.core.detection.matching import NOTHING, iou_matrix, match
from components.core.detection.results import Detections
from components.core.metrics.detection import MOST, Truth, check

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Matches:
    """The found boxes of some images in descending order of the score, D of them."""

    image: Ints
    """(D,) positions of the images."""
    classes: Ints
    """(D,)."""
    scores: Floats
    """(D,)."""
    right: Bools
    """(T, D) at each overlap: matches an annotation of its class that no surer box matches."""
    ignored: Bools
    """(T, D) lies in a crowd: neither right nor wrong."""
    annotated: Ints
    """(I, C) annotations of each image and class, without crowds."""

    def of_class(self, number: int) -> Matches:
        """Those of one class; `annotated` stays."""
        own = self.classes == number
        return Matches(
            self.image[own],
            self.classes[own],
            self.scores[own],
            self.right[:, own],
            self.ignored[:, own],
            self.annotated,
        )


def matches(
    truth: Sequence[Truth],
    predictions: Sequence[Detections],
    classes: int,
    levels: Sequence[float],
) -> Matches:
    """Matches the boxes of each image and class; of each the 100 surest count.

    Args:
        truth: of each image.
        predictions: what was found on each.
        classes: how many there are.
        levels: (T,) overlaps from which a box is right, 0 to 1.

    Raises:
        ValueError: another number of images, or a class that is not there.
    """
    check(truth, predictions, classes)
    annotated = np.zeros((len(truth), classes), dtype=np.int64)
    images, numbers, scores, right, ignored = [], [], [], [], []
    for place, (true, found) in enumerate(zip(truth, predictions, strict=True)):
        annotated[place] = np.bincount(true.classes[~true.crowd], minlength=classes)
        for number in np.unique(found.classes):
            rows = np.flatnonzero(found.classes == number)
            rows = rows[np.argsort(-found.scores[rows], kind="stable")][: MOST[-1]]
            there = np.flatnonzero(true.classes == number)
            crowd = true.crowd[there]
            overlaps = iou_matrix(found.boxes[rows], true.boxes[there], crowd)
            partner = match(overlaps, levels, crowd)
            in_crowd = np.zeros(partner.shape, dtype=bool)
            in_crowd[partner != NOTHING] = crowd[partner[partner != NOTHING]]
            images.append(np.full(len(rows), place))
            numbers.append(np.full(len(rows), number))
            scores.append(found.scores[rows].astype(np.float64))
            right.append((partner != NOTHING) & ~in_crowd)
            ignored.append(in_crowd)
    if not images:
        none, table = np.zeros(0, np.int64), np.zeros((len(levels), 0), dtype=bool)
        return Matches(none, none, np.zeros(0), table, table, annotated)
    every = np.concatenate(scores)
    order = np.argsort(-every, kind="stable")
    return Matches(
        np.concatenate(images)[order].astype(np.int64),
        np.concatenate(numbers)[order].astype(np.int64),
        every[order],
        np.concatenate(right, axis=1)[:, order],
        np.concatenate(ignored, axis=1)[:, order],
        annotated,
    )
