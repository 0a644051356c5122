"""Evaluation: what a model did on one part of a data set, as arrays, figures and a report.

A directory holds `index.json`, `metrics.json` (figures, see `ClipMetrics`), `report.html`,
`plots/*.svg`, `predictions.csv` (one readable row per clip), `class_figures.csv` (one per class)
and arrays, rows in the order of predictions.csv, whose file names `Evaluation.arrays` may change:

- `logits.npy` float32 `(N, C)`: the model's outputs before softmax or sigmoid.
- `probabilities.npy` float32 `(N, C)`.
- `predictions.npy`, `actuals.npy` int64: class numbers `(N,)`, or 0/1 `(N, C)` for multi-label.
- `confusion.npy` int64: `(C, C)`, rows the true class; multi-label `(C, 2, 2)`
  [[TN, FP], [FN, TP]].
- `train_confusion.npy`: the same of the training part, if it was asked for.
- `baseline_probabilities.npy` float64 `(N, C)`: the single-frame baseline's, if there is one.

`confusion.png`, `train_confusion.png` (one label per clip) and `training_history.png` are pictures
for other programs. Where checkpoints were compared, `checkpoints.csv` holds their validation
figures; where the model has a resizer network, `samples/*.png` shows what it does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from components.core.artifacts.base import Index
from components.core.errors import InputError

ARRAYS = {
    "logits": "model outputs before softmax or sigmoid, float32 (clips, classes)",
    "probabilities": "float32 (clips, classes)",
    "predictions": "int64 class numbers (clips,), or 0/1 (clips, classes) for multi-label",
    "actuals": "the truth, as the predictions",
    "confusion": "int64 (C, C), rows true; multi-label (C, 2, 2) [[TN, FP], [FN, TP]]",
}
"""Array → what its file holds."""

BASELINE_FILE = "baseline_probabilities.npy"
TRAIN_CONFUSION_FILE = "train_confusion.npy"

CONFUSION_PICTURE, TRAIN_CONFUSION_PICTURE = "confusion.png", "train_confusion.png"
HISTORY_PICTURE = "training_history.png"
"""Pictures that a publication takes along."""


class ClassFigures(BaseModel):
    """Figures of one class; None where a figure is undefined (0/0)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    support: int
    """Clips that carry the label."""
    chosen: int
    """Clips that the model gave it to."""
    precision: float | None
    recall: float | None
    f1: float | None
    f1_interval: tuple[float, float] | None = None
    average_precision: float | None = None


class Summary(BaseModel):
    """Figures of one classifier on one set of clips."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clips: int
    groups: int
    """Recordings the clips come from; what the intervals resample."""
    figures: dict[str, float]
    """`macro_f1`, `micro_f1`, `accuracy` or `exact_match`, `mean_average_precision`, …"""
    intervals: dict[str, tuple[float, float]]
    undefined: dict[str, list[str]]
    """Figure → classes that have none and are not part of its mean."""
    chance_macro_f1: float
    """What guessing each class as often as it occurs reaches."""
    classes: list[ClassFigures]


class Comparison(BaseModel):
    """A model beside the single-frame baseline on the same clips."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Summary
    baseline: Summary | None = None
    difference: dict[str, float] = {}
    """The model's figures minus the baseline's."""
    difference_intervals: dict[str, tuple[float, float]] = {}
    """Intervals of the differences, from the same resamples for both."""


class Outcomes(BaseModel):
    """Clips by whether their whole set of labels was found; the three add up to all clips."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    right: int
    """Exactly the true labels were given."""
    wrong: int
    """Some label was given, but the set is not the true one."""
    no_prediction: int
    """The clip has labels, but none was given (only possible for multi-label)."""


class CheckpointFigures(BaseModel):
    """One of the checkpoints that were compared on the validation part."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Where it lies in the bundle: `checkpoints/0005`, `last`, or `best` for the bundle itself."""
    epoch: int
    """From 1; 0 where the bundle does not tell."""
    step: int
    """Optimizer steps at its end; 0 where the bundle does not tell."""
    fingerprint: str
    figures: dict[str, float]
    """`macro_f1`, `micro_f1`, `samples_f1` and `accuracy` (all labels right) on validation."""
    chosen: bool = False


class ClipMetrics(BaseModel):
    """The content of `metrics.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    confidence: float
    replicates: int
    overall: Comparison
    mixed_groups: Comparison | None = None
    """The same over groups whose clips differ in class; elsewhere the scene alone tells it."""
    thresholds: list[float] = []
    """Multi-label: the probability from which each class is chosen."""
    at_half: Summary | None = None
    """Multi-label with tuned thresholds: the figures with 0.5 for every class."""
    outcomes: Outcomes | None = None
    training_clips: dict[str, int] = {}
    """Class → clips of the training part that carry it; empty where there are several models."""
    checkpoints: list[CheckpointFigures] = []
    """What was compared before the evaluation; the chosen one is the evaluated one."""
    notes: list[str] = []
    """What a reader should know before quoting a figure."""

    @classmethod
    def read(cls, directory: Path) -> ClipMetrics:
        """Reads `metrics.json` of an evaluation directory.

        Raises:
            InputError: it is missing or damaged.
        """
        path = directory / "metrics.json"
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError:
            raise InputError(f"{path} is missing") from None
        except (ValidationError, json.JSONDecodeError) as error:
            raise InputError(f"{path} is damaged: {error}") from None


class Evaluation(Index):
    """Index of an Evaluation directory."""

    SCHEMA: ClassVar[str] = "trainyard/evaluation"

    task: str
    """e.g. `clip_classification`."""
    multi_label: bool
    classes: list[str]
    part: str
    """`train`, `val` or `test`, or `pooled` for the test parts of several folds."""
    clips: int
    models: dict[str, str]
    """Name → fingerprint of the evaluated bundles: one, or one per fold."""
    dataset: str
    """Fingerprint of the FrameDataset."""
    parent: str
    """Fingerprint of the ClipDataset behind it."""
    splits: list[str]
    """Fingerprints of the Splits."""
    code_version: str
    settings: dict[str, Any]
    figures: dict[str, float]
    """The headline figures, also in `metrics.json`."""
    curves: dict[str, list[dict[str, float]]] = {}
    """Model name → its per-epoch training figures."""
    epochs: dict[str, int] = {}
    """Model name → the epoch of its weights, where known."""
    arrays: dict[str, str] = {}
    """Array (see ARRAYS) → its file name, where that is not `<array>.npy`."""
    files: dict[str, str]
    """What each file of the directory is."""

    def array_file(self, array: str) -> str:
        """File name of an array, one of ARRAYS."""
        return self.arrays.get(array, f"{array}.npy")
