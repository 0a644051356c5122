"""Classification figures from counts: confusion tables, F1, precision, recall, accuracy.

Targets and predictions are boolean `(N, C)` tables with one row per clip and one column per
class; a single-label problem has exactly one True per row. A ratio 0/0 (precision of a class
that is never predicted, F1 of a class that neither occurs nor is predicted) is undefined: NaN
in arrays, left out of means, and named in `Figures.undefined`. That is scikit-learn's
`zero_division=np.nan`. The one exception is the F1 of a row, see `samples_f1`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from components.core.metrics.ranking import average_precision, top_k_accuracy

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """The figures of one set of predictions; every number in `scalars` is finite."""

    scalars: dict[str, float]
    per_class: dict[str, Floats]
    """Figure → `(C,)` values in class order, NaN where undefined."""
    undefined: dict[str, list[str]] = field(default_factory=dict)
    """Figure → names of the classes without a value; they are not part of its mean."""


def one_hot(labels: NDArray[np.integer], classes: int) -> Bools:
    """Class numbers `(N,)` in 0..classes-1 as a boolean `(N, classes)` table."""
    table = np.zeros((len(labels), classes), dtype=bool)
    table[np.arange(len(labels)), labels] = True
    return table


def predict_single(probabilities: NDArray[np.floating]) -> Bools:
    """The most probable class of each row; of equal ones the first."""
    return one_hot(probabilities.argmax(axis=1), probabilities.shape[1])


def predict_multi(probabilities: NDArray[np.floating], thresholds: Floats | float = 0.5) -> Bools:
    """Every class whose probability reaches its threshold (scalar or one per class)."""
    return np.asarray(probabilities >= thresholds)


def confusion_single(actual: Bools, predicted: Bools) -> Ints:
    """`(C, C)` counts, rows the true and columns the predicted class."""
    classes = actual.shape[1]
    cells = actual.argmax(axis=1) * classes + predicted.argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def confusion_multi(actual: Bools, predicted: Bools) -> Ints:
    """`(C, 2, 2)` counts, for each class [[TN, FP], [FN, TP]]."""
    both = np.count_nonzero(actual & predicted, axis=0)
    positive = np.count_nonzero(actual, axis=0)
    chosen = np.count_nonzero(predicted, axis=0)
    neither = len(actual) - positive - chosen + both
    table = np.stack([neither, chosen - both, positive - both, both], axis=1)
    return table.reshape(-1, 2, 2).astype(np.int64)


def ratio(numerator: NDArray[np.generic], denominator: NDArray[np.generic]) -> Floats:
    """Elementwise quotient, NaN where the denominator is 0."""
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.asarray(denominator, dtype=np.float64)
    quotient: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return quotient


def mean_defined(values: Floats, axis: int = -1) -> Floats:
    """Mean over the values that are not NaN; NaN where none is."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis))


def samples_f1(actual: Bools, predicted: Bools) -> Floats:
    """F1 of each row's label set, `(N,)`.

    Unlike a class, a row without true and chosen labels counts, with 0: so do scikit-learn's
    default (`zero_division=0`) and published figures, and so every row weighs the same.
    """
    both = np.count_nonzero(actual & predicted, axis=1)
    sizes = np.count_nonzero(actual, axis=1) + np.count_nonzero(predicted, axis=1)
    return np.nan_to_num(ratio(2 * both, sizes))


def figures(
    actual: Bools,
    predicted: Bools,
    classes: Sequence[str],
    scores: NDArray[np.floating] | None = None,
    *,
    multi_label: bool,
    top_k: int = 0,
) -> Figures:
    """All classification figures of one set of predictions.

    Args:
        actual: true labels, `(N, C)`.
        predicted: chosen labels, `(N, C)`.
        classes: the C class names.
        scores: `(N, C)`, larger is more likely; for average precision and top-k. Any monotonic
            scale per class will do for the former.
        multi_label: whether a row may hold any number of labels.
        top_k: also the share of rows whose true class is among the k best scores (single-label
            only; 0 or k >= C leaves it out).
    """
    table = confusion_multi(actual, predicted)
    both, chosen, positive = table[:, 1, 1], table[:, :, 1].sum(axis=1), table[:, 1].sum(axis=1)
    per_class = {
        "precision": ratio(both, chosen),
        "recall": ratio(both, positive),
        "f1": ratio(2 * both, chosen + positive),
    }
    totals = {
        "macro_f1": mean_defined(per_class["f1"]),
        "micro_f1": ratio(2 * both.sum(), (chosen + positive).sum()),
        "macro_precision": mean_defined(per_class["precision"]),
        "macro_recall": mean_defined(per_class["recall"]),
        "macro_precision_all_classes": np.nan_to_num(per_class["precision"]).mean(),
        "macro_f1_all_classes": np.nan_to_num(per_class["f1"]).mean(),
    }
    whole = float((actual == predicted).all(axis=1).mean()) if len(actual) else np.nan
    if multi_label:
        totals["samples_f1"] = mean_defined(samples_f1(actual, predicted))
    totals["exact_match" if multi_label else "accuracy"] = np.asarray(whole)
    if scores is not None:
        per_class["average_precision"] = average_precision(actual, scores)
        totals["mean_average_precision"] = mean_defined(per_class["average_precision"])
        if not multi_label and 0 < top_k < len(classes):
            hits = top_k_accuracy(actual.argmax(axis=1), scores, top_k)
            totals[f"top_{top_k}_accuracy"] = np.asarray(hits)
    undefined = {name: _unnamed(values, classes) for name, values in per_class.items()}
    undefined |= {name: [] for name, value in totals.items() if np.isnan(value)}
    return Figures(
        scalars={name: float(value) for name, value in totals.items() if not np.isnan(value)},
        per_class={**per_class, "support": positive.astype(float), "chosen": chosen.astype(float)},
        undefined={
            name: names for name, names in undefined.items() if names or name not in per_class
        },
    )


def chance_macro_f1(actual: Bools) -> float:
    """Macro F1 of guessing each class as often as it occurs: the mean class frequency.

    With p the frequency of a class, precision and recall of such guesses are both p, hence F1
    too; over the C classes of a single-label problem that averages to 1/C.
    """
    share = actual.mean(axis=0)
    return float(share[share > 0].mean()) if share.any() else 0.0


def _unnamed(values: Floats, classes: Sequence[str]) -> list[str]:
    return [name for name, value in zip(classes, values, strict=True) if np.isnan(value)]
