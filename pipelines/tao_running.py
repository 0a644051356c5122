"""Runs tasks of TAO for experiments of a project, one after the other, through their stages."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from pipelines.tao_places import STATE, exchange, place

STAGES = {
    "convert": "tao_convert",
    "train": "tao_train",
    "evaluate": "tao_evaluate",
    "prune": "tao_prune",
    "export": "tao_export",
}
"""Task → stage that does it."""

SHOWN_ONLY = ("metrics", "confusion")
"""Outputs that exist in the Kubeflow UI only."""

REPLACED = {"train": ("model", "pruned", "evaluation", "report.html", "exported")}
"""Task → results below `models/<experiment>` that are outdated with a new one of its own."""


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

    def problems(self) -> list[str]:
        """What keeps it from being started."""
        found = []
        for name, path in self.inputs.items():
            if not path.is_dir():
                needs = "convert" if name == "records" else "train"
                found.append(
                    f"{self.experiment.name}: {path} is not there; run this first: "
                    f"trainyard tao -p {self.experiment.layout.folder} {needs} "
                    f"{self.experiment.name}"
                )
        for problem in self.stage.check(self.settings):
            own = problem.problems if isinstance(problem, ProblemsError) else [str(problem)]
            found += own
        return found


def steps(
    task: str, project: Project, names: Sequence[str], pairs: Sequence[str], more: Mapping[str, Any]
) -> list[Step]:
    """A step for each of the experiments named.

    Args:
        task: one of STAGES.
        project: that has them.
        names: of experiments.
        pairs: `key=value`, settings of the stage for all of them.
        more: further settings.

    Raises:
        SettingsError: with every wrong name and setting.
    """
    if not names:
        listed = ", ".join(project.experiments)
        raise SettingsError([f"name experiments; {project.name} has {listed}"], "the command line")
    stage: Stage[Any] = importlib.import_module(f"components.{STAGES[task]}.stage").STAGE
    texts = {n for n, field in stage.settings.model_fields.items() if field.annotation is str}
    given = {**more, **parse_assignments(pairs, texts)}
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
            outputs = {n: place(experiment, n) for n in stage.outputs if n not in SHOWN_ONLY}
            made.append(Step(task, experiment, stage, settings, inputs, outputs))
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)), "the command line")
    return made


def require_sound(chosen: Sequence[Step]) -> None:
    """Raises ProblemsError with everything that keeps any of the steps from being started."""
    found = [problem for step in chosen for problem in step.problems()]
    if found:
        raise ProblemsError([InputError(text) for text in dict.fromkeys(found)], "the experiments")


def run(chosen: Sequence[Step], overwrite: bool, keep_going: bool) -> int:
    """Runs steps; those first whose results are there, which is done or refused at once.

    Returns:
        Exit code: 0 only where all went well; of several that failed that of the first.
    """
    code, done = 0, 0
    ordered = sorted(chosen, key=lambda step: not step.occupied)
    for step in ordered:
        with _failures_told(step) as failed:
            _run_one(step, overwrite)
        code = code or (failed[0] if failed else 0)
        done += not failed
        if code and not keep_going:
            break
    left = [step.experiment.name for step in ordered if step not in ordered[: done + bool(code)]]
    if code and left and not keep_going:
        names = ", ".join(left)
        click.echo(f"not started: {names}; --keep-going goes on after a failure", err=True)
    if len(chosen) > 1:
        click.echo(f"{ordered[0].task}: {done} of {len(chosen)} experiments done", err=True)
    return code


def _run_one(step: Step, overwrite: bool) -> None:
    root = step.experiment.layout.folder / STATE
    state = None if os.environ.get("TRAINYARD_STATE_DIR") else root
    report = Reporter(step.stage.name)
    report.message(f"experiment {step.experiment.name} of {step.experiment.project}")
    if not (overwrite and step.occupied):
        step.stage.execute(step.settings, step.inputs, step.outputs, state, report)
        return
    staged = {name: files.partial_sibling(path) for name, path in step.outputs.items()}
    try:
        step.stage.execute(step.settings, step.inputs, staged, state, report)
        made = {new: step.outputs[name] for name, new in staged.items() if new.exists()}
        if all(old.exists() and files.same_tree(new, old) for new, old in made.items()):
            report.message("nothing has changed; what is there stays")
            return
        models = step.experiment.models
        outdated = [models / name for name in REPLACED.get(step.task, ())]
        kept = [path for path in outdated if path not in made.values()]
        if folder := exchange(step.experiment, made, kept):
            report.message(f"what was there before is in {folder}")
        for name, path in step.outputs.items():
            if path.exists():
                report.artifact(name, path)
    finally:
        for path in staged.values():
            files.remove(path)


@contextmanager
def _failures_told(step: Step) -> Iterator[list[int]]:
    """Yields a list that holds the exit code afterwards, where the step failed."""
    failed: list[int] = []
    try:
        yield failed
    except TrainyardError as error:
        hint = "; --overwrite moves it into the archive" if step.occupied else ""
        message = step.experiment.model_key.hidden(str(error))
        told = hint if "already exists" in message else ""
        click.echo(f"error: {step.experiment.name}: {message}{told}", err=True)
        failed.append(error.exit_code)
    except (StoppedError, KeyboardInterrupt) as error:
        code = error.exit_code if isinstance(error, StoppedError) else 130
        click.echo(f"error: {step.experiment.name}: {error or 'interrupted'}", err=True)
        raise SystemExit(code) from None
