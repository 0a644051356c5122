"""What a sweep will do, checked against the trainer before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from components.core.errors import SettingsError, TrainyardError
from components.core.settings import closest, parse_assignments, restore_integers
from components.hpo_sweep.space import Dimension, parse
from components.hpo_sweep.stage import SweepSettings
from components.hpo_sweep.trainer import Description, Trainer

Direction = Literal["maximize", "minimize"]

_SMALL_IS_GOOD = ("loss", "error", "lpips", "mse", "mae", "rmse")

GRID_LIMIT = 100_000


@dataclass(frozen=True)
class SweepPlan:
    """A sweep whose settings, trainer and space fit together."""

    settings: SweepSettings
    trainer: Trainer
    told: Description
    base: dict[str, Any]
    """Settings of the trainer, as given."""
    dimensions: list[Dimension]
    start: dict[str, Any]
    """The searched settings as they would be without a search."""
    initial: list[dict[str, Any]]
    """Searched settings of the trials that come first."""
    monitor: str
    direction: Direction
    other: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the trainer that trials have other than `base`."""

    @classmethod
    def of(cls, settings: SweepSettings) -> tuple[SweepPlan | None, list[TrainyardError]]:
        """The plan, or None and everything that is wrong."""
        trainer = Trainer(settings.trainer)
        try:
            told = trainer.describe()
        except TrainyardError as error:
            return None, [error]
        try:
            base = _given("settings", settings.settings, told.settings)
            other = _given("trial_settings", settings.trial_settings, told.settings, ";")
        except SettingsError as error:
            return None, [error]
        dimensions, problems = parse(restore_integers(settings.search_space), told.settings)
        by_name = {dimension.name: dimension for dimension in dimensions}
        initial = [
            {k: by_name[k].read(v) if k in by_name else v for k, v in restore_integers(t).items()}
            for t in settings.initial_trials
        ]
        problems += _initial_problems(initial, dimensions) if not problems else []
        problems += _other_problems(settings, other, told, by_name)
        asked = _candidates(base, dimensions, initial, other, _short(settings, told))
        answers = trainer.describe([candidate for _, candidate in asked])
        problems += _trainer_problems([where for where, _ in asked], answers.problems)
        base = answers.values[0]
        problems += _sweep_problems(settings, base, told, dimensions)
        if problems:
            unique = list(dict.fromkeys(problems))
            return None, [SettingsError([text], "the sweep") for text in unique]
        first = {d.name: base.get(d.name, told.default(d.name)) for d in dimensions}
        inside = bool(first) and all(d.holds(first[d.name]) for d in dimensions)
        if settings.try_defaults and inside:
            initial = [first, *(trial for trial in initial if trial != first)]
        monitor = settings.monitor or base.get("monitor") or told.default("monitor")
        made = cls(
            settings,
            trainer,
            told,
            base,
            dimensions,
            first,
            initial,
            monitor,
            _direction(settings, monitor),
            other,
        )
        return made, []

    @property
    def epochs(self) -> int:
        """Of one trial; 0 where the trainer has none."""
        given = {**self.base, **self.other}
        own = given.get("epochs") or self.told.default("epochs") or 0
        return self.settings.sweep_epochs or int(own)

    @property
    def definition(self) -> dict[str, Any]:
        """What the study searches, and how; not how long, nor who works on it."""
        runtime = {name for name, field in self.told.settings.items() if field.get("runtime")}
        free = {"n_trials", "sweep_minutes", "worker", "study_name", "heartbeat_seconds"}
        if not self.other:  # a study from before there was such a setting is the same
            free |= {"trial_settings"}
        own = self.settings.model_dump(mode="json", exclude=free)
        base = {name: value for name, value in self.base.items() if name not in runtime}
        space = {d.name: d.describe() for d in self.dimensions}
        return {**own, "settings": base, "search_space": space, "monitor": self.monitor}

    def trainer_inputs(self, inputs: Mapping[str, Path]) -> dict[str, Path]:
        """The stage's inputs as the trainer names them: what is not `split` is its data."""
        return {name: inputs["split" if name == "split" else "data"] for name in self.told.inputs}

    def training(self, searched: Mapping[str, Any], repeat: int) -> dict[str, Any]:
        """Settings of one training of a trial."""
        made = {**self.base, **self.other, **searched}
        if self.settings.sweep_epochs:
            made["epochs"] = self.settings.sweep_epochs
        if "seed" in self.told.settings:
            made["seed"] = int(self.base.get("seed", self.settings.seed)) + repeat
        return made


def _direction(settings: SweepSettings, monitor: str) -> Direction:
    if settings.direction:
        return settings.direction
    return "minimize" if monitor.rpartition("_")[2] in _SMALL_IS_GOOD else "maximize"


def _initial_problems(
    initial: Sequence[Mapping[str, Any]], dimensions: Sequence[Dimension]
) -> list[str]:
    by_name = {dimension.name: dimension for dimension in dimensions}
    found = []
    for number, trial in enumerate(initial):
        for name, value in trial.items():
            where = f"initial_trials[{number}].{name}"
            if name not in by_name:
                hint = closest(name, by_name)
                found.append(f"{where}: it is not searched{hint}; add it to search_space")
            elif not by_name[name].holds(value):
                found.append(
                    f"{where}: {value!r} is not in its search space {by_name[name].describe()}"
                )
    return found


