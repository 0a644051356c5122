"""Settings that a hyper-parameter search found, in place of those that were given."""

from __future__ import annotations

from pathlib import Path

from components.core.artifacts.study import Study
from components.core.errors import InputError
from components.core.events import Reporter
from components.core.settings import S, build

STUDY = "study"
"""Input of a stage that trains: optional, a Study whose best settings take the place of its own."""


def tuned(settings: S, directory: Path, stage: str, report: Reporter) -> S:
    """The settings with those that the study's best trial had.

    Only what was searched changes; a study without such a trial changes nothing.

    Raises:
        InputError: the study searched settings of another stage.
        SettingsError: the settings do not go with those that were found.
    """
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
    shown = ", ".join(f"{name}={value}" for name, value in best.settings.items())
    report.message(f"{STUDY}: settings of trial {best.number}, the best of {study.name}: {shown}")
    return build(type(settings), {**settings.model_dump(), **best.settings}, stage)
