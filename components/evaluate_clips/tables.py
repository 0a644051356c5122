"""The figures of an evaluation as CSV tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from components.core.artifacts.evaluation import CheckpointFigures, ClassFigures, ClipMetrics

COMPARED = {
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "samples_f1": "F1 per clip",
    "accuracy": "exact match",
}
"""Validation figures of a checkpoint, and how people call them."""


def ranked(metrics: ClipMetrics) -> list[ClassFigures]:
    """Classes with the best F1 first, of equal ones the most frequent; without an F1 last."""
    trained = metrics.training_clips
    return sorted(
        metrics.overall.model.classes,
        key=lambda c: (c.f1 is None, -(c.f1 or 0), -trained.get(c.name, 0), -c.support, c.name),
    )


def class_table(metrics: ClipMetrics) -> str:
    """`class_figures.csv`: one row per class in the order of `ranked`, '' for undefined figures."""
    order = [found.name for found in metrics.overall.model.classes]
    thresholds = dict(zip(order, metrics.thresholds, strict=False))
    heads = ["class", "training_clips", "clips", "predicted", "f1", "f1_low", "f1_high"]
    rows = [
        [
            found.name,
            metrics.training_clips.get(found.name),
            found.support,
            found.chosen,
            found.f1,
            *(found.f1_interval or (None, None)),
            found.precision,
            found.recall,
            found.average_precision,
            thresholds.get(found.name),
        ]
        for found in ranked(metrics)
    ]
    return as_csv([*heads, "precision", "recall", "average_precision", "threshold"], rows)


def checkpoint_table(checkpoints: Sequence[CheckpointFigures]) -> str:
    """`checkpoints.csv`: the validation figures of every compared checkpoint."""
    heads = ["checkpoint", "epoch", "step", *COMPARED, "chosen", "fingerprint"]
    rows = [
        [
            row.name,
            row.epoch or None,
            row.step or None,
            *(row.figures[key] for key in COMPARED),
            int(row.chosen),
            row.fingerprint,
        ]
        for row in checkpoints
    ]
    return as_csv(heads, rows)


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV text; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    for row in rows:
        writer.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row])
    return text.getvalue()