def _given(
    name: str, text: str, fields: Mapping[str, Any], separator: str = "\n"
) -> dict[str, Any]:
    """Settings of a trainer from a JSON mapping or lines of `name=value`.

    Args:
        name: of the setting that holds them.
        text: the mapping or the lines.
        fields: the trainer's settings as JSON schema.
        separator: ends a line too.

    Raises:
        SettingsError: it is neither.
    """
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            problem = f"{name}: no JSON mapping ({error})"
            raise SettingsError([problem], "the sweep") from None
        return dict(found)
    texts = [key for key, schema in fields.items() if schema.get("type") == "string"]
    lines = (line.strip() for line in text.replace(separator, "\n").splitlines())
    return parse_assignments([line for line in lines if line], texts)


def _other_problems(
    settings: SweepSettings,
    other: Mapping[str, Any],
    told: Description,
    searched: Mapping[str, Dimension],
) -> list[str]:
    """What is wrong with the settings of trials, beside what the trainer says of them."""
    found = []
    for name in other:
        where = f"trial_settings.{name}"
        if name not in told.settings:
            hint = closest(name, told.settings)
            found.append(f"{where}: the trainer has no such setting{hint}")
        elif name in ("seed", "monitor"):
            found.append(f"{where}: it is what trials are compared by; leave it out")
        elif name in searched:
            found.append(f"{where}: it is searched as well; choose one of them")
        elif name == "epochs" and settings.sweep_epochs:
            found.append(f"{where}: sweep_epochs says it already; choose one of them")
    return found


def _candidates(
    base: dict[str, Any],
    dimensions: Sequence[Dimension],
    initial: Sequence[Mapping[str, Any]],
    other: Mapping[str, Any],
    short: Mapping[str, Any],
) -> list[tuple[str, dict[str, Any]]]:
    """What the trainer has to accept: the settings, the ends of each range, and first trials."""
    ends = [(d.name, end) for d in dimensions for end in d.ends()]
    tried = {**base, **other, **short}
    return [
        ("settings", base),
        *([("trial_settings", {**base, **other})] if other else []),
        *((f"sweep_{name}", tried) for name in short),
        *((f"search_space.{name}", {**tried, name: end}) for name, end in ends),
        *((f"initial_trials[{n}]", {**tried, **trial}) for n, trial in enumerate(initial)),
    ]


def _short(settings: SweepSettings, told: Description) -> dict[str, Any]:
    """What a trial has other than the final training."""
    given = settings.sweep_epochs and "epochs" in told.settings
    return {"epochs": settings.sweep_epochs} if given else {}


def _trainer_problems(places: Sequence[str], told: Sequence[Sequence[str]]) -> list[str]:
    found: list[str] = []
    general: set[str] = set()
    for where, problems in zip(places, told, strict=True):
        found += [f"{where}: {problem}" for problem in problems if problem not in general]
        if where in (
            "settings",
            "trial_settings",
            "sweep_epochs",
        ):  # what is wrong with all is told once
            general |= {*problems}
    return found


def _sweep_problems(
    settings: SweepSettings,
    base: Mapping[str, Any],
    told: Description,
    dimensions: Sequence[Dimension],
) -> list[str]:
    found = []
    if settings.n_trials and not settings.search_space:
        found.append(
            f"search_space: it is empty, so {settings.n_trials} trials would be the same; name "
            "settings to search, such as {learning_rate: {low: 1e-4, high: 1e-1, log: true}}"
        )
    if not (settings.monitor or base.get("monitor") or told.default("monitor")):
        found.append("monitor: this trainer has none of its own; name a validation figure")
    if (settings.monitor or "").startswith("train_"):
        found.append(
            f"monitor: {settings.monitor} is what training makes good on what it sees; name a "
            "validation figure such as val_loss"
        )
    if settings.sweep_epochs and "epochs" not in told.settings:
        found.append("sweep_epochs: this trainer has no epochs; leave it out")
    if settings.sweep_epochs and any(d.name == "epochs" for d in dimensions):
        found.append("sweep_epochs: epochs are searched as well; choose one of them")
    if settings.repeats > 1 and "seed" not in told.settings:
        found.append("repeats: this trainer has no seed, so all would be the same; use 1")
    if settings.sampler == "grid":
        endless = [d.name for d in dimensions if not d.grid()]
        if endless:
            found.append(
                f"sampler grid: {', '.join(endless)} can have any value; give a step or choices"
            )
        elif len(dimensions) and _size(dimensions) > GRID_LIMIT:
            found.append(f"sampler grid: it has more than {GRID_LIMIT} points; give fewer values")
    if settings.sampler == "cmaes" and dimensions and all(d.choices for d in dimensions):
        found.append("sampler cmaes: it cannot choose among values; use tpe")
    return found


def _size(dimensions: Sequence[Dimension]) -> int:
    size = 1
    for dimension in dimensions:
        size *= len(dimension.grid())
    return size
