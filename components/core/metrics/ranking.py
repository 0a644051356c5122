"""Figures of rankings: average precision, precision-recall and ROC curves, top-k accuracy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def precision_recall(actual: Bools, scores: NDArray[np.floating]) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and threshold of each distinct cut, from the highest score down.

    Args:
        actual: `(N,)` truth of one class.
        scores: `(N,)`, larger is more likely.

    Returns:
        Three arrays of equal length; recall is NaN where there is no positive.
    """
    order = np.argsort(-scores)
    ranked = scores[order]
    hits = np.cumsum(actual[order], dtype=np.int64)
    last = _ends(ranked)
    positives = hits[-1] if len(hits) else 0
    recall = hits[last] / positives if positives else np.full(len(last), np.nan)
    return hits[last] / (last + 1), recall, ranked[last].astype(np.float64)


def average_precision(actual: Bools, scores: NDArray[np.floating]) -> Floats:
    """Average precision of each class, `(C,)`; NaN for a class without positives.

    The sum over distinct cuts of (recall gained) x precision, without interpolation.

    Args:
        actual: `(N, C)` truth.
        scores: `(N, C)`, larger is more likely.
    """
    values = np.full(actual.shape[1], np.nan)
    for column in np.flatnonzero(actual.any(axis=0)):
        precision, recall, _ = precision_recall(actual[:, column], scores[:, column])
        values[column] = np.sum(np.diff(recall, prepend=0.0) * precision)
    return values


def weighted_average_precision(
    actual: Bools, scores: NDArray[np.floating], weights: NDArray[np.floating]
) -> Floats:
    """Average precision under several weightings of the rows, for resampling.

    Args:
        actual: `(N,)` truth of one class.
        scores: `(N,)`.
        weights: `(R, N)` non-negative row weights.

    Returns:
        `(R,)`, NaN where no positive has weight.
    """
    order = np.argsort(-scores)
    last = _ends(scores[order])
    heavy = weights[:, order].astype(np.float64)
    hits = np.cumsum(heavy * actual[order], axis=1)[:, last]
    seen = np.cumsum(heavy, axis=1)[:, last]
    gained = np.diff(hits, axis=1, prepend=0.0)
    area = np.sum(gained * np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0), axis=1)
    total = hits[:, -1]
    values: Floats = np.divide(area, total, out=np.full(len(area), np.nan), where=total > 0)
    return values


def micro_roc(
    actual: Bools, scores: NDArray[np.floating], points: int = 50
) -> list[tuple[float, float, float]]:
    """At most `points` (false positive rate, true positive rate, threshold) of all labels pooled.

    Thresholds are finite; empty when the labels are all alike.
    """
    truth, flat = actual.ravel(), scores.ravel().astype(np.float64)
    positives = int(truth.sum())
    if positives in (0, len(truth)):
        return []
    order = np.argsort(-flat)
    hits = np.cumsum(truth[order])
    ends = _ends(flat[order])
    picked = ends[np.unique(np.linspace(0, len(ends) - 1, points).astype(np.int64))]
    false = picked + 1 - hits[picked]
    rows = zip(
        false / (len(truth) - positives), hits[picked] / positives, flat[order][picked], strict=True
    )
    return [(float(a), float(b), float(c)) for a, b, c in rows]


def in_top_k(labels: NDArray[np.integer], scores: NDArray[np.floating], k: int) -> Bools:
    """Whether each row's true class is among its k highest scores, `(N,)`.

    Of equal scores the class with the larger number counts as higher, as in scikit-learn.
    """
    best = np.argsort(scores, axis=1, kind="stable")[:, -k:]
    return np.asarray((best == labels[:, None]).any(axis=1))


def top_k_accuracy(labels: NDArray[np.integer], scores: NDArray[np.floating], k: int) -> float:
    """Share of the rows whose true class is among the k highest scores."""
    return float(in_top_k(labels, scores, k).mean()) if len(labels) else float("nan")


def _ends(ranked: NDArray[np.floating]) -> NDArray[np.int64]:
    """Position of the last of each run of equal scores in a sorted array."""
    if not len(ranked):
        return np.empty(0, dtype=np.int64)
    return np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
