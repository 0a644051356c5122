"""Writes a DetectionEvaluation directory and what the Kubeflow UI shows of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.core import files
from components.core.artifacts.detection_evaluation import (
    BACKGROUND,
    CONFUSION,
    CONFUSION_PICTURE,
    PREDICTIONS,
    SUSPECTS,
    DetectionEvaluation,
    DetectionMetrics,
)
from components.core.report.charts import standalone
from components.core.report.pictures import confusion_png
from components.core.state import digest
from components.evaluate_detections import gallery, plots, tables
from components.evaluate_detections.report import html_report
from components.evaluate_detections.results import Results
from components.evaluate_detections.suspects import suspects

CLASS_TABLE, CURVE_TABLE = "class_figures.csv", "pr_curves.csv"


def write_evaluation(
    directory: Path,
    evaluation: DetectionEvaluation,
    results: Results,
    metrics: DetectionMetrics,
    *,
    numbers: Mapping[str, int],
    pictures: int,
    read: gallery.Reader,
    details: Mapping[str, Any],
) -> DetectionEvaluation:
    """Writes everything into a new directory, the index last.

    Args:
        directory: created; must not exist.
        evaluation: the index; `fingerprint` and `files` are filled in here.
        results: of the part.
        metrics: the figures.
        numbers: image → its id in the data set's document.
        pictures: how many of each kind the report shows.
        read: gives the pixels of an image file.
        details: further facts for the report's last section.
    """
    directory.mkdir(parents=True)
    doubtful = suspects(results)
    texts = {
        "metrics.json": (
            "all figures, intervals and remarks",
            metrics.model_dump_json(indent=2) + "\n",
        ),
        CLASS_TABLE: ("figures of each class, best first", tables.class_table(metrics)),
        CURVE_TABLE: (
            "precision of each class at 101 recalls, overlap .5",
            tables.curve_table(results),
        ),
        SUSPECTS: (
            "annotations to look at, the most suspicious first",
            tables.suspect_table(results, doubtful),
        ),
        PREDICTIONS: (
            "everything found, as COCO results",
            json.dumps(tables.coco_results(results, numbers), allow_nan=False) + "\n",
        ),
    }
    listed = {}
    for name, (about, text) in texts.items():
        files.write_text(directory / name, text)
        listed[name] = about
    counts = results.confusion()
    with open(directory / CONFUSION, "wb") as file:
        np.save(file, counts)
    listed[CONFUSION] = "confusion (C + 1, C + 1), rows annotated, the last one the background"
    names = [*results.classes, BACKGROUND]
    title = f"{evaluation.part} part, {len(results.images)} images"
    confusion_png(directory / CONFUSION_PICTURE, counts, names, title)
    listed[CONFUSION_PICTURE] = "confusion as a picture"
    (directory / "plots").mkdir()
    for name, svg in plots.draw_all(evaluation, results, metrics).items():
        files.write_text(directory / "plots" / f"{name}.svg", standalone(svg))
        listed[f"plots/{name}.svg"] = "chart"
    shown = gallery.drawn(results, gallery.entries(results, pictures), read)
    text = html_report(evaluation, results, metrics, shown, doubtful, details)
    files.write_text(directory / "report.html", text)
    listed["report.html"] = "the report, one self-contained file"
    content = {name: _sha256(directory / name) for name in sorted(listed)}
    identity = [evaluation.models, evaluation.dataset, evaluation.splits, content]
    whole = evaluation.model_copy(update={"fingerprint": digest(identity), "files": listed})
    whole.save(directory)
    return whole


def kubeflow_confusion(results: Results) -> dict[str, Any]:
    """Metadata of a `ClassificationMetrics` artifact, as kfp's log_confusion_matrix writes it."""
    names = [*results.classes, BACKGROUND]
    return {
        "confusionMatrix": {
            "annotationSpecs": [{"displayName": name} for name in names],
            "rows": [{"row": row} for row in results.confusion().tolist()],
        }
    }


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
