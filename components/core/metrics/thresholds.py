"""Decision thresholds of a multi-label classifier, one per class, chosen on validation data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from components.core.metrics.ranking import precision_recall

DEFAULT = 0.5


def tune_thresholds(
    actual: NDArray[np.bool_], probabilities: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The threshold of each class that maximises its F1 on the given (validation) clips.

    A threshold lies halfway between the last probability it accepts and the first it rejects, so
    that it does not hang on one clip; of equally good cuts the one nearest 0.5 is taken. A class
    without positives keeps 0.5.

    Args:
        actual: `(N, C)` truth.
        probabilities: `(N, C)` in [0, 1].

    Returns:
        `(C,)` thresholds in (0, 1]; a class is chosen where its probability reaches it.
    """
    thresholds = np.full(actual.shape[1], DEFAULT)
    for column in np.flatnonzero(actual.any(axis=0)):
        precision, recall, cuts = precision_recall(actual[:, column], probabilities[:, column])
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
        middles = (cuts + np.append(cuts[1:], 0.0)) / 2
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        thresholds[column] = _nearest_half(
            cuts[best], middles[best], np.append(cuts[1:], 0.0)[best]
        )
    return thresholds


def _nearest_half(
    accepted: NDArray[np.float64], middles: NDArray[np.float64], rejected: NDArray[np.float64]
) -> float:
    """One of the cuts `rejected < threshold <= accepted`: 0.5 if it is one, else the nearest."""
    if ((rejected < DEFAULT) & (accepted >= DEFAULT)).any():
        return DEFAULT
    return float(middles[np.abs(middles - DEFAULT).argmin()])
