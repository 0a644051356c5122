"""All figures of a classifier on a set of clips, with intervals, as the Evaluation stores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.evaluation import ClassFigures, Comparison, Summary
from components.core.metrics.bootstrap import (
    GroupTables,
    bootstrap,
    bootstrap_average_precision,
    bootstrap_difference,
    group_numbers,
    interval,
)
from components.core.metrics.classification import Bools, Floats, chance_macro_f1, figures

FEWEST_GROUPS = 5
"""Groups from which intervals are given. n groups hold n**n resamples of which most repeat each
other: with 2 to 4 the 95 % interval covers far less than 95 %, and nothing in it would tell."""


@dataclass(frozen=True)
class Outcome:
    """What one classifier said about N clips, beside the truth."""

    actual: Bools
    """`(N, C)`."""
    predicted: Bools
    """`(N, C)`."""
    scores: NDArray[np.floating]
    """`(N, C)` probabilities."""
    groups: Sequence[str]
    """The recording of each clip; '' for a clip of its own."""

    def select(self, rows: Bools) -> Outcome:
        """The same for some of the clips."""
        groups = [name for name, wanted in zip(self.groups, rows, strict=True) if wanted]
        return Outcome(self.actual[rows], self.predicted[rows], self.scores[rows], groups)


@dataclass(frozen=True)
class Measure:
    """How outcomes are summarised."""

    classes: Sequence[str]
    multi_label: bool
    top_k: int = 0
    replicates: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def summary(self, outcome: Outcome) -> Summary:
        """Figures of one outcome with their intervals."""
        result = figures(
            outcome.actual,
            outcome.predicted,
            self.classes,
            outcome.scores,
            multi_label=self.multi_label,
            top_k=self.top_k,
        )
        groups = group_numbers(outcome.groups)
        intervals, class_intervals = self._intervals(outcome, groups)
        return Summary(
            clips=len(groups),
            groups=len(np.unique(groups)),
            figures=result.scalars,
            intervals={name: pair for name, pair in intervals.items() if name in result.scalars},
            undefined=result.undefined,
            chance_macro_f1=chance_macro_f1(outcome.actual),
            classes=_class_figures(self.classes, result.per_class, class_intervals),
        )

    def comparison(self, outcome: Outcome, baseline: Outcome | None) -> Comparison:
        """Figures of an outcome beside a baseline's on the same clips."""
        model = self.summary(outcome)
        if baseline is None:
            return Comparison(model=model)
        other = self.summary(baseline)
        common = [name for name in model.figures if name in other.figures]
        return Comparison(
            model=model,
            baseline=other,
            difference={name: model.figures[name] - other.figures[name] for name in common},
            difference_intervals=self._difference_intervals(outcome, baseline),
        )

    def _intervals(
        self, outcome: Outcome, groups: NDArray[np.int64]
    ) -> tuple[dict[str, tuple[float, float]], list[tuple[float, float] | None]]:
        if not self._resamples(groups):
            return {}, [None] * len(self.classes)
        drawn = bootstrap(self._tables(outcome, groups), replicates=self.replicates, seed=self.seed)
        ranked = bootstrap_average_precision(
            outcome.actual, outcome.scores, groups, replicates=self.replicates, seed=self.seed
        )
        per_class = drawn.pop("class_f1")
        if ranked is not None:
            drawn["mean_average_precision"] = ranked
        pairs = {name: interval(values, self.confidence) for name, values in drawn.items()}
        return (
            {name: pair for name, pair in pairs.items() if pair is not None},
            [interval(column, self.confidence) for column in per_class.T],
        )

    def _difference_intervals(
        self, outcome: Outcome, baseline: Outcome
    ) -> dict[str, tuple[float, float]]:
        groups = group_numbers(outcome.groups)
        if not self._resamples(groups):
            return {}
        drawn = bootstrap_difference(
            self._tables(outcome, groups),
            self._tables(baseline, groups),
            replicates=self.replicates,
            seed=self.seed,
        )
        drawn.pop("class_f1")
        pairs = {name: interval(values, self.confidence) for name, values in drawn.items()}
        return {name: pair for name, pair in pairs.items() if pair is not None}

    def _resamples(self, groups: NDArray[np.int64]) -> bool:
        return self.replicates > 0 and len(np.unique(groups)) >= FEWEST_GROUPS

    def _tables(self, outcome: Outcome, groups: NDArray[np.int64]) -> GroupTables:
        return GroupTables.of(
            outcome.actual,
            outcome.predicted,
            groups,
            multi_label=self.multi_label,
            scores=outcome.scores,
            top_k=self.top_k,
        )


def in_mixed_groups(groups: Sequence[str], labels: Sequence[Sequence[str]]) -> dict[str, bool]:
    """Group → whether its clips differ in their labels; '' is left out."""
    seen: dict[str, set[tuple[str, ...]]] = {}
    for group, names in zip(groups, labels, strict=True):
        if group:
            seen.setdefault(group, set()).add(tuple(sorted(names)))
    return {group: len(kinds) > 1 for group, kinds in seen.items()}


def _class_figures(
    classes: Sequence[str],
    values: dict[str, Floats],
    intervals: Sequence[tuple[float, float] | None],
) -> list[ClassFigures]:
    def number(name: str, row: int) -> float | None:
        value = values[name][row] if name in values else np.nan
        return None if np.isnan(value) else float(value)

    return [
        ClassFigures(
            name=name,
            support=int(values["support"][row]),
            chosen=int(values["chosen"][row]),
            precision=number("precision", row),
            recall=number("recall", row),
            f1=number("f1", row),
            f1_interval=intervals[row] if number("f1", row) is not None else None,
            average_precision=number("average_precision", row),
        )
        for row, name in enumerate(classes)
    ]
