"""A task of TAO for an experiment: its stage, settings, places, and what keeps it from starting."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core import files
from components.core.errors import InputError, ProblemsError, SettingsError
from components.core.settings import Settings, build, parse_assignments
from components.core.stage import Stage
from components.core.tao.experiment import Experiment
from components.core.tao.project import Project
from pipelines import tao_done
from pipelines.tao_places import place

STAGES = {
    "convert": "tao_convert",
    "train": "tao_train",
    "evaluate": "tao_evaluate",
    "prune": "tao_prune",
    "engine": "tao_engine",
    "export": "tao_export",
}
"""Task → stage that does it."""

SHOWN_ONLY = ("metrics", "confusion")
"""Outputs that exist in the Kubeflow UI only."""


@dataclass(frozen=True)
class Step:
    """A task for an experiment."""

    task: str
    experiment: Experiment
    stage: Stage[Any]
    settings: Settings
    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]

    @property
    def occupied(self) -> list[Path]:
        """Places of outputs that hold something."""
        return [path for path in self.outputs.values() if files.holds_something(path)]

    @property
    def is_recorded(self) -> bool:
        """Whether what it was done with is kept; a conversion depends on too many files."""
        return self.task != "convert"

    @property
    def is_done(self) -> bool:
        """Whether its result is there, made with what it would be made with now."""
        there = all(path.exists() for path in self.outputs.values())
        return there and self.is_recorded and self._is_known and not self._lacking

    @property
    def _lacking(self) -> list[str]:
        return [text for path in self.outputs.values() if (text := tao_done.lacking(path))]

    @property
    def _is_known(self) -> bool:
        return tao_done.kept(self.experiment, self.task) == self.record()

    def record(self) -> dict[str, Any]:
        """What its result depends on."""
        if not self.is_recorded:
            return {}
        return tao_done.record(self.experiment, self.stage.name, self.settings, self.inputs)

    def outdated(self, new: Collection[Path]) -> Iterator[Path]:
        """Results that are outdated by a new one, besides those that it takes the place of."""
        models = self.experiment.models
        if self.task == "train":
            own = [*new, *self.outputs.values()]
            yield from (path for path in sorted(models.glob("*")) if path not in own)
        elif self.is_recorded:
            yield tao_done.place(self.experiment, self.task)

    def problems(self, overwrite: bool) -> list[str]:
        """What keeps it from being started."""
        found = []
        for name, path in self.inputs.items():
            if not path.is_dir():
                needs = {"records": "convert", "exported": "export"}.get(name, "train")
                found.append(
                    f"{self.experiment.name}: {path} is not there; run this first: "
                    f"trainyard tao -p {self.experiment.layout.folder} {needs} "
                    f"{self.experiment.name}"
                )
        for problem in self.stage.check(self.settings):
            found += problem.problems if isinstance(problem, ProblemsError) else [str(problem)]
        if not found and self.is_recorded and self.occupied and not overwrite:
            try:
                known = self._is_known
            except InputError as error:
                return [str(error)]
            if self._lacking:
                found.append(
                    f"{self.experiment.name}: {self._lacking[0]}; --overwrite moves what is left "
                    "into the archive and makes it anew"
                )
            elif not known:
                found.append(
                    f"{self.experiment.name}: {self.occupied[0]} was made with other settings, "
                    "specifications or data; --overwrite moves it into the archive"
                )
        return found


def steps(
    task: str,
    project: Project,
    names: Sequence[str],
    pairs: Sequence[str] = (),
    unpruned: bool = False,
) -> list[Step]:
    """A step for each of the experiments named.

    Args:
        task: one of STAGES.
        project: that has them.
        names: of experiments.
        pairs: `key=value`, settings of the stage for all of them.
        unpruned: take the model as it was trained, though a pruned one is there.

    Raises:
        SettingsError: with every wrong name and setting.
    """
    if not names:
        listed = ", ".join(project.experiments)
        raise SettingsError([f"name experiments; {project.name} has {listed}"], "the command line")
    stage: Stage[Any] = importlib.import_module(f"components.{STAGES[task]}.stage").STAGE
    texts = {n for n, field in stage.settings.model_fields.items() if field.annotation is str}
    given = parse_assignments(pairs, texts)
    problems: list[str] = []
    made = []
    for name in names:
        try:
            experiment = project.experiment(name)
            own = {"project": str(project.folder), "experiment": name, **given}
            settings = build(stage.settings, own, name)
        except SettingsError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
        except InputError as error:
            problems.append(str(error))
        else:
            inputs = {n: place(experiment, n) for n in stage.inputs if n not in stage.optional}
            pruned = place(experiment, "pruned")
            if "model" in inputs and "pruned" not in stage.outputs and pruned.is_dir():
                inputs["model"] = inputs["model"] if unpruned else pruned
            outputs = {n: place(experiment, n) for n in stage.outputs if n not in SHOWN_ONLY}
            made.append(Step(task, experiment, stage, settings, inputs, outputs))
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)), "the command line")
    return made
