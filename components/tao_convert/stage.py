"""Converts the data set of an experiment of a TAO project into what its head trains on.

The data set is looked through before anything is started, and never changed. Heads of TensorFlow
get TFRecords from NVIDIA's program; those of PyTorch read COCO data, which is only checked.
"""

from __future__ import annotations

from pydantic import Field

from components.core.errors import InputError, TrainyardError
from components.core.settings import PLACE, Settings
from components.core.stage import Job, Stage
from components.core.tao import task


class ConvertSettings(Settings):
    """Settings of `tao_convert`."""

    project: str = Field(description=task.PROJECT, json_schema_extra=PLACE)
    experiment: str = Field(description=task.EXPERIMENT)
    release: str = Field("", description=task.RELEASE)


def check(settings: ConvertSettings) -> list[TrainyardError]:
    """Everything wrong with project, specifications and data set."""
    from components.tao_convert.converting import look

    found = task.problems_of(settings.project, settings.experiment, settings.release, ["train"])
    return [
        *found,
        *(InputError(text) for text in look(settings).problems if text not in map(str, found)),
    ]


def convert(settings: ConvertSettings, job: Job) -> None:
    """Writes `records`.

    Raises:
        SettingsError: the project, its specifications or the data set cannot be used.
        TrainyardError: NVIDIA's program failed.
    """
    from components.tao_convert.converting import run

    run(settings, job)


STAGE = Stage(
    name="tao_convert",
    settings=ConvertSettings,
    function=convert,
    outputs={"records": "what the head trains on (TaoData)"},
    external=True,
    check=check,
)
