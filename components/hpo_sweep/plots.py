"""The charts of a study, as inline SVG; an empty text where there is nothing to see."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.core.artifacts.study import Study, Trial
from components.core.report import shapes
from components.core.report.charts import Series, bar_chart, line_chart, ticks

if TYPE_CHECKING:
    import optuna

FAR = 10
"""Values this many times farther from the best one than the median is are left out of charts."""

AXIS_WIDTH, AXIS_HEIGHT, AXIS_MARGIN = 150, 260, 70


@dataclass(frozen=True)
class Axis:
    """A scale from 0 to 1 for the values of a setting."""

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, space: Mapping[str, Any], tried: Sequence[Any]) -> Axis:
        """The scale of a searched setting, with room for values outside of its range."""
        if "choices" in space:
            names = [written(value) for value in [*space["choices"], *tried]]
            return cls(name, choices=tuple(dict.fromkeys(names)))
        ends = [space["low"], space["high"], *tried]
        whole = all(isinstance(end, int) for end in ends)
        low, high = min(ends), max(ends)
        return cls(name, low, high, bool(space.get("log")) and low > 0, whole)

    def place(self, value: Any) -> float:
        """Where a value is."""
        if self.choices:
            return (self.choices.index(written(value)) + 0.5) / len(self.choices)
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(value)
        low, high = shapes.spread(low, high)
        return float((at - low) / (high - low))

    def marks(self) -> dict[float, str]:
        """Place → text of the marks along the scale."""
        if self.choices:
            most = max(4, 60 // len(self.choices))
            return {self.place(name): _short(name, most) for name in self.choices}
        values = ticks(self.low, self.high, count=4, whole=self.whole)
        if self.log:
            values = _log_ticks(self.low, self.high)
        inside = [value for value in values if self.low <= value <= self.high]
        return {self.place(value): f"{value:.4g}" for value in inside or [self.low]}


def written(value: Any) -> str:
    """A value of a setting as people read it."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)


def drawn(study: Study) -> list[Trial]:
    """The complete trials by number, without those whose value would squeeze all others."""
    known = [trial for trial in study.trials if trial.state == "complete"]
    values = [trial.value for trial in known if trial.value is not None]
    kept = _near(values, study.direction)
    return sorted((t for t in known if t.value in kept), key=lambda trial: trial.number)


def history(study: Study) -> str:
    """Values over trial numbers, and the best value so far."""
    trials = drawn(study)
    if not trials:
        return ""
    better = min if study.direction == "minimize" else max
    x: list[float] = []
    y: list[float] = []
    for trial in trials:
        if trial.feasible and trial.value is not None:
            best = better(y[-1], trial.value) if y else trial.value
            x += [trial.number, trial.number]
            y += [y[-1] if y else best, best]
    if x:
        x, y = [*x, max(trial.number for trial in study.trials)], [*y, y[-1]]
    return line_chart(
        [
            Series("best so far", x, y, colour=3),
            _points("complete", trials, colour=1),
            _points("misses a constraint", [t for t in trials if not t.feasible], colour=4),
        ],
        x_label="trial",
        y_label=study.monitor,
        whole_x=True,
        width=900,
        height=320,
    )


