"""Exports the detector of a TAO experiment with NVIDIA's program.

Releases from 5.0 on write ONNX, which `tao_engine` makes a TensorRT engine of. Earlier ones write
an encrypted .etlt file and, with it, the engine itself, calibrated with training images for int8.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.core.errors import TrainyardError
from components.core.settings import PLACE, Settings
from components.core.stage import Job, Stage
from components.core.tao import exporting, task


class ExportSettings(Settings):
    """Settings of `tao_export`."""

    project: str = Field(description=task.PROJECT, json_schema_extra=PLACE)
    experiment: str = Field(description=task.EXPERIMENT)
    release: str = Field("", description=task.RELEASE)
    export_type: Literal["", "fp32", "fp16", "int8"] = Field("", description=exporting.EXPORT_TYPE)
    calibration_batches: int = Field(10, ge=1, description=exporting.BATCHES)
    calibration_batch_size: int = Field(8, ge=1, description=exporting.BATCH_SIZE)
    max_batch_size: int = Field(8, ge=1, description="Largest batch that the server may form")


def check(settings: ExportSettings) -> list[TrainyardError]:
    """Everything wrong with the project and its specifications."""
    return task.problems_of(settings.project, settings.experiment, settings.release, ["export"])


def export(settings: ExportSettings, job: Job) -> None:
    """Reads `model` and `records`, writes `exported`.

    Raises:
        SettingsError: the project or its specification cannot be used.
        InputError: model or records are those of another experiment, or int8 lacks images.
        TrainyardError: NVIDIA's program failed, or exported something else.
    """
    from components.tao_export.work import run

    run(settings, job)


STAGE = Stage(
    name="tao_export",
    settings=ExportSettings,
    function=export,
    inputs={
        "model": "the trained detector (ModelBundle of tao_train or tao_prune)",
        "records": "what the head trains on (TaoData), for int8",
    },
    outputs={"exported": "ONNX, or .etlt and engine, with labels (ModelBundle)"},
    external=True,
    check=check,
)
