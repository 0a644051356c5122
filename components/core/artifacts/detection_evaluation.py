"""DetectionEvaluation: what a detector found on one part of a data set, as figures and a report.

A directory holds:

- `index.json`, and `metrics.json` with all figures, see `DetectionMetrics`.
- `report.html` and `plots/*.svg`.
- `predictions.json`: COCO results: `image_id` and `category_id` as in the data set's document,
  `bbox` left, top, width, height in pixels, `score`, and `file_name`.
- `class_figures.csv` (one row per class), `pr_curves.csv` (class, recall, precision, score at an
  overlap of .5) and `suspects.csv` (images whose annotations are worth a look, see `SUSPECTS`).
- `confusion.npy` int64 `(C + 1, C + 1)`, rows the annotated class, columns the found one; the last
  row is boxes where nothing is annotated, the last column objects that were not found.
- `confusion.png`: the same as a picture.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from components.core.artifacts.base import Index
from components.core.errors import InputError

Interval = tuple[float, float]

BACKGROUND = "background"
"""Name of the last row and column of the confusion."""

CONFUSION, PREDICTIONS, SUSPECTS = "confusion.npy", "predictions.json", "suspects.csv"
CONFUSION_PICTURE = "confusion.png"


class DetectedClass(BaseModel):
    """Figures of one class; None where one is undefined."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    annotations: int
    """In the evaluated part, without crowds."""
    training: int | None = None
    """Annotations in the model's training part; None where that is of other data."""
    threshold: float
    """Score from which a box counts for the figures from `found` on."""
    found: int = 0
    """Boxes that count."""
    right: int = 0
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    ap: float | None = None
    """Mean over the overlaps .50 to .95."""
    ap_interval: Interval | None = None
    ap50: float | None = None
    ap50_interval: Interval | None = None
    ap75: float | None = None
    ap_small: float | None = None
    ap_medium: float | None = None
    ap_large: float | None = None
    ar100: float | None = None


class Bin(BaseModel):
    """Boxes with scores from `low` to below `high`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float
    high: float
    boxes: int
    score: float
    """Mean."""
    precision: float
    """Share that is right."""


class Calibration(BaseModel):
    """How well scores tell how many boxes are right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error: float
    """Expected calibration error: mean distance of score and precision, weighted by boxes."""
    bins: list[Bin]
    """Those that hold boxes."""


class SizeFigures(BaseModel):
    """Figures of small, medium or large objects."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    annotations: int
    found: int
    """Of the annotations, at the thresholds."""
    ap: float | None
    ar100: float | None


class DetectionMetrics(BaseModel):
    """The content of `metrics.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: int
    negatives: int
    """Images without annotations."""
    annotations: int
    """Without crowds."""
    crowds: int
    groups: int
    """Videos or recordings the images come from; what the intervals resample."""
    predictions: int
    iou: float
    """Overlap from which a box is right: of thresholds, confusion, precision, recall and F1."""
    confidence: float
    replicates: int
    figures: dict[str, float]
    """`map`, `map50`, `map75`, `map_<size>`, `ar1`, `ar10`, `ar100`, `ar_<size>`, `macro_f1`,
    `macro_precision`, `macro_recall`, `micro_f1`, `micro_precision`, `micro_recall`,
    `calibration_error`; the undefined ones are left out."""
    intervals: dict[str, Interval]
    undefined: dict[str, list[str]]
    """Figure → classes that have none and are no part of it."""
    classes: list[DetectedClass]
    sizes: list[SizeFigures]
    thresholds_from: str
    """`val` where they were tuned on the validation part, `setting` where they were given."""
    errors: dict[str, int]
    """Kind of mistake → boxes, above the thresholds: `background`, `poor_box`, `duplicate`,
    `wrong_class`; and `missed` annotations."""
    calibration: Calibration | None = None
    variants: list[dict[str, Any]] = []
    """Validation figures of the networks that were trained beside each other."""
    notes: list[str] = []
    """What a reader should know before quoting a figure."""

    @classmethod
    def read(cls, directory: Path) -> DetectionMetrics:
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


class DetectionEvaluation(Index):
    """Index of a DetectionEvaluation directory."""

    SCHEMA: ClassVar[str] = "trainyard/detection-evaluation"

    task: str
    """`object_detection`."""
    classes: list[str]
    """Without the background."""
    part: str
    """`train`, `val` or `test`."""
    images: int
    models: dict[str, str]
    """Name → fingerprint of the evaluated bundle."""
    dataset: str
    """Fingerprint of the DetectionDataset."""
    splits: list[str]
    """Fingerprints of the Splits."""
    code_version: str
    settings: dict[str, Any]
    figures: dict[str, float]
    """The headline figures, also in `metrics.json`."""
    thresholds: dict[str, float]
    """Class → score from which its boxes are taken, 0 to 1."""
    curves: dict[str, list[dict[str, float]]] = {}
    """Model name → its per-epoch training figures."""
    epochs: dict[str, int] = {}
    """Model name → the epoch of its weights, where known."""
    files: dict[str, str]
    """What each file of the directory is."""
