"""Runs tasks of TAO for experiments of a project, one after the other, through their stages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from components.core import files
from components.core.errors import InputError, ProblemsError, StoppedError, TrainyardError
from components.core.events import Reporter
from pipelines import tao_choice, tao_done
from pipelines.tao_places import STATE, exchange
from pipelines.tao_steps import Step


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
