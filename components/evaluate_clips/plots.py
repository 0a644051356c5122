"""The charts of a classification evaluation, each usable in the report and as a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.evaluation import CheckpointFigures, ClipMetrics, Evaluation
from components.core.metrics.ranking import precision_recall
from components.core.report.charts import COLOURED, Series, bar_chart, heat_map, line_chart
from components.core.training.history import best_epoch
from components.evaluate_clips.predictions import Predictions
from components.evaluate_clips.tables import COMPARED, ranked

CURVE_POINTS = 80


def draw_all(
    evaluation: Evaluation, predictions: Predictions, metrics: ClipMetrics
) -> dict[str, str]:
    """File stem → inline SVG; curves of the classes with the most clips."""
    best = ranked(metrics)
    drawn = {"per_class_f1": bar_chart([c.name for c in best], [c.f1 for c in best], "F1")}
    if metrics.checkpoints:
        drawn["checkpoints"] = checkpoints(metrics.checkpoints, predictions.multi_label, True)[0]
    if not predictions.multi_label:
        drawn["confusion"] = confusion(predictions.confusion(), evaluation.classes)
        if (trained := predictions.train_confusion()) is not None:
            drawn["train_confusion"] = confusion(trained, evaluation.classes)
    most = sorted(
        (c for c in metrics.overall.model.classes if c.average_precision is not None),
        key=lambda c: (-c.support, c.name),
    )[:COLOURED]
    if most:
        drawn["precision_recall"] = line_chart(
            [recall_curve(predictions, evaluation.classes.index(c.name), c.name) for c in most],
            x_label="recall",
            y_label="precision",
            x_range=(0, 1),
            y_range=(0, 1),
            named=True,
        )
    for name, svg, _ in training_charts(evaluation, named=True):
        drawn[name] = svg
    return drawn


def checkpoints(
    rows: Sequence[CheckpointFigures], multi_label: bool, named: bool = False
) -> tuple[str, list[str]]:
    """(SVG, names of the lines) of the compared checkpoints' figures, the chosen one marked."""
    # With one label per clip the figures that count whole clips are all the accuracy.
    names = COMPARED if multi_label else {"macro_f1": "macro F1", "accuracy": "accuracy"}
    x = [row.epoch or place for place, row in enumerate(rows, 1)]
    chosen = next(at for at, row in zip(x, rows, strict=True) if row.chosen)
    svg = line_chart(
        [Series(name, x, [row.figures[key] for row in rows]) for key, name in names.items()],
        x_label="epoch",
        y_label="validation figures",
        y_range=(0, 1),
        mark_x=chosen,
        whole_x=True,
        named=named,
        width=720,
        points=True,
    )
    return svg, list(names.values())


def confusion(counts: NDArray[np.int64], classes: Sequence[str]) -> str:
    """A single-label confusion matrix as a heat map."""
    return heat_map(counts.tolist(), classes, "true class", "predicted class")


def recall_curve(predictions: Predictions, column: int, name: str = "") -> Series:
    """Precision over recall of one class, thinned to what a chart can show."""
    precision, recall, _ = precision_recall(
        predictions.actual[:, column], predictions.probabilities[:, column]
    )
    hits = np.flatnonzero(np.diff(recall, prepend=0.0) > 0)
    hits = hits[np.unique(np.linspace(0, len(hits) - 1, CURVE_POINTS // 2).astype(int))]
    # Where recall rises and just before, so that the drops in between keep their depth.
    kept = np.unique(np.concatenate([hits, np.maximum(hits - 1, 0)]))
    x = [0.0, *recall[kept].tolist()]
    y = [float(precision[0]), *precision[kept].tolist()]
    return Series(name, x, y)


def training_charts(
    evaluation: Evaluation, named: bool = False
) -> list[tuple[str, str, list[str]]]:
    """(file stem, SVG, names of the lines) of the training figures that exist.

    One model: losses of both parts, and validation figures, the evaluated epoch marked. Several
    (folds): the validation loss and macro F1 of each. `named` writes the names into the SVG too.
    """
    full = {name: rows for name, rows in evaluation.curves.items() if rows}
    if not full:
        return []
    if len(full) == 1:
        name, rows = next(iter(full.items()))
        keys = _keys(rows, evaluation.multi_label)
        losses = [_series(rows, key) for key in keys if key.endswith("loss")]
        figures = [
            _series(rows, key)
            for key in keys
            if not key.endswith("loss") and key.startswith(("val_", "train_"))
        ]
        figures = [line for line in figures if all(0 <= value <= 1 for value in line.y)]
        numbered = [dict(row) for row in rows if "epoch" in row]
        best = evaluation.epochs.get(name) or best_epoch(numbered, "val_macro_f1") or None
        labels = ("loss", "validation figures")
    else:
        losses = [_series(rows, "val_loss", name) for name, rows in full.items()]
        figures = [_series(rows, "val_macro_f1", name) for name, rows in full.items()]
        best, labels = None, ("validation loss", "validation macro F1")
    charts = []
    for stem, lines, label, scale in (
        ("training_loss", losses, labels[0], None),
        ("training_figures", figures, labels[1], (0.0, 1.0)),
    ):
        known = [line for line in lines if len(line.x)][:COLOURED]
        if known:
            svg = line_chart(
                known,
                x_label="epoch",
                y_label=label,
                y_range=scale,
                mark_x=best,
                whole_x=True,
                named=named,
            )
            charts.append((stem, svg, [line.name for line in known]))
    return charts


def _keys(rows: Sequence[Mapping[str, float]], multi_label: bool) -> list[str]:
    keys = {key for row in rows for key in row} - {"epoch"}
    if "val_accuracy" in keys and not multi_label:
        keys.discard("val_micro_f1")  # the same where every clip has one label
    return sorted(keys, key=lambda key: (key != "val_macro_f1", key))


def _series(rows: Sequence[Mapping[str, float]], key: str, name: str = "") -> Series:
    known = [
        (row.get("epoch", number), row[key]) for number, row in enumerate(rows, 1) if key in row
    ]
    return Series(name or key.replace("_", " "), [x for x, _ in known], [y for _, y in known])
