"""Evaluates a trained clip classifier on one part of a split.

Runs the model's ONNX graph, so what is measured is what will be served. With `checkpoints` it
first compares the kept ones on the validation part, and evaluates the best of them. Writes
logits, probabilities, predictions, confusion tables, F1, precision, recall, average precision and
top-k, each headline figure with a bootstrap interval over recordings, beside what one still frame
alone tells; and one self-contained report.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import PARTS
from components.core.settings import RUNTIME, Settings
from components.core.stage import Job, Stage
from components.evaluate_clips import selection
from components.evaluate_clips.array_names import file_names

V = TypeVar("V")

TUNED = "tuned"
DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


class EvaluateSettings(Settings):
    """Settings of `evaluate_clips`."""

    part: str = Field("test", description="Part of the split to evaluate: train, val or test")
    checkpoints: str = Field(
        "",
        description="Kept checkpoints to compare on the validation part: '' none (the model "
        "itself is evaluated), 'all', epochs such as 5-30:5,40, or optimizer steps such as "
        "step 1000-3000. The best one by select_by is then evaluated",
    )
    select_by: Literal["macro_f1", "micro_f1", "samples_f1", "accuracy"] = Field(
        "macro_f1",
        description="Validation figure that selects among the checkpoints; accuracy is the share "
        "of clips whose labels are all right",
    )
    threshold: str = Field(
        TUNED,
        description=(
            "Multi-label: probability from which a class is chosen, between 0 and 1, or 'tuned' "
            "for the best of each class on the validation part"
        ),
    )
    top_k: int = Field(5, ge=0, description="Also count clips whose class is among the k best")
    views: int = Field(1, ge=1, description="Windows per clip whose logits are averaged")
    bootstrap: int = Field(
        1000, ge=0, description="Resamples of the recordings for intervals; 0 turns them off"
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="Confidence of the intervals")
    baseline: bool = Field(
        True, description="Also train a classifier on one still frame per clip, for comparison"
    )
    train_confusion: bool = Field(
        False,
        description="Also classify the training part, in the same pass, and show its confusion",
    )
    mistakes: int = Field(12, ge=0, description="Worst mistakes shown as frames in the report")
    resizer_samples: int = Field(
        4,
        ge=0,
        description="Random validation clips shown before and after the resizer network, if the "
        "model has one",
    )
    sample_clips: list[str] = Field(
        [], description="Ids of the clips to show before and after the resizer instead"
    )
    array_names: list[str] = Field(
        [],
        description="Other names for the array files, such as confusion=resizer_confusion.npy",
    )
    seed: int = Field(0, ge=0, description="Seed of everything that is random")
    device: str = Field(
        "auto",
        description="auto (a GPU if there is one), cpu, cuda or cuda:<number>",
        json_schema_extra=RUNTIME,
    )
    batch_size: int = Field(
        8, ge=1, description="Clips per run of the model", json_schema_extra=RUNTIME
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
        if twice := sorted(
            {name for name in self.sample_clips if self.sample_clips.count(name) > 1}
        ):
            problems.append(f"sample_clips: {', '.join(twice)} is named more than once")
        problems += _problems(selection.parse, self.checkpoints) if self.checkpoints else []
        problems += _problems(file_names, self.array_names)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def tunes(self, bundle: ModelBundle) -> bool:
        """Whether thresholds are tuned for this model."""
        return bundle.multi_label and self.threshold == TUNED

    @property
    def fixed_threshold(self) -> float | None:
        """The threshold as a number, or None when it is tuned or not a number."""
        try:
            value = float(self.threshold)
        except ValueError:
            return None
        return value if 0 < value < 1 else None


def _problems(parse: Callable[[V], object], value: V) -> list[str]:
    try:
        parse(value)
    except ValueError as error:
        return [str(error)]
    return []


def evaluate(settings: EvaluateSettings, job: Job) -> None:
    """Reads `model`, `frames` and `split`; writes `evaluation` and `report`, tells the figures.

    Raises:
        InputError: the three do not belong together, or the part holds no clip.
    """
    from components.evaluate_clips.evaluating import run

    run(settings, job)


STAGE = Stage(
    name="evaluate_clips",
    settings=EvaluateSettings,
    function=evaluate,
    inputs={
        "model": "the trained model (ModelBundle)",
        "frames": "frames of the clips (FrameDataset)",
        "split": "which clips belong to train, val and test (Split)",
    },
    outputs={
        "evaluation": "arrays, figures and report (Evaluation)",
        "metrics": "headline figures, for the Kubeflow UI",
        "confusion": "confusion matrix, for the Kubeflow UI",
        "report": "the report as one HTML file",
    },
)
