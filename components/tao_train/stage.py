"""Trains the detector of an experiment of a TAO project with NVIDIA's program.

Output is followed line by line, and progress and figures come from its `status.json`. A training
that was stopped or killed goes on from its newest whole checkpoint. The checkpoint that is kept is
the one that experiments.yml names, or that of the epoch with the best figure.
"""

from __future__ import annotations

from pydantic import Field

from components.core.errors import TrainyardError
from components.core.settings import PLACE, RUNTIME, Settings
from components.core.stage import Job, Stage
from components.core.tao import task


class TrainSettings(Settings):
    """Settings of `tao_train`."""

    project: str = Field(description=task.PROJECT, json_schema_extra=PLACE)
    experiment: str = Field(description=task.EXPERIMENT)
    release: str = Field("", description=task.RELEASE)
    processes: int = Field(0, ge=0, description=task.GPUS, json_schema_extra=RUNTIME)
    amp: bool = Field(False, description=task.AMP)


def check(settings: TrainSettings) -> list[TrainyardError]:
    """Everything wrong with the project and its specifications."""
    return task.problems_of(settings.project, settings.experiment, settings.release, ["train"])


def train(settings: TrainSettings, job: Job) -> None:
    """Reads `records`, writes `model`.

    Raises:
        SettingsError: the project or its specification cannot be used, or GPUs are missing.
        InputError: the records are those of another experiment.
        TrainyardError: NVIDIA's program failed.
        StoppedError: a signal asked to stop; what is trained so far is kept.
    """
    from components.tao_train.training import run

    run(settings, job)


STAGE = Stage(
    name="tao_train",
    settings=TrainSettings,
    function=train,
    inputs={"records": "what the head trains on (TaoData)"},
    outputs={"model": "the best checkpoint with log and curves (ModelBundle)"},
    external=True,
    check=check,
)
