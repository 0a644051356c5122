"""What one still frame tells: a linear classifier on the middle frame of each clip.

Where it does as well as the video model, the model has not shown that it uses motion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from components.core.metrics.classification import (
    Bools,
    figures,
    one_hot,
    predict_multi,
    predict_single,
)

SIDE = 32
"""Frames are scaled to SIDE x SIDE RGB."""

TRAIN_LIMIT = 4000
"""Clips that are worth using at most, so that the baseline stays a matter of seconds."""

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Inverse regularisation tried; the best on the validation part is kept."""


def sampled(rows: Sequence[int], seed: int, limit: int = TRAIN_LIMIT) -> list[int]:
    """`rows`, or a random `limit` of them in their order."""
    if len(rows) <= limit:
        return list(rows)
    picked = np.random.default_rng(seed).permutation(len(rows))[:limit]
    return [rows[position] for position in sorted(picked.tolist())]


def still_features(frames: Iterable[NDArray[np.uint8]], side: int = SIDE) -> NDArray[np.float32]:
    """Scales frames `(H, W, 3)` uint8 to rows `(side * side * 3,)` in [0, 1]."""
    import cv2

    rows = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]
    if not rows:
        return np.empty((0, side * side * 3), dtype=np.float32)
    return np.stack(rows).reshape(len(rows), -1).astype(np.float32) / np.float32(255)


def fit_still_classifier(
    train: tuple[NDArray[np.float32], Bools],
    val: tuple[NDArray[np.float32], Bools],
    *,
    multi_label: bool,
) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Fits logistic regression on standardised pixels, classes weighted equally.

    Args:
        train: features `(N, F)` and labels `(N, C)` to fit on.
        val: the same of the clips that choose the regularisation; may be empty.
        multi_label: one sigmoid per class instead of a softmax.

    Returns:
        A function from features `(N, F)` to probabilities `(N, C)`; classes without a training
        clip have probability 0.
    """
    features, labels = train
    fit = _fit_multi if multi_label else _fit_single
    if not len(val[0]):
        return fit(features, labels, STRENGTHS[1])
    candidates = [fit(features, labels, strength) for strength in STRENGTHS]
    scores = [_macro_f1(val[1], candidate(val[0]), multi_label) for candidate in candidates]
    return candidates[int(np.argmax(scores))]


def _macro_f1(actual: Bools, probabilities: NDArray[np.float64], multi_label: bool) -> float:
    predicted = predict_multi(probabilities) if multi_label else predict_single(probabilities)
    names = [str(number) for number in range(actual.shape[1])]
    result = figures(actual, predicted, names, multi_label=multi_label)
    return result.scalars.get("macro_f1", 0.0)


def _fit_single(
    features: NDArray[np.float32], labels: Bools, strength: float
) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    classes = labels.shape[1]
    numbers = labels.argmax(axis=1)
    present = np.unique(numbers)
    if len(present) == 1:
        return lambda rows: np.tile(one_hot(present, classes).astype(np.float64), (len(rows), 1))
    model = _pipeline(strength).fit(features, numbers)

    def predict(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        result = np.zeros((len(rows), classes))
        result[:, present] = model.predict_proba(rows)
        return result

    return predict


def _fit_multi(
    features: NDArray[np.float32], labels: Bools, strength: float
) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    models = [
        _pipeline(strength).fit(features, column) if 0 < column.sum() < len(column) else None
        for column in labels.T
    ]
    constant = labels.mean(axis=0)

    def predict(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        result = np.tile(constant.astype(np.float64), (len(rows), 1))
        for column, model in enumerate(models):
            if model is not None:
                result[:, column] = model.predict_proba(rows)[:, 1]
        return result

    return predict


def _pipeline(strength: float):  # type: ignore[no-untyped-def]  # scikit-learn has no types
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = LogisticRegression(C=strength, class_weight="balanced", max_iter=300)
    return make_pipeline(StandardScaler(), classifier)
