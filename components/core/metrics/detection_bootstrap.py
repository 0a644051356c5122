"""Intervals of a detector's figures, by resampling whole recordings (percentile bootstrap).

Images of one recording resemble each other, so a resample draws recordings (B. Efron and
R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 8). Which box matches which object
does not depend on the other images: a resample is a weight for each image, and its average
precision one pass over the sorted scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.core.metrics.bootstrap import group_numbers
from components.core.metrics.detection import RECALLS
from components.core.metrics.detection_matches import Matches

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHUNK_BYTES = 32 << 20


def image_weights(groups: Sequence[str], replicates: int, seed: int) -> Ints:
    """(R, I) how often each image is drawn in each resample of the groups.

    Args:
        groups: of each image; '' makes an image a group of its own.
        replicates: how many resamples.
        seed: of the draws.
    """
    numbers = group_numbers(groups)
    count = int(numbers.max(initial=-1)) + 1
    drawn = np.random.default_rng(seed).multinomial(
        count, np.full(count, 1 / max(count, 1)), size=replicates
    )
    return np.asarray(drawn[:, numbers])


def resampled(found: Matches, weights: Ints) -> tuple[Floats, Floats]:
    """Average precision and recall of each resample, class and overlap.

    Args:
        found: the boxes of all images, matched at T overlaps.
        weights: (R, I).

    Returns:
        Two tables (R, C, T), NaN where nothing of the class is annotated in the resample.
    """
    classes = found.annotated.shape[1]
    shape = (len(weights), classes, len(found.right))
    precision, recall = np.full(shape, np.nan), np.full(shape, np.nan)
    for number in range(classes):
        own = found.of_class(number)
        step = max(1, CHUNK_BYTES // (8 * max(len(own.scores), 1)))
        for start in range(0, len(weights), step):
            rows = slice(start, start + step)
            precision[rows, number], recall[rows, number] = _of_class(own, number, weights[rows])
    return precision, recall


def _of_class(own: Matches, number: int, weights: Ints) -> tuple[Floats, Floats]:
    """Tables (R, T) of one class."""
    positives = (weights @ own.annotated[:, number]).astype(np.float64)
    known = positives > 0
    each = weights[:, own.image].astype(np.float64)
    levels = len(own.right)
    precision = np.full((len(weights), levels), np.nan)
    recall = np.full((len(weights), levels), np.nan)
    # Boxes up to each box, right or wrong; the same at all overlaps unless there are crowds.
    judged = each.cumsum(axis=1) if not own.ignored.any() else None
    for level in range(levels):
        hits = np.flatnonzero(own.right[level])
        right = each[:, hits].cumsum(axis=1)
        total = (judged if judged is not None else (each * ~own.ignored[level]).cumsum(axis=1))[
            :, hits
        ]
        for row in np.flatnonzero(known):
            reached = right[row] / positives[row]
            precision[row, level] = _average(reached, right[row], total[row])
            recall[row, level] = reached[-1] if len(reached) else 0.0
    return precision, recall


def _average(recall: Floats, right: Floats, total: Floats) -> float:
    """Mean over RECALLS of the best precision at that recall or beyond, as COCO interpolates."""
    if not len(recall):
        return 0.0
    best = np.maximum.accumulate((right / (total + np.spacing(1)))[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    return float(best[places[places < len(best)]].sum() / len(RECALLS))
