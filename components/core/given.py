"""Inputs of a stage that change its settings: what a search found, and what a task asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.artifacts.study import Study
from components.core.artifacts.task import Task
from components.core.errors import InputError
from components.core.events import Reporter
from components.core.settings import S, build

STUDY = "study"
"""Input of a stage that trains: optional, a Study whose best settings take the place of its own."""

TASK = "task"
"""Input of any stage: optional, a Task whose settings take the place of its own."""

OPTIONAL = {STUDY, TASK}


def changed(settings: S, inputs: Mapping[str, Path], stage: str, report: Reporter) -> S:
    """The settings with what those of `inputs` that are OPTIONAL say; the search has the last word.

    Raises:
        InputError: the study searched settings of another stage.
        SettingsError: the settings do not go with those that were given.
    """
    if TASK in inputs:
        settings = _of_task(settings, inputs[TASK], stage, report)
    if STUDY in inputs:
        settings = _tuned(settings, inputs[STUDY], stage, report)
    return settings


def _of_task(settings: S, directory: Path, stage: str, report: Reporter) -> S:
    task = Task.load(directory)
    own = {name: v for name, v in task.settings.items() if name in type(settings).model_fields}
    if not own:
        return settings
    report.message(f"{TASK}: {task.name!r} says {_shown(own)}")
    fields = type(settings).model_fields
    for name, value in own.items():
        if (given := getattr(settings, name)) not in (value, fields[name].default):
            report.warn(f"{name}: {given!r} was given, but the task says {value!r}, which is taken")
    return build(type(settings), {**settings.model_dump(), **own}, stage)


def _tuned(settings: S, directory: Path, stage: str, report: Reporter) -> S:
    """Only what was searched changes; a study without a complete trial changes nothing."""
    study = Study.load(directory)
    if study.trainer != stage:
        raise InputError(
            f"{STUDY}: {study.name!r} searched settings of {study.trainer}; give one of {stage}"
        )
    best = study.best_trial
    if best is None:
        tried = f"none of {len(study.trials)} trials is complete" if study.trials else "no trials"
        report.message(f"{STUDY}: {tried}, so the settings stay as they are")
        return settings
    report.message(
        f"{STUDY}: settings of trial {best.number}, the best of {study.name}: "
        f"{_shown(best.settings)}"
    )
    return build(type(settings), {**settings.model_dump(), **best.settings}, stage)


def _shown(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())
