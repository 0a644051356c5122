"""The charts of a detector's evaluation, each usable in the report and as a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.core.artifacts.detection_evaluation import (
    BACKGROUND,
    Calibration,
    DetectionEvaluation,
    DetectionMetrics,
)
from components.core.metrics.detection import RECALLS
from components.core.report.charts import COLOURED, Series, bar_chart, heat_map, line_chart
from components.core.training.history import best_epoch
from components.evaluate_detections.results import Results
from components.evaluate_detections.tables import ranked


def draw_all(
    evaluation: DetectionEvaluation, results: Results, metrics: DetectionMetrics
) -> dict[str, str]:
    """File stem → inline SVG; curves of the classes with the most annotations."""
    best = ranked(metrics)
    drawn = {
        "per_class_ap": bar_chart([c.name for c in best], [c.ap for c in best], "AP"),
        "confusion": confusion(results),
    }
    most = sorted((c for c in best if c.ap is not None), key=lambda c: (-c.annotations, c.name))
    if most:
        drawn["precision_recall"] = line_chart(
            [recall_curve(results, results.classes.index(c.name)) for c in most[:COLOURED]],
            x_label="recall",
            y_label="precision",
            x_range=(0, 1),
            y_range=(0, 1),
            named=True,
        )
    if metrics.calibration is not None:
        drawn["calibration"] = calibration(metrics.calibration, named=True)
    for name, svg, _ in training_charts(evaluation, named=True):
        drawn[name] = svg
    return drawn


def confusion(results: Results) -> str:
    """The confusion with the background as a heat map."""
    names = [*results.classes, BACKGROUND]
    return heat_map(results.confusion().tolist(), names, "annotated class", "found class")


def recall_curve(results: Results, number: int) -> Series:
    """Precision over recall of one class at an overlap of .5."""
    y = results.figures.precision[number]
    return Series(results.classes[number], RECALLS.tolist(), np.nan_to_num(y).tolist())


def calibration(found: Calibration, named: bool = False) -> str:
    """Share of right boxes over the score, beside the line on which scores are probabilities."""
    return line_chart(
        [
            Series(
                "boxes",
                [own.score for own in found.bins],
                [own.precision for own in found.bins],
            ),
            Series("calibrated", [0, 1], [0, 1], colour=4),
        ],
        x_label="score",
        y_label="share of right boxes",
        x_range=(0, 1),
        y_range=(0, 1),
        points=True,
        named=named,
    )


def training_charts(
    evaluation: DetectionEvaluation, named: bool = False
) -> list[tuple[str, str, list[str]]]:
    """(file stem, SVG, names of the lines) of losses and validation figures over the epochs."""
    charts = []
    for name, rows in evaluation.curves.items():
        keys = list(dict.fromkeys(key for row in rows for key in row))
        losses = [key for key in keys if key.endswith("loss")]
        figures = [key for key in keys if key.startswith("val_") and not key.endswith("loss")]
        numbered = [dict(row) for row in rows if "epoch" in row]
        best = evaluation.epochs.get(name) or best_epoch(numbered, "val_map") or None
        for stem, chosen, label, scale in (
            ("training_loss", losses, "loss", None),
            ("training_figures", figures[:COLOURED], "validation figures", (0.0, 1.0)),
        ):
            lines = [_series(rows, key) for key in chosen[:COLOURED]]
            if lines:
                svg = line_chart(
                    lines,
                    x_label="epoch",
                    y_label=label,
                    y_range=scale,
                    mark_x=best,
                    whole_x=True,
                    named=named,
                )
                charts.append((stem, svg, [line.name for line in lines]))
    return charts


def _series(rows: Sequence[Mapping[str, float]], key: str) -> Series:
    known = [
        (row.get("epoch", number), row[key]) for number, row in enumerate(rows, 1) if key in row
    ]
    return Series(key.replace("_", " "), [x for x, _ in known], [y for _, y in known])
