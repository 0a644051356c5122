"""Grouped, stratified assignment of items to bins with given targets per class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESTARTS = 20

ROUNDS = 10
"""Of looking at every group for a better place."""

_SCARCE = 1e9
"""Outweighs every deviation."""

Counts = NDArray[np.float64]


def assign(
    group_counts: Counts,
    targets: Counts,
    seed: Sequence[int],
    importance: Sequence[float] = (),
    strata: tuple[Counts, Counts] | None = None,
    polish: bool = False,
    restarts: int = RESTARTS,
) -> NDArray[np.int64]:
    """Puts every group into one bin so that each bin comes close to its target in every class.

    A greedy pass places the groups of the rarest classes first, larger groups before smaller
    ones, each where it reduces the relative squared deviation most. Of several shuffled passes
    the best is kept: fewest missing (bin, class) pairs, then the smallest deviation.

    With `importance`, for classes with too few groups to be in all bins, the most important bin
    gets every class before anything else; in the others a class that is missing is weighed
    against their becoming much larger or smaller than wanted.

    With `strata`, finer divisions of the classes, it is their deviation that counts; where each
    group is a single item and the targets are whole numbers, they are met exactly.

    Args:
        group_counts: (groups, classes), items of each class in each group.
        targets: (bins, classes), wanted number of items; 0 means none wanted.
        seed: makes the result reproducible.
        importance: (bins,) of having every class; 0 where it does not matter. Empty makes every
            missing pair equally bad, and worse than any deviation.
        strata: (groups, strata) items and (bins, strata) targets.
        polish: at last move single groups of the best pass as long as that helps.
        restarts: shuffled passes.

    Returns:
        (groups,) bin number of each group.
    """
    weights = np.asarray(importance or np.ones(len(targets)), np.float64)
    classes = group_counts.shape[1]
    if strata:
        group_counts = np.hstack([group_counts, strata[0]])
        targets = np.hstack([targets, strata[1]])
    aim = _Aim(targets, weights, classes)
    cost = aim.weighed if importance else aim.strict
    best: tuple[tuple[float, ...], NDArray[np.int64], NDArray[np.int64]] | None = None
    for restart in range(restarts):
        order = _order(group_counts[:, :classes], np.random.default_rng([*seed, restart]))
        bins = _greedy(group_counts, aim, order)
        if importance:
            bins = _improved(group_counts, bins, order, len(targets), cost)
        found = cost(totals(group_counts, bins, len(targets)))
        if best is None or found < best[0]:
            best = found, bins, order
    assert best is not None
    _, bins, order = best
    return _improved(group_counts, bins, order, len(targets), cost) if polish else bins


def totals(group_counts: Counts, bins: NDArray[np.int64], count: int) -> Counts:
    """(bins, classes) items of each class in each bin."""
    filled = np.zeros((count, group_counts.shape[1]))
    np.add.at(filled, bins, group_counts)
    return filled


@dataclass(frozen=True)
class _Aim:
    """What is wanted, and how far from it bins with so many items are."""

    targets: Counts
    """(bins, columns) wanted items: of the classes, then of the strata."""
    importance: NDArray[np.float64]
    classes: int
    """Columns that are classes."""

    @property
    def shaping(self) -> slice:
        """The columns whose deviation counts: the strata, if there are any."""
        return slice(self.classes if self.classes < self.targets.shape[1] else 0, None)

    def strict(self, filled: Counts) -> tuple[float, ...]:
        """Missing (bin, class) pairs, then the deviation."""
        return float(self._missing(filled).sum()), self._deviation(filled)

    def weighed(self, filled: Counts) -> tuple[float, ...]:
        """Classes missing from the first bin; those from others with wrong sizes; the deviation."""
        missing = self._missing(filled).sum(axis=1)
        first = self.importance == self.importance.max()
        others = ~first & (self.importance > 0)
        wanted = self.targets[:, : self.classes].sum(axis=1)
        sizes = filled[:, : self.classes].sum(axis=1) / np.maximum(wanted, 1)
        price = missing[others].sum() + ((sizes[others] - 1) ** 2).sum()
        return float(missing[first].sum()), float(price), self._deviation(filled)

    def _missing(self, filled: Counts) -> NDArray[np.bool_]:
        missing: NDArray[np.bool_] = filled[:, : self.classes] == 0
        return missing & (self.targets[:, : self.classes] > 0)

    def _deviation(self, filled: Counts) -> float:
        targets = self.targets[:, self.shaping]
        return float((((filled[:, self.shaping] - targets) ** 2) / np.maximum(targets, 1)).sum())


def _improved(
    group_counts: Counts,
    bins: NDArray[np.int64],
    order: NDArray[np.int64],
    count: int,
    cost: Callable[[Counts], tuple[float, ...]],
) -> NDArray[np.int64]:
    """Moves single groups among `count` bins as long as that lowers the cost."""
    bins = bins.copy()
    filled = totals(group_counts, bins, count)
    lowest = cost(filled)
    for _ in range(ROUNDS):
        before = lowest
        for group in order:
            for other in range(count):
                moved = filled.copy()
                moved[bins[group]] -= group_counts[group]
                moved[other] += group_counts[group]
                if (now := cost(moved)) < lowest:
                    filled, lowest, bins[group] = moved, now, other
        if lowest == before:
            break
    return bins


def _order(group_counts: Counts, rng: np.random.Generator) -> NDArray[np.int64]:
    class_totals = group_counts.sum(axis=0)
    rarest = np.where(group_counts > 0, class_totals, np.inf).min(axis=1)
    sizes = group_counts.sum(axis=1)
    return np.lexsort((rng.permutation(len(group_counts)), -sizes, rarest))


def _greedy(group_counts: Counts, aim: _Aim, order: NDArray[np.int64]) -> NDArray[np.int64]:
    bins = np.zeros(len(group_counts), dtype=np.int64)
    shaping = group_counts[:, aim.shaping]
    missing = aim.targets[:, aim.shaping].copy()
    weight = 1.0 / np.maximum(missing, 1.0)
    lacking = aim.targets[:, : aim.classes] > 0
    present = group_counts[:, : aim.classes] > 0
    left = present.sum(axis=0)
    for group in order:
        counts, has = shaping[group], present[group]
        # (missing - counts)² - missing², per column, relative to the target
        change = ((counts * counts - 2.0 * counts * missing) * weight).sum(axis=1)
        # a class with no more groups than bins that lack it must go to one of those
        scarce = has & (left <= lacking.sum(axis=0))
        change -= _SCARCE * aim.importance * (lacking & scarce).sum(axis=1)
        bins[group] = int(np.argmin(change))
        missing[bins[group]] -= counts
        lacking[bins[group]] &= ~has
        left -= has
    return bins
