"""Evaluates a trained detector on one part of a split.

Writes COCO's figures (mean average precision over overlaps, sizes and classes) with bootstrap
intervals over recordings, precision and recall at the thresholds that suit the validation part
best, confusion with the background, calibration, galleries of mistakes, a list of annotations that
are worth a second look, and one self-contained report.html.
"""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from components.core.artifacts.split import PARTS
from components.core.settings import RUNTIME, Settings
from components.core.stage import Job, Stage

TUNED = "tuned"
DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


class EvaluateSettings(Settings):
    """Settings of `evaluate_detections`."""

    part: str = Field("test", description="Part of the split to evaluate: train, val or test")
    threshold: str = Field(
        TUNED,
        description="Score from which a box counts for precision, recall, F1 and confusion, "
        "between 0 and 1, or 'tuned' for the best F1 of each class on the validation part",
    )
    iou: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="Overlap (intersection over union) from which a box is right, for thresholds, "
        "precision, recall, F1, confusion and calibration; COCO's figures have their own",
    )
    other_data: bool = Field(
        False,
        description="Accept a model that was trained on another data set or split; whether it has "
        "seen the images cannot be told then",
    )
    bootstrap: int = Field(
        200, ge=0, description="Resamples of the recordings for intervals; 0 turns them off"
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="Confidence of the intervals")
    gallery: int = Field(
        12, ge=0, description="Pictures of each kind of mistake, and of right boxes, in the report"
    )
    seed: int = Field(0, ge=0, description="Seed of everything that is random")
    device: str = Field(
        "auto",
        description="auto (a GPU if there is one), cpu, cuda or cuda:<number>",
        json_schema_extra=RUNTIME,
    )
    batch_size: int = Field(
        8, ge=1, description="Images per run of the model", json_schema_extra=RUNTIME
    )
    workers: int = Field(
        0,
        ge=0,
        description="Threads that read ahead; 0 for one per usable CPU",
        json_schema_extra=RUNTIME,
    )

    @field_validator("threshold", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        # A file may say `threshold: 0.5` without quotes.
        return str(value) if type(value) in (int, float) else value

    @model_validator(mode="after")
    def _known(self) -> Self:
        problems = []
        if self.part not in PARTS:
            problems.append(f"part: got {self.part!r}, accepted are {', '.join(PARTS)}")
        if self.threshold != TUNED and self.fixed_threshold is None:
            problems.append(
                f"threshold: got {self.threshold!r}, accepted are {TUNED!r} or a number between "
                "0 and 1"
            )
        if not DEVICE.fullmatch(self.device):
            problems.append(
                f"device: got {self.device!r}, accepted are auto, cpu, cuda and cuda:<number>"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def tunes(self) -> bool:
        """Whether thresholds are tuned on the validation part."""
        return self.threshold == TUNED

    @property
    def fixed_threshold(self) -> float | None:
        """The threshold as a number, or None when it is tuned or not a number."""
        try:
            value = float(self.threshold)
        except ValueError:
            return None
        return value if 0 < value < 1 else None


def evaluate(settings: EvaluateSettings, job: Job) -> None:
    """Reads `model`, `dataset` and `split`; writes `evaluation` and `report`, tells the figures.

    Raises:
        InputError: the three do not belong together, or the part holds no image.
    """
    from components.evaluate_detections.evaluating import run

    run(settings, job)


STAGE = Stage(
    name="evaluate_detections",
    settings=EvaluateSettings,
    function=evaluate,
    inputs={
        "model": "the trained detector (ModelBundle)",
        "dataset": "annotated images (DetectionDataset)",
        "split": "which images belong to train, val and test (Split)",
    },
    outputs={
        "evaluation": "figures, thresholds, predictions and report (DetectionEvaluation)",
        "metrics": "headline figures, for the Kubeflow UI",
        "confusion": "confusion matrix with the background, for the Kubeflow UI",
        "report": "the report as one HTML file",
    },
)
