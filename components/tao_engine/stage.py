"""Builds a TensorRT engine of an exported TAO detector with NVIDIA's program.

It runs in NVIDIA's deploy image, on a GPU like that of the server: an engine is made for one kind
of GPU and one version of TensorRT. For int8 the scales come from images of the training part.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.core.errors import TrainyardError
from components.core.settings import PLACE, Settings
from components.core.stage import Job, Stage
from components.core.tao import exporting, task


class EngineSettings(Settings):
    """Settings of `tao_engine`."""

    project: str = Field(description=task.PROJECT, json_schema_extra=PLACE)
    experiment: str = Field(description=task.EXPERIMENT)
    deploy_release: str = Field(
        "", description="Tag of NVIDIA's deploy image; '' takes 5.0.0-deploy"
    )
    build_engine: Literal["always", "auto", "never"] = Field(
        "always",
        description="always, never, or auto: where Triton could not serve the ONNX file, which has "
        "operators of TensorRT, or where export_type asks for fp16 or int8",
    )
    export_type: Literal["", "fp32", "fp16", "int8"] = Field("", description=exporting.EXPORT_TYPE)
    calibration_batches: int = Field(10, ge=1, description=exporting.BATCHES)
    calibration_batch_size: int = Field(8, ge=1, description=exporting.BATCH_SIZE)
    max_batch_size: int = Field(8, ge=1, description="Largest batch that the server may form")


def check(settings: EngineSettings) -> list[TrainyardError]:
    """Everything wrong with the project, its specifications and the image."""
    if settings.build_engine != "always":  # whether it is needed is not known before
        return []
    from components.tao_engine.building import problems

    return problems(settings)


def build(settings: EngineSettings, job: Job) -> None:
    """Reads `exported` and `records`, writes `engine`: that model where none is to be built.

    Raises:
        SettingsError: the project or its specification cannot be used.
        InputError: the model has no ONNX file, or int8 lacks images.
        TrainyardError: NVIDIA's program failed.
    """
    from components.tao_engine.building import run

    run(settings, job)


STAGE = Stage(
    name="tao_engine",
    settings=EngineSettings,
    function=build,
    inputs={
        "exported": "the exported detector (ModelBundle of tao_export)",
        "records": "what the head trains on (TaoData), for int8",
    },
    outputs={"engine": "engine, ONNX, scales and labels, or what was exported (ModelBundle)"},
    external=True,
    idle=lambda settings: settings.build_engine == "never",
    check=check,
)
