"""Study: what a hyper-parameter search tried, what came of it, and the settings it found best.

A directory holds `study.json`, and for people and other programs:

- `best.json`: the best settings, flat names and values, as `-f best.json` of a run or a stage
  takes them.
- `trials.csv`: one row per trial.
- `report.html`: the search as a page.
- `journal.log`: the study in Optuna's journal format, whatever storage it was made in.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, FiniteFloat, model_validator

from components.core import files
from components.core.artifacts.base import Index
from components.core.state import digest

BEST = "best.json"
TRIALS = "trials.csv"
REPORT = "report.html"
JOURNAL = "journal.log"

NO_TRIAL = -1
INCIDENTAL = {"seconds", "error", "worker"}
"""Fields of a trial that two equal searches need not share."""


def _defined(figures: Any) -> Any:
    """Without figures that are not finite: JSON has none, and no chart can show them."""
    if not isinstance(figures, Mapping):
        return figures
    return {
        key: value
        for key, value in figures.items()
        if not (isinstance(value, float) and not math.isfinite(value))
    }


class Trial(BaseModel):
    """One try of settings. Figures that are not finite are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    state: Literal["complete", "pruned", "failed"]
    value: FiniteFloat | None
    """What the search goes by; None where the trial has none, never for a complete one."""
    settings: dict[str, Any]
    """The searched settings only."""
    metrics: Annotated[dict[str, float], BeforeValidator(_defined)] = {}
    """Validation figures of the chosen epoch."""
    intermediate: Annotated[dict[int, float], BeforeValidator(_defined)] = {}
    """Epoch → the monitored figure."""
    seconds: float = 0.0
    feasible: bool = True
    """Whether it keeps the constraints; only such a trial can be the best."""
    worker: int = 0
    retry_of: int | None = None
    """Number of the trial of a lost worker that this one repeats."""
    error: str = ""

    @model_validator(mode="after")
    def _complete_has_a_value(self) -> Self:
        if self.state == "complete" and self.value is None:
            raise ValueError(f"trial {self.number} is complete but has no value")
        return self


class Study(Index):
    """Index of a Study directory."""

    SCHEMA: ClassVar[str] = "trainyard/study"
    FILE: ClassVar[str] = "study.json"

    name: str
    trainer: str
    """Stage whose settings are searched, e.g. `train_video`."""
    monitor: str
    """Validation figure that is optimised."""
    direction: Literal["minimize", "maximize"]
    search_space: dict[str, Any]
    """Setting → `{low, high, log, step}` or `{choices}`."""
    settings: dict[str, Any]
    """The base settings, which the search started from."""
    seed: int
    sampler: str
    pruner: str
    trials: list[Trial]
    best: int
    """Number of the best complete, feasible trial; -1 where there is none."""
    best_settings: dict[str, Any]
    """The base settings with those of the best trial."""

    @classmethod
    def create(
        cls,
        *,
        name: str,
        trainer: str,
        monitor: str,
        direction: Literal["minimize", "maximize"],
        search_space: Mapping[str, Any],
        settings: Mapping[str, Any],
        seed: int,
        sampler: str,
        pruner: str,
        trials: Sequence[Trial],
    ) -> Study:
        """Chooses the best trial and builds the index.

        The fingerprint covers what was searched and found, not how long it took or which worker
        did it.
        """
        best = best_trial(trials, direction)
        found: dict[str, Any] = {
            "name": name,
            "trainer": trainer,
            "monitor": monitor,
            "direction": direction,
            "search_space": dict(search_space),
            "settings": dict(settings),
            "seed": seed,
            "sampler": sampler,
            "pruner": pruner,
            "best": best.number if best else NO_TRIAL,
            "best_settings": {**settings, **(best.settings if best else {})},
        }
        tried = [trial.model_dump(mode="json", exclude=INCIDENTAL) for trial in trials]
        return cls(fingerprint=digest([found, tried]), trials=list(trials), **found)

    @property
    def best_trial(self) -> Trial | None:
        """The trial that `best` names."""
        return next((trial for trial in self.trials if trial.number == self.best), None)

    @property
    def base_trial(self) -> Trial | None:
        """The complete trial of the base settings, if they were tried."""
        searched = {name: self.settings.get(name) for name in self.search_space}
        for trial in self.trials:
            if trial.state == "complete" and trial.settings == searched and searched:
                return trial
        return None

    @property
    def outcome(self) -> str:
        """What came of it, in a few words."""
        best, base = self.best_trial, self.base_trial
        if best is None:
            return f"no usable trial among {len(self.trials)}, the settings stay as they are"
        given = f" ({base.value:.4g} with the settings given)" if base else ""
        return f"{self.monitor} {best.value:.4g}{given}, trial {best.number} of {len(self.trials)}"

    def write(self, directory: Path) -> None:
        """Writes `best.json`, `trials.csv` and last the index.

        `report.html` and `journal.log` are the stage's, and should be in place before.
        """
        files.write_json(directory / BEST, self.best_settings)
        files.write_text(directory / TRIALS, trial_table(self))
        self.save(directory)


def best_trial(trials: Sequence[Trial], direction: Literal["minimize", "maximize"]) -> Trial | None:
    """The best complete, feasible trial, of equal ones the first; None where there is none."""
    sign = 1 if direction == "minimize" else -1
    candidates = [
        (sign * trial.value, trial.number, trial)
        for trial in trials
        if trial.state == "complete" and trial.feasible and trial.value is not None
    ]
    return min(candidates, key=lambda each: each[:2])[2] if candidates else None


def trial_table(study: Study) -> str:
    """`trials.csv`: a row per trial by number; empty cells for what a trial does not have.

    A searched setting or a figure that is called as another column gets `settings.` or `metrics.`
    before its name.
    """
    first = ["number", "state", "value"]
    last = ["seconds", "epochs", "worker", "feasible", "retry_of", "error"]
    searched = _names([*study.search_space], [trial.settings for trial in study.trials])
    figures = _names([], [trial.metrics for trial in study.trials])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *first,
            *(f"settings.{name}" if name in {*first, *last} else name for name in searched),
            *(
                f"metrics.{name}" if name in {*first, *last, *searched} else name
                for name in figures
            ),
            *last,
        ]
    )
    for trial in sorted(study.trials, key=lambda each: each.number):
        row = [
            trial.number,
            trial.state,
            trial.value,
            *(trial.settings.get(name) for name in searched),
            *(trial.metrics.get(name) for name in figures),
            f"{trial.seconds:.3f}",
            len(trial.intermediate),
            trial.worker,
            trial.feasible,
            trial.retry_of,
            trial.error,
        ]
        writer.writerow([_cell(value) for value in row])
    return text.getvalue()


def _names(first: list[str], mappings: Sequence[Mapping[str, Any]]) -> list[str]:
    """All keys in the order in which they appear."""
    return list(dict.fromkeys([*first, *(key for each in mappings for key in each)]))


def _cell(value: Any) -> Any:
    if isinstance(value, bool | list | dict):
        return json.dumps(value)
    return value
