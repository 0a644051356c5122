"""Confidence intervals by resampling whole groups of clips (percentile bootstrap).

Clips of one recording resemble each other, so a resample draws recordings, not clips
(B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13). Every
figure here is a function of sums of counts, so a replicate is one row of the product
`weights @ tables`: how often each group was drawn, times the counts of each group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.core.metrics.classification import (
    Bools,
    Floats,
    Ints,
    mean_defined,
    ratio,
    samples_f1,
)
from components.core.metrics.ranking import in_top_k, weighted_average_precision

CHUNK_BYTES = 32 << 20
RANKING_BUDGET = 300_000_000
"""Replicates x clips x classes above which average precision is left without an interval."""

_MERGE_BELOW = 16
"""Drawing a count per distinct row costs about this many times a draw of one group."""


@dataclass(frozen=True)
class GroupTables:
    """Counts of each group: everything that F1 and accuracy figures are made of."""

    sums: NDArray[np.float32]
    """`(G, columns)`: true positives of each class, chosen + positive of each class, rows that
    are right as a whole, rows; then for multi-label the sum of the rows' F1, for single-label the
    rows right within top-k, if asked for."""
    classes: int
    multi_label: bool
    top_k: int

    @classmethod
    def of(
        cls,
        actual: Bools,
        predicted: Bools,
        groups: Ints,
        *,
        multi_label: bool,
        scores: NDArray[np.floating] | None = None,
        top_k: int = 0,
    ) -> GroupTables:
        """Sums the counts of each group.

        Args:
            actual: true labels `(N, C)`.
            predicted: chosen labels `(N, C)`.
            groups: `(N,)` group numbers from 0 without gaps; see `group_numbers`.
            multi_label: whether a row may hold any number of labels.
            scores: `(N, C)`, needed for top-k.
            top_k: also count rows whose true class is among the k best (single-label).
        """
        count = int(groups.max()) + 1 if len(groups) else 0
        columns = [
            _label_sums(actual & predicted, groups, count),
            _label_sums(actual, groups, count) + _label_sums(predicted, groups, count),
            _row_sums((actual == predicted).all(axis=1), groups, count),
            _row_sums(np.ones(len(groups)), groups, count),
        ]
        ranked = not multi_label and scores is not None and 0 < top_k < actual.shape[1]
        if multi_label:
            columns.append(_row_sums(samples_f1(actual, predicted), groups, count))
        elif ranked and scores is not None:
            hits = in_top_k(actual.argmax(axis=1), scores, top_k)
            columns.append(_row_sums(hits, groups, count))
        sums = np.concatenate([column.astype(np.float32) for column in columns], axis=1)
        return cls(sums, actual.shape[1], multi_label, top_k if ranked else 0)

    def figures(self, totals: NDArray[np.floating]) -> dict[str, Floats]:
        """The figures of each row of summed tables `(R, columns)`.

        Returns:
            Scalar figures `(R,)` and `class_f1` `(R, C)`; NaN where undefined.
        """
        count = self.classes
        both, sizes, rest = totals[:, :count], totals[:, count : 2 * count], totals[:, 2 * count :]
        class_f1 = ratio(2 * both, sizes)
        values = {
            "macro_f1": mean_defined(class_f1),
            "micro_f1": ratio(2 * both.sum(axis=1), sizes.sum(axis=1)),
            "class_f1": class_f1,
        }
        whole = ratio(rest[:, 0], rest[:, 1])
        if self.multi_label:
            values["exact_match"] = whole
            values["samples_f1"] = ratio(rest[:, 2], rest[:, 1])
        else:
            values["accuracy"] = whole
        if self.top_k:
            values[f"top_{self.top_k}_accuracy"] = ratio(rest[:, 2], rest[:, 1])
        return values


def group_numbers(groups: Sequence[str]) -> Ints:
    """Numbers groups from 0 in order of first appearance; '' is a group of its own each time."""
    known: dict[str, int] = {}
    numbers = np.empty(len(groups), dtype=np.int64)
    total = 0
    for row, name in enumerate(groups):
        if not name or name not in known:
            number, total = total, total + 1
            if name:
                known[name] = number
        else:
            number = known[name]
        numbers[row] = number
    return numbers


def bootstrap(tables: GroupTables, *, replicates: int, seed: int) -> dict[str, Floats]:
    """Figures of `replicates` resamples of the groups, with replacement.

    Returns:
        As `GroupTables.figures`, one entry per replicate.
    """
    return tables.figures(_resampled_sums(tables.sums, replicates, seed))


def bootstrap_difference(
    first: GroupTables, second: GroupTables, *, replicates: int, seed: int
) -> dict[str, Floats]:
    """Figures of `first` minus those of `second`, on the same resamples (paired)."""
    width = first.sums.shape[1]
    totals = _resampled_sums(np.concatenate([first.sums, second.sums], axis=1), replicates, seed)
    ours, theirs = first.figures(totals[:, :width]), second.figures(totals[:, width:])
    return {name: ours[name] - theirs[name] for name in ours if name in theirs}


def bootstrap_average_precision(
    actual: Bools,
    scores: NDArray[np.floating],
    groups: Ints,
    *,
    replicates: int,
    seed: int,
) -> Floats | None:
    """Mean average precision of each resample `(R,)`, or None where that would be too costly."""
    if replicates * actual.size > RANKING_BUDGET or not actual.any():
        return None
    count = int(groups.max()) + 1
    values = np.full((replicates, actual.shape[1]), np.nan)
    start = 0
    for weights in _weights(count, replicates, seed, width=len(groups)):
        rows = weights[:, groups]
        for column in np.flatnonzero(actual.any(axis=0)):
            values[start : start + len(rows), column] = weighted_average_precision(
                actual[:, column], scores[:, column], rows
            )
        start += len(rows)
    return mean_defined(values)


def interval(values: Floats, confidence: float) -> tuple[float, float] | None:
    """The central interval that holds `confidence` of the replicates; None without any."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _label_sums(table: Bools, groups: Ints, count: int) -> Ints:
    """How often each group carries each label, `(G, C)`; quick because labels are sparse."""
    classes = table.shape[1]
    rows, columns = np.divmod(np.flatnonzero(table), classes)
    cells = np.bincount(groups[rows] * classes + columns, minlength=count * classes)
    return cells.reshape(count, classes)