def importances(study: Study, optuna_study: optuna.Study) -> str:
    """How much of the difference between complete trials each setting explains.

    fANOVA (Hutter, Hoos and Leyton-Brown, ICML 2014), as Optuna computes it. Values far worse than
    most count as the worst of the others, which they would outweigh.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    kept = [trial.value for trial in drawn(study) if trial.value is not None]
    if len(set(kept)) < 2:
        return ""
    low, high = min(kept), max(kept)
    try:
        found = get_param_importances(
            optuna_study,
            evaluator=FanovaImportanceEvaluator(seed=0),
            target=lambda trial: min(max(trial.value or 0.0, low), high),
        )
    except (ValueError, RuntimeError):  # all trials have the same settings
        return ""
    known = {name: float(value) for name, value in found.items() if math.isfinite(value)}
    if len(known) < 2 or not any(known.values()):
        return ""
    return bar_chart([*known], [*known.values()], "importance of settings")


def slices(study: Study) -> dict[str, str]:
    """Setting → chart of the values over it, where it was tried at several places."""
    charts = {}
    for name, space in study.search_space.items():
        trials = [trial for trial in drawn(study) if name in trial.settings]
        axis = Axis.of(name, space, [trial.settings[name] for trial in trials])
        if len({axis.place(trial.settings[name]) for trial in trials}) < 2:
            continue
        at = [axis.place(trial.settings[name]) for trial in trials]
        best = [number for number, trial in enumerate(trials) if trial.number == study.best]
        values = [trial.value or 0.0 for trial in trials]
        charts[name] = line_chart(
            [
                Series("complete", at, values, colour=1, joined=False),
                Series("best", [at[n] for n in best], [values[n] for n in best], colour=3),
            ],
            x_label=name,
            y_label=study.monitor,
            x_range=(-0.03, 1.03),
            x_ticks=axis.marks(),
            width=380,
            height=250,
        )
    return charts


def parallel(study: Study) -> str:
    """One line per complete trial across the scales of its settings to its value."""
    searched = study.search_space
    trials = [trial for trial in drawn(study) if all(name in trial.settings for name in searched)]
    if len(trials) < 2 or len(searched) < 2:
        return ""
    axes = [Axis.of(name, searched[name], [t.settings[name] for t in trials]) for name in searched]
    values = [trial.value or 0.0 for trial in trials]
    last = Axis(study.monitor, min(values), max(values))
    lines = []
    for trial in trials:
        places = [axis.place(trial.settings[axis.name]) for axis in axes]
        lines.append((trial, [*places, last.place(trial.value)]))
    worst_first = study.direction == "maximize"
    lines.sort(key=lambda line: (line[0].value or 0.0) * (1 if worst_first else -1))
    parts = []
    for rank, (trial, places) in enumerate(lines):
        parts.append(_across(trial, places, (rank + 1) / len(lines), trial.number == study.best))
    for column, axis in enumerate([*axes, last]):
        parts += _scale(axis, AXIS_MARGIN + column * AXIS_WIDTH)
    width = 2 * AXIS_MARGIN + len(axes) * AXIS_WIDTH
    return shapes.drawing(width, AXIS_HEIGHT + 50, parts, "settings and values", fixed=True)


def intermediate(study: Study) -> str:
    """The monitored figure over the epochs of each trial; where one was given up is marked."""
    trials = [trial for trial in study.trials if trial.intermediate]
    if max((len(trial.intermediate) for trial in trials), default=0) < 2:
        return ""
    figures = [value for trial in trials for value in trial.intermediate.values()]
    near = _near(figures, study.direction)
    lines = []
    order = {"complete": 0, "failed": 1, "pruned": 2}
    for trial in sorted(trials, key=lambda t: (t.number == study.best, order[t.state])):
        x = [epoch for epoch in sorted(trial.intermediate) if trial.intermediate[epoch] in near]
        y = [trial.intermediate[epoch] for epoch in x]
        colour = 3 if trial.number == study.best else 1 if trial.state == "complete" else 2
        lines.append(Series(f"trial {trial.number}", x, y, colour=colour))
        if trial.state == "pruned" and len(x) > 1:  # a single epoch is a dot already
            lines.append(Series(f"end of trial {trial.number}", x[-1:], y[-1:], colour=2))
    return line_chart(
        lines, x_label="epoch", y_label=study.monitor, whole_x=True, width=900, height=320
    )


def _points(name: str, trials: Sequence[Trial], colour: int) -> Series:
    numbers, values = [t.number for t in trials], [t.value or 0.0 for t in trials]
    return Series(name, numbers, values, colour=colour, joined=False)


def _near(values: Sequence[float], direction: str) -> set[float]:
    """The values that are not far worse than most."""
    if not values:
        return set()
    sign = 1 if direction == "minimize" else -1
    best = min(sign * value for value in values)
    far = FAR * (statistics.median(sign * value for value in values) - best)
    return {value for value in values if far == 0 or sign * value - best <= far}


def _across(trial: Trial, places: Sequence[float], quality: float, best: bool) -> str:
    points = [
        (AXIS_MARGIN + column * AXIS_WIDTH, _height(place)) for column, place in enumerate(places)
    ]
    line = shapes.polyline(points, 3 if best else 1)
    opacity = 1 if best else 0.12 + 0.6 * quality
    title = f"<title>trial {trial.number}: {trial.value:.4g}</title>"
    return f'<g stroke-opacity="{opacity:.2f}">{title}{line}</g>'


def _scale(axis: Axis, x: float) -> list[str]:
    return [
        shapes.line("axis", x, _height(0), x, _height(1)),
        shapes.text(x, 16, _short(axis.name, 20), "middle", "name"),
        *(
            shapes.text(x - 6, _height(place) + 4, text, "end", "name")
            for place, text in axis.marks().items()
        ),
    ]


def _height(place: float) -> float:
    return 36 + (1 - place) * AXIS_HEIGHT


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, or where there are fewer than two of them also their double and fivefold."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    tens = [10.0**power for power in powers]
    if sum(low <= value <= high for value in tens) >= 2:
        return tens[:: math.ceil(len(tens) / 6)]
    return [factor * value for value in tens for factor in (1, 2, 5)]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
