"""Grouped, stratified assignment of items to bins with given targets per class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESTARTS = 20

_SCARCE = 1e9
"""Outweighs every deviation."""

Counts = NDArray[np.float64]


def assign(group_counts: Counts, targets: Counts, seed: Sequence[int]) -> NDArray[np.int64]:
    """Puts every group into one bin so that each bin comes close to its target in every class.

    A greedy pass places the groups of the rarest classes first, larger groups before smaller
    ones, each where it reduces the relative squared deviation most. Of several shuffled passes
    the best is kept: fewest missing (bin, class) pairs, then the smallest deviation.

    Args:
        group_counts: (groups, classes), items of each class in each group.
        targets: (bins, classes), wanted number of items; 0 means none wanted.
        seed: makes the result reproducible.

    Returns:
        (groups,) bin number of each group.
    """
    best: tuple[float, float, NDArray[np.int64]] | None = None
    for restart in range(RESTARTS):
        order = _order(group_counts, np.random.default_rng([*seed, restart]))
        bins = _greedy(group_counts, targets, order)
        filled = totals(group_counts, bins, len(targets))
        missing = float(((filled == 0) & (targets > 0)).sum())
        deviation = float((((filled - targets) ** 2) / np.maximum(targets, 1)).sum())
        if best is None or (missing, deviation) < best[:2]:
            best = missing, deviation, bins
    assert best is not None
    return best[2]


def totals(group_counts: Counts, bins: NDArray[np.int64], count: int) -> Counts:
    """(bins, classes) items of each class in each bin."""
    filled = np.zeros((count, group_counts.shape[1]))
    np.add.at(filled, bins, group_counts)
    return filled


def _order(group_counts: Counts, rng: np.random.Generator) -> NDArray[np.int64]:
    class_totals = group_counts.sum(axis=0)
    rarest = np.where(group_counts > 0, class_totals, np.inf).min(axis=1)
    sizes = group_counts.sum(axis=1)
    return np.lexsort((rng.permutation(len(group_counts)), -sizes, rarest))


def _greedy(group_counts: Counts, targets: Counts, order: NDArray[np.int64]) -> NDArray[np.int64]:
    bins = np.zeros(len(group_counts), dtype=np.int64)
    missing = targets.copy()
    weight = 1.0 / np.maximum(targets, 1.0)
    lacking = targets > 0
    left = (group_counts > 0).sum(axis=0)
    for group in order:
        counts = group_counts[group]
        # (missing - counts)² - missing², per class, relative to the target
        change = ((counts * counts - 2.0 * counts * missing) * weight).sum(axis=1)
        # a class with no more groups than bins that lack it must go to one of those
        scarce = (counts > 0) & (left <= lacking.sum(axis=0))
        change -= _SCARCE * (lacking & scarce).sum(axis=1)
        bins[group] = int(np.argmin(change))
        missing[bins[group]] -= counts
        lacking[bins[group]] &= counts == 0
        left -= counts > 0
    return bins