def _row_sums(values: NDArray[np.generic], groups: Ints, count: int) -> Floats:
    sums = np.bincount(groups, weights=values.astype(np.float64), minlength=count)
    return sums[:, None].astype(np.float64)


def _resampled_sums(tables: NDArray[np.float32], replicates: int, seed: int) -> Floats:
    """Column sums of `tables` over resampled rows, `(R, columns)`."""
    groups = len(tables)
    distinct, counts = _distinct_rows(tables)
    if len(distinct) * _MERGE_BELOW <= groups:
        # Groups with equal counts are interchangeable: draw how many of each kind, not which.
        generator = np.random.default_rng(seed)
        drawn = generator.multinomial(groups, counts / groups, size=replicates)
        return np.asarray(drawn @ distinct.astype(np.float64))
    chunks = [weights @ tables for weights in _weights(groups, replicates, seed)]
    return np.concatenate(chunks).astype(np.float64)


def _weights(
    groups: int, replicates: int, seed: int, width: int = 0
) -> Iterator[NDArray[np.float32]]:
    """How often each group is drawn in each replicate, in chunks of rows `(r, G)`.

    Chunks are small enough for rows of `width` numbers; their size does not change what is drawn.
    """
    generator = np.random.Generator(np.random.SFC64(seed))
    rows = max(1, min(replicates, CHUNK_BYTES // (4 * max(groups, width))))
    for start in range(0, replicates, rows):
        weights = np.empty((min(rows, replicates - start), groups), dtype=np.float32)
        for row in weights:
            picks = generator.integers(0, groups, size=groups, dtype=np.int64)
            row[:] = np.bincount(picks, minlength=groups)
        yield weights


def _distinct_rows(tables: NDArray[np.float32]) -> tuple[NDArray[np.float32], Ints]:
    """The different rows of `tables` and how often each occurs."""
    # Sorting one random projection is far cheaper than sorting whole rows; it is then verified.
    factors = np.random.default_rng(len(tables)).random(tables.shape[1])
    codes = tables.astype(np.float64) @ factors
    _, first, inverse, counts = np.unique(
        codes, return_index=True, return_inverse=True, return_counts=True
    )
    if len(first) * _MERGE_BELOW <= len(tables) and np.array_equal(tables[first][inverse], tables):
        return tables[first], counts.astype(np.int64)
    return tables, np.ones(len(tables), dtype=np.int64)
