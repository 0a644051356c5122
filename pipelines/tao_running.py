"""Runs tasks of TAO for experiments of a project, one after the other, through their stages."""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from components.core import files
from components.core.errors import (
    InputError,
    ProblemsError,
    SettingsError,
    StoppedError,
    TrainyardError,
)
from components.core.events import Reporter
from components.core.settings import Settings, build, parse_assignments
from components.core.stage import Stage
from components.core.tao.experiment import Experiment
from components.core.tao.project import Project
from pipelines import tao_choice, tao_done
from pipelines.tao_places import STATE, exchange, place

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
        return there and self.is_recorded and self._is_known

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
            if not known:
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


def with_checkpoint(chosen: Sequence[Step], wanted: str) -> list[Step]:
    """The steps with this checkpoint of each training in place of the model that is kept.

    Raises:
        ProblemsError: it is not among the checkpoints of a training.
    """
    problems = []
    made = []
    for step in chosen:
        release = getattr(step.settings, "release", "")
        if not step.inputs["records"].is_dir():
            made.append(step)  # told with what else is missing
        elif text := tao_choice.problem(step.experiment, release, wanted):
            problems.append(InputError(text))
        else:
            model = tao_choice.taken(step.experiment, release, wanted, Reporter(step.stage.name))
            made.append(replace(step, inputs={**step.inputs, "model": model}))
    if problems:
        raise ProblemsError(problems, "the experiments")
    return made


def require_sound(chosen: Sequence[Step], overwrite: bool) -> None:
    """Raises ProblemsError with everything that keeps any of the steps from being started."""
    found = [problem for step in chosen for problem in step.problems(overwrite)]
    if found:
        raise ProblemsError([InputError(text) for text in dict.fromkeys(found)], "the experiments")


def run(chosen: Sequence[Step], overwrite: bool, keep_going: bool) -> int:
    """Runs steps, one after the other.

    Args:
        chosen: steps that `require_sound` let through.
        overwrite: a new result takes the place of an old one, which goes to the archive.
        keep_going: go on with the next step after a failure.

    Returns:
        Exit code: 0 only where all went well; of several that failed that of the first.
    """
    codes: list[int] = []
    for step in chosen:
        codes.append(_code_of(step, overwrite))
        if codes[-1] and not keep_going:
            break
    if left := [step.experiment.name for step in chosen[len(codes) :]]:
        names = ", ".join(left)
        click.echo(f"not started: {names}; --keep-going goes on after a failure", err=True)
    if len(chosen) > 1:
        done = codes.count(0)
        click.echo(f"{chosen[0].task}: {done} of {len(chosen)} experiments done", err=True)
    return next(filter(None, codes), 0)


def _code_of(step: Step, overwrite: bool) -> int:
    """Runs a step, tells a failure, and returns its exit code."""
    try:
        _run_one(step, overwrite)
    except TrainyardError as error:
        message = step.experiment.model_key.hidden(str(error))
        hint = "; --overwrite moves it into the archive" if "already exists" in message else ""
        click.echo(f"error: {step.experiment.name}: {message}{hint}", err=True)
        return error.exit_code
    except (StoppedError, KeyboardInterrupt) as error:
        code = error.exit_code if isinstance(error, StoppedError) else 130
        click.echo(f"error: {step.experiment.name}: {error or 'interrupted'}", err=True)
        raise SystemExit(code) from None
    return 0


def _run_one(step: Step, overwrite: bool) -> None:
    report = Reporter(step.stage.name)
    report.message(f"experiment {step.experiment.name} of {step.experiment.project}")
    if "model" in step.inputs:
        report.message(f"model: {step.inputs['model']}")
    if step.is_done:
        report.message("done already, and nothing has changed since; what is there stays")
        return
    made_with = step.record()
    if overwrite and step.occupied:
        _exchange(step, report)
    else:
        step.stage.execute(step.settings, step.inputs, step.outputs, _state(step), report)
    if step.is_recorded:
        tao_done.keep(step.experiment, step.task, made_with)


def _exchange(step: Step, report: Reporter) -> None:
    """Makes a result beside the old one, then puts it in its place."""
    staged = {name: files.partial_sibling(path) for name, path in step.outputs.items()}
    try:
        step.stage.execute(step.settings, step.inputs, staged, _state(step), report)
        made = {new: step.outputs[name] for name, new in staged.items() if new.exists()}
        if all(old.exists() and files.same_tree(new, old) for new, old in made.items()):
            report.message("the result is the same; what is there stays")
            return
        folder = exchange(step.experiment, made, [*step.outdated(set(staged.values()))])
        report.message(f"what was there before is in {folder}")
        for path in made.values():
            report.artifact(path.name, path)
    finally:
        for path in staged.values():
            files.remove(path)


def _state(step: Step) -> Path | None:
    """Where unfinished work is kept: with the project, unless the environment says otherwise."""
    if os.environ.get("TRAINYARD_STATE_DIR"):
        return None
    return step.experiment.layout.folder / STATE
