"""Writes an Evaluation directory and what the Kubeflow UI shows of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.core import files
from components.core.artifacts.evaluation import (
    CONFUSION_PICTURE,
    HISTORY_PICTURE,
    TRAIN_CONFUSION_PICTURE,
    ClipMetrics,
    Evaluation,
)
from components.core.artifacts.frames import FrameReader
from components.core.metrics.classification import confusion_multi
from components.core.metrics.ranking import micro_roc
from components.core.report.charts import standalone
from components.core.report.pictures import confusion_png, history_png
from components.core.state import digest
from components.evaluate_clips import plots
from components.evaluate_clips.mistakes import worst_mistakes
from components.evaluate_clips.predictions import Predictions
from components.evaluate_clips.report import html_report
from components.evaluate_clips.samples import Sample, write_samples
from components.evaluate_clips.tables import checkpoint_table, class_table
from components.evaluate_clips.windows import Window

CLASS_TABLE, CHECKPOINT_TABLE = "class_figures.csv", "checkpoints.csv"


@dataclass(frozen=True)
class Pictures:
    """What an evaluation shows of its clips."""

    reader: FrameReader | None
    """Where the frames of the worst mistakes come from; None shows none."""
    window: Window | None
    """Which frames of a clip the model saw; None for the whole clip."""
    mistakes: int
    """How many are shown at most."""
    samples: list[Sample] = field(default_factory=list)
    """Clips before and after the resizer network."""


def write_evaluation(
    directory: Path,
    evaluation: Evaluation,
    predictions: Predictions,
    metrics: ClipMetrics,
    pictures: Pictures,
    details: Mapping[str, Any],
) -> Evaluation:
    """Writes everything into a new directory, the index last.

    Args:
        directory: created; must not exist.
        evaluation: the index; `fingerprint` and `files` are filled in here.
        predictions: the arrays.
        metrics: the figures.
        pictures: what is shown of clips.
        details: further facts for the report's last section.
    """
    directory.mkdir(parents=True)
    listed = predictions.save(directory, evaluation)
    tables = {CLASS_TABLE: ("figures of each class, best first", class_table(metrics))}
    if metrics.checkpoints:
        text = checkpoint_table(metrics.checkpoints)
        tables[CHECKPOINT_TABLE] = ("validation figures of the compared checkpoints", text)
    for name, (about, text) in tables.items():
        files.write_text(directory / name, text)
        listed[name] = about
    listed |= write_samples(directory, pictures.samples)
    files.write_text(directory / "metrics.json", metrics.model_dump_json(indent=2) + "\n")
    listed["metrics.json"] = "all figures, intervals and remarks"
    (directory / "plots").mkdir()
    drawn = plots.draw_all(evaluation, predictions, metrics)
    for name, svg in drawn.items():
        files.write_text(directory / "plots" / f"{name}.svg", standalone(svg))
        listed[f"plots/{name}.svg"] = "chart"
    listed |= _pictures(directory, evaluation, predictions)
    worst = worst_mistakes(
        predictions,
        metrics,
        evaluation.classes,
        pictures.reader,
        pictures.window,
        pictures.mistakes,
    )
    text = html_report(evaluation, predictions, metrics, worst, pictures.samples, details)
    files.write_text(directory / "report.html", text)
    listed["report.html"] = "the report, one self-contained file"
    content = {name: _sha256(directory / name) for name in sorted(listed)}
    identity = [evaluation.models, evaluation.dataset, evaluation.splits, content]
    whole = evaluation.model_copy(update={"fingerprint": digest(identity), "files": listed})
    whole.save(directory)
    return whole


def _pictures(directory: Path, evaluation: Evaluation, predictions: Predictions) -> dict[str, str]:
    """Writes what other programs show; returns file name → what it is."""
    listed: dict[str, str] = {}
    if not predictions.multi_label:
        for name, counts, part in (
            (CONFUSION_PICTURE, predictions.confusion(), evaluation.part),
            (TRAIN_CONFUSION_PICTURE, predictions.train_confusion(), "train"),
        ):
            if counts is not None:
                title = f"{part} part, {counts.sum()} clips"
                confusion_png(directory / name, counts, evaluation.classes, title)
                listed[name] = f"confusion of the {part} part as a picture"
    if len(evaluation.curves) == 1 and (curves := next(iter(evaluation.curves.values()))):
        chosen = next(iter(evaluation.epochs.values()), 0)
        history_png(directory / HISTORY_PICTURE, curves, chosen)
        listed[HISTORY_PICTURE] = "figures of the training over its epochs as a picture"
    return listed


def kubeflow_confusion(predictions: Predictions, classes: list[str]) -> dict[str, Any]:
    """Metadata of a `ClassificationMetrics` artifact, as kfp's log_confusion_matrix writes it.

    Multi-label predictions have no class-by-class matrix: there the matrix is over all labels of
    all clips (absent or present), beside the ROC curve of all labels pooled.
    """
    if not predictions.multi_label:
        return {"confusionMatrix": _matrix(classes, predictions.confusion().tolist())}
    pooled = confusion_multi(predictions.actual, predictions.predicted).sum(axis=0)
    curve = [
        {"confidenceThreshold": threshold, "recall": recall, "falsePositiveRate": false}
        for false, recall, threshold in micro_roc(predictions.actual, predictions.probabilities)
    ]
    return {
        "confusionMatrix": _matrix(["absent", "present"], pooled.tolist()),
        **({"confidenceMetrics": curve} if curve else {}),
    }


def _matrix(names: list[str], rows: list[list[int]]) -> dict[str, Any]:
    specs = [{"displayName": name} for name in names]
    return {"annotationSpecs": specs, "rows": [{"row": row} for row in rows]}


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
