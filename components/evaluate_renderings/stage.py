"""Evaluates a trained renderer on whole frames of one part of the data.

Writes PSNR, SSIM and, with weights, LPIPS of each frame and their means with bootstrap intervals,
beside those of the nearest photographs warped into place; the rendered pictures; and one
self-contained report.html with pictures side by side and maps of the errors.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from components.core.artifacts.split import PARTS
from components.core.errors import InputError, TrainyardError
from components.core.settings import CONTENT, RUNTIME, Settings
from components.core.stage import Job, Stage

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


class EvaluateRenderingsSettings(Settings):
    """Settings of `evaluate_renderings`."""

    part: str = Field("test", description="Part of the frames to evaluate: train, val or test")
    lpips_weights: str = Field(
        "",
        description="ImageNet weights of AlexNet or VGG-16 for LPIPS (.pth as torchvision has "
        "them); '' leaves LPIPS out",
        json_schema_extra=CONTENT,
    )
    other_data: bool = Field(
        False,
        description="Accept a model that was trained on other frames; whether it has seen these "
        "cannot be told then",
    )
    save_renderings: bool = Field(True, description="Keep the rendered frames as pictures")
    gallery: int = Field(
        3,
        ge=0,
        description="Frames of the worst, middle and best each in the report",
    )
    bootstrap: int = Field(
        200, ge=0, description="Resamples of the frames for intervals; 0 turns them off"
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="Confidence of the intervals")
    seed: int = Field(0, ge=0, description="Seed of everything that is random")
    device: str = Field(
        "auto",
        description="auto (a GPU if there is one), cpu, cuda or cuda:<number>",
        json_schema_extra=RUNTIME,
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        problems = []
        if self.part not in PARTS:
            problems.append(f"part: got {self.part!r}, accepted are {', '.join(PARTS)}")
        if not DEVICE.fullmatch(self.device):
            problems.append(
                f"device: got {self.device!r}, accepted are auto, cpu, cuda and cuda:<number>"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self


def check(settings: EvaluateRenderingsSettings) -> list[TrainyardError]:
    """Problems with files outside the inputs; weights for LPIPS are read."""
    place = settings.lpips_weights
    if not place:
        return []
    if not Path(place).is_file():
        return [InputError(f"lpips_weights: {place} does not exist; give a file, or '' for none")]
    from components.core.metrics.images import Lpips

    try:
        Lpips(place)
    except InputError as error:
        return [InputError(f"lpips_weights: {error}")]
    return []


def evaluate(settings: EvaluateRenderingsSettings, job: Job) -> None:
    """Reads `model` and `frames`; writes `evaluation` and `report`, tells the figures.

    Raises:
        InputError: the two do not belong together, or the part holds no frame.
    """
    from components.evaluate_renderings.evaluating import run

    run(settings, job)


STAGE = Stage(
    name="evaluate_renderings",
    settings=EvaluateRenderingsSettings,
    function=evaluate,
    inputs={
        "model": "the trained renderer (ModelBundle)",
        "frames": "frames with their photographs (RenderingDataset)",
    },
    outputs={
        "evaluation": "figures, pictures and report (RenderingEvaluation)",
        "metrics": "headline figures, for the Kubeflow UI",
        "report": "the report as one HTML file",
    },
    check=check,
)
