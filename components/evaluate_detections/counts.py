"""Precision, recall and F1 of the boxes that count, from counts of each image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.core.metrics.classification import mean_defined, ratio
from components.core.metrics.detection import SIZES, Truth
from components.core.metrics.detection_judgement import Judged, Kind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def counted_boxes(
    truth: Sequence[Truth], judged: Sequence[Judged], classes: int
) -> tuple[Ints, Ints, Ints]:
    """Right boxes, all boxes and annotations of each image and class, (I, C) each.

    Crowds, and boxes in them, are left out.
    """
    tables = np.zeros((3, len(truth), classes), dtype=np.int64)
    for place, (true, one) in enumerate(zip(truth, judged, strict=True)):
        kinds = np.array(one.kinds, dtype=object)
        own = one.found.classes
        tables[0, place] = np.bincount(own[kinds == Kind.RIGHT], minlength=classes)
        tables[1, place] = np.bincount(own[kinds != Kind.IGNORED], minlength=classes)
        tables[2, place] = np.bincount(true.classes[~true.crowd], minlength=classes)
    return tables[0], tables[1], tables[2]


def rates(right: Floats, found: Floats, annotated: Floats) -> dict[str, Floats]:
    """Precision, recall and F1 of sums (R, C): of each class, their means, and pooled.

    Returns:
        `precision`, `recall`, `f1` (R, C); `macro_…` and `micro_…` (R,); NaN where undefined.
    """
    each = _rates(right, found, annotated)
    pooled = _rates(right.sum(axis=1), found.sum(axis=1), annotated.sum(axis=1))
    means = {f"macro_{name}": mean_defined(values) for name, values in each.items()}
    return {**each, **means, **{f"micro_{name}": values for name, values in pooled.items()}}


def _rates(right: Floats, found: Floats, annotated: Floats) -> dict[str, Floats]:
    return {
        "precision": ratio(right, found),
        "recall": ratio(right, annotated),
        "f1": ratio(2 * right, found + annotated),
    }


def found_by_size(truth: Sequence[Truth], judged: Sequence[Judged]) -> dict[str, tuple[int, int]]:
    """Size → annotations, and how many of them are found; crowds are left out."""
    counts = {name: [0, 0] for name in SIZES}
    for true, one in zip(truth, judged, strict=True):
        hit = np.ones(len(true), dtype=bool)
        hit[one.missed] = False
        for name, (low, high) in SIZES.items():
            own = ~true.crowd & (true.areas >= low) & (true.areas < high)
            counts[name][0] += int(own.sum())
            counts[name][1] += int((own & hit).sum())
    return {name: (total, found) for name, (total, found) in counts.items()}
