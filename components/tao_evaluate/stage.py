"""Evaluates the detector of a TAO experiment on its part for validation, with NVIDIA's program.

The figures are those that TAO defines; they come from its `status.json` and, by class, from what it
prints.
"""

from __future__ import annotations

from pydantic import Field

from components.core.errors import TrainyardError
from components.core.settings import PLACE, Settings
from components.core.stage import Job, Stage
from components.core.tao import task


class EvaluateSettings(Settings):
    """Settings of `tao_evaluate`."""

    project: str = Field(description=task.PROJECT, json_schema_extra=PLACE)
    experiment: str = Field(description=task.EXPERIMENT)
    release: str = Field("", description=task.RELEASE)


def check(settings: EvaluateSettings) -> list[TrainyardError]:
    """Everything wrong with the project and its specifications."""
    return task.problems_of(settings.project, settings.experiment, settings.release, ["evaluate"])


def evaluate(settings: EvaluateSettings, job: Job) -> None:
    """Reads `model` and `records`, writes `evaluation`, `metrics` and `report`.

    Raises:
        SettingsError: the project or its specification cannot be used.
        InputError: model or records are those of another experiment.
        TrainyardError: NVIDIA's program failed, or told no figure.
    """
    from components.tao_evaluate.evaluating import run

    run(settings, job)


STAGE = Stage(
    name="tao_evaluate",
    settings=EvaluateSettings,
    function=evaluate,
    inputs={
        "model": "the trained detector (ModelBundle of tao_train or tao_prune)",
        "records": "what the head trains on (TaoData)",
    },
    outputs={
        "evaluation": "figures, by class too, with log and report (TaoEvaluation)",
        "metrics": "headline figures, for the Kubeflow UI",
        "report": "the report as one HTML file",
    },
    external=True,
    check=check,
)
