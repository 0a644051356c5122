"""The figures and lists of an evaluation as CSV, and what was found as COCO results."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from components.core.artifacts.detection_evaluation import DetectedClass, DetectionMetrics
from components.core.metrics.detection import RECALLS
from components.evaluate_detections.results import Results
from components.evaluate_detections.suspects import Suspect

_INTERVALS = ("ap", "ap50")


def ranked(metrics: DetectionMetrics) -> list[DetectedClass]:
    """Classes with the best average precision first; without one last."""
    return sorted(
        metrics.classes, key=lambda c: (c.ap is None, -(c.ap or 0), -c.annotations, c.name)
    )


def class_table(metrics: DetectionMetrics) -> str:
    """`class_figures.csv`: one row per class in the order of `ranked`, '' for undefined figures."""
    plain = [name for name in DetectedClass.model_fields if not name.endswith("_interval")]
    heads = ["class", *plain[1:]]
    heads += [f"{name}_{end}" for name in _INTERVALS for end in ("low", "high")]
    rows = []
    for own in ranked(metrics):
        pairs = [getattr(own, f"{name}_interval") or (None, None) for name in _INTERVALS]
        rows.append([*(getattr(own, name) for name in plain), *(end for p in pairs for end in p)])
    return as_csv(heads, rows)


def curve_table(results: Results) -> str:
    """`pr_curves.csv`: precision of each annotated class at an overlap of .5 and 101 recalls."""
    figures = results.figures
    rows = [
        [name, float(recall), float(precision), float(score)]
        for name, precisions, scores in zip(
            results.classes, figures.precision, figures.scores, strict=True
        )
        if not np.isnan(precisions).any()
        for recall, precision, score in zip(RECALLS, precisions, scores, strict=True)
    ]
    return as_csv(["class", "recall", "precision", "score"], rows)


def suspect_table(results: Results, found: Sequence[Suspect]) -> str:
    """`suspects.csv`: annotations to look at, the most suspicious first."""
    heads = ["rank", "kind", "image", "task", "frame", "found_class", "annotated_class", "score"]
    rows = []
    for rank, one in enumerate(found, 1):
        image = results.images[one.image]
        rows.append(
            [
                rank,
                one.kind,
                image.name,
                image.task,
                image.frame,
                one.found,
                one.annotated,
                one.score,
                one.overlap,
                *(round(end, 2) for end in one.box),
            ]
        )
    return as_csv([*heads, "overlap", "left", "top", "right", "bottom"], rows)


def coco_results(results: Results, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """`predictions.json`: everything that was found, in COCO's format of results.

    Args:
        results: of the part.
        numbers: image → its id in the data set's document.
    """
    entries = []
    for image, found in zip(results.images, results.predictions, strict=True):
        rows = zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
        for (left, top, right, bottom), score, number in rows:
            box = [left, top, right - left, bottom - top]
            entries.append(
                {
                    "image_id": numbers[image.name],
                    "file_name": image.name,
                    "category_id": number + 1,
                    "bbox": [round(value, 3) for value in box],
                    "score": round(score, 6),
                }
            )
    return entries


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV text; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    for row in rows:
        writer.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row])
    return text.getvalue()
