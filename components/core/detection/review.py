"""Which detections become annotations, and which images a person should look at first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from components.core.detection.matching import iou_matrix
from components.core.detection.results import Detections


def above(found: Detections, thresholds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) which detections reach the threshold of their class; `thresholds` is (C,)."""
    reached: NDArray[np.bool_] = found.scores >= thresholds[found.classes]
    return reached


def free(
    found: Detections,
    boxes: NDArray[np.float32],
    classes: NDArray[np.int64],
    iou: float,
    per_class: bool = False,
) -> NDArray[np.bool_]:
    """(N,) which detections overlap no existing box by more than `iou`.

    Args:
        found: the detections.
        boxes: (M, 4) existing ones: left, top, right, bottom.
        classes: (M,) theirs; -1 for classes that the model does not know.
        iou: intersection over union that is still accepted.
        per_class: only boxes of the same class count.
    """
    if not len(found) or not len(boxes):
        return np.ones(len(found), bool)
    overlaps = iou_matrix(found.boxes, boxes) > iou
    if per_class:
        overlaps &= found.classes[:, None] == classes[None]
    return np.asarray(~overlaps.any(axis=1))


def doubts(found: Detections, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) how doubtful it is, 0 to 0.5, whether each detection is an object.

    A score at the threshold of its class is worth 0.5, which falls linearly to 0 at the scores 0
    and 1. Classes that are left out are no doubt. The sum over an image (Brust, Käding and Denzler,
    "Active learning for deep object detection", 2019, sum aggregation) grows with the number of
    boxes that a person has to decide about.
    """
    cut = thresholds[found.classes]
    scores = found.scores.astype(np.float64)
    inside = np.isfinite(cut)
    below = np.divide(scores, cut, out=np.ones_like(scores), where=inside & (cut > 0))
    beyond = np.divide(1 - scores, 1 - cut, out=np.ones_like(scores), where=inside & (cut < 1))
    worth: NDArray[np.float64] = 0.5 * np.minimum(below, beyond).clip(0, 1)
    return np.where(inside, worth, 0.0)
