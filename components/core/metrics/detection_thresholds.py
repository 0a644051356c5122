"""Score thresholds of a detector, one per class, chosen on validation data; and calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.core.metrics.detection_matches import Matches

Floats = NDArray[np.float64]

DEFAULT = 0.5
BINS = 10


def best_thresholds(found: Matches, level: int = 0) -> Floats:
    """The threshold of each class that maximises its F1.

    It lies halfway between the last score that it accepts and the first that it rejects, so that it
    does not hang on one box; of equally good ones the one nearest 0.5 is taken. A class that is not
    annotated, or of which no box is right, keeps 0.5.

    Args:
        found: matches on the validation images.
        level: which of their overlaps decides.

    Returns:
        (C,) in (0, 1]; a box counts where its score reaches that of its class.
    """
    positives = found.annotated.sum(axis=0)
    thresholds = np.full(len(positives), DEFAULT)
    for number in np.flatnonzero(positives):
        own = found.of_class(int(number))
        judged = ~own.ignored[level]
        scores, right = own.scores[judged], own.right[level][judged]
        if right.any():
            thresholds[number] = _best(scores, right, int(positives[number]))
    return thresholds


def _best(scores: Floats, right: NDArray[np.bool_], positives: int) -> float:
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    f1 = 2 * right.cumsum()[ends] / (ends + 1 + positives)
    accepted = scores[ends]
    rejected = np.append(accepted[1:], 0.0)
    best = f1 >= f1.max() - 1e-12
    high, low = accepted[best], rejected[best]
    if ((low < DEFAULT) & (high >= DEFAULT)).any():
        return DEFAULT
    middles = (high + low) / 2
    return float(middles[np.abs(middles - DEFAULT).argmin()])


@dataclass(frozen=True)
class Reliability:
    """Boxes in bins of equal width over the scores, empty ones included."""

    edges: Floats
    """(BINS + 1,)."""
    boxes: NDArray[np.int64]
    """(BINS,)."""
    scores: Floats
    """(BINS,) mean score, NaN where there is no box."""
    precision: Floats
    """(BINS,) share of right boxes, NaN where there is no box."""
    error: float
    """Expected calibration error, 0 to 1."""


def reliability(found: Matches, level: int = 0) -> Reliability | None:
    """Whether of boxes with a score of 0.8 eight in ten are right; None without boxes.

    C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017; here with the precision of
    boxes in place of the accuracy, as there are no true negatives.
    """
    judged = ~found.ignored[level]
    scores, right = found.scores[judged], found.right[level][judged]
    if not len(scores):
        return None
    places = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    boxes = np.bincount(places, minlength=BINS)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(places, weights=scores, minlength=BINS) / boxes
        precision = np.bincount(places, weights=right, minlength=BINS) / boxes
    gaps = np.nan_to_num(np.abs(mean - precision))
    error = float((gaps * boxes).sum() / len(scores))
    return Reliability(np.linspace(0, 1, BINS + 1), boxes, mean, precision, error)
