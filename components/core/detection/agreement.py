"""Whether two runtimes find the same with one detector, up to rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLIPPED = 0.05
"""Accepted share of detections without a counterpart: among boxes of almost equal scores, or with
overlaps close to the limit, rounding decides which one stays."""

Tables = Sequence[NDArray[Any]]
"""Boxes (B, N, 4), scores (B, N) and labels (B, N; below 0 in rows without a detection)."""


@dataclass(frozen=True)
class Agreement:
    """How much two results differ."""

    difference: float
    """Largest difference of the scores of a pair."""
    detections: int
    """In both results together."""
    alone: int
    """Those of them that have no counterpart in the other."""

    @property
    def good(self) -> bool:
        """Whether rounding can explain it."""
        return self.alone <= FLIPPED * self.detections

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            max(self.difference, other.difference),
            self.detections + other.detections,
            self.alone + other.alone,
        )


NOTHING_COMPARED = Agreement(0.0, 0, 0)


def agreement(one: Tables, other: Tables, *, box: float, score: float) -> Agreement:
    """Compares the detections on a batch of images.

    Args:
        one, other: of the same images.
        box: accepted difference of an edge, relative to 1 + the longer side of the box.
        score: accepted difference of a score.
    """
    total = NOTHING_COMPARED
    for index in range(len(one[0])):
        rows = one[1].shape[1]
        total += _on_image(_real(one, index), _real(other, index), rows, box, score)
    return total


def _real(tables: Tables, index: int) -> Tables:
    boxes, scores, labels = (table[index] for table in tables)
    there = labels >= 0
    return boxes[there], scores[there], labels[there]


def _on_image(one: Tables, other: Tables, rows: int, box: float, score: float) -> Agreement:
    count = len(one[1]) + len(other[1])
    if not len(one[1]) or not len(other[1]):
        return Agreement(0.0, count, count)
    sides = np.ptp(one[0].reshape(-1, 2, 2), axis=1).max(axis=1)
    edges = np.abs(one[0][:, None] - other[0][None]).max(axis=2)
    scores = np.abs(one[1][:, None] - other[1][None])
    pairs = (one[2][:, None] == other[2][None]) & (scores <= score)
    pairs &= edges <= box * (1 + sides[:, None])
    # At the end of a full table what is cut off is as good as what stays.
    last = max(found.min() + score if len(found) == rows else 0.0 for found in (one[1], other[1]))
    alone = int((~pairs.any(axis=1) & (one[1] > last)).sum())
    alone += int((~pairs.any(axis=0) & (other[1] > last)).sum())
    nearest = np.where(pairs, scores, np.inf).min(axis=1)
    return Agreement(float(nearest[np.isfinite(nearest)].max(initial=0.0)), count, alone)
