"""The sections of the report below the headline: training, classes, mistakes, particulars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from components.core.artifacts.evaluation import ClipMetrics, Evaluation, Summary
from components.core.metrics.summary import FEWEST_GROUPS
from components.core.report import page
from components.core.report.charts import COLOURED, line_chart
from components.evaluate_clips import plots
from components.evaluate_clips.mistakes import Mistake
from components.evaluate_clips.predictions import Predictions

NAMES = {
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "samples_f1": "F1 per clip",
    "accuracy": "Accuracy",
    "exact_match": "Exact match",
    "mean_average_precision": "Mean average precision",
    "macro_precision": "Macro precision",
    "macro_precision_all_classes": "Macro precision, never predicted classes as 0",
    "macro_recall": "Macro recall",
    "macro_f1_all_classes": "Macro F1, absent classes as 0",
}
MEANS = {
    "macro_f1": "f1",
    "macro_precision": "precision",
    "macro_recall": "recall",
    "mean_average_precision": "average_precision",
}
"""Figures that are means over the classes which have the other one."""
CURVES_SHOWN = 24


def training(evaluation: Evaluation) -> str:
    """Losses and validation figures over the epochs."""
    boxes = []
    for _, svg, names in plots.training_charts(evaluation):
        key = {name: f"k{place % COLOURED + 1}" for place, name in enumerate(names)}
        boxes.append(page.panel(svg, page.legend(key)))
    if not boxes:
        return ""
    hint = ""
    if evaluation.epochs:
        hint = "The dotted line marks the epoch whose network is evaluated here."
    elif len(evaluation.curves) == 1:
        hint = "The dotted line marks the epoch with the best validation macro F1."
    return page.section("Training", f'<div class="charts">{"".join(boxes)}</div>', hint=hint)


def confusion(evaluation: Evaluation, predictions: Predictions) -> str:
    """Which class is taken for which."""
    if predictions.multi_label:
        return ""
    charts = [plots.confusion(predictions.confusion(), evaluation.classes)]
    if (trained := predictions.train_confusion()) is not None:
        head = "<h3>The clips that were trained on</h3>"
        charts.append(head + plots.confusion(trained, evaluation.classes))
    return page.section(
        "What is taken for what",
        *(page.panel(chart, scroll=True) for chart in charts),
        hint="Clips by true class (rows) and predicted class (columns); shading and percentages "
        "are shares of a row, so the diagonal shows recall.",
    )


def curves(evaluation: Evaluation, predictions: Predictions, model: Summary) -> str:
    """Precision over recall of each class, worst first."""
    known = [c for c in model.classes if c.average_precision is not None]
    known.sort(key=lambda c: (c.average_precision or 0, c.name))
    boxes = []
    for found in known[:CURVES_SHOWN]:
        column = evaluation.classes.index(found.name)
        svg = line_chart(
            [plots.recall_curve(predictions, column)],
            x_label="recall",
            y_label="precision",
            x_range=(0, 1),
            y_range=(0, 1),
            level=found.support / model.clips,
            width=230,
            height=190,
        )
        head = (
            f"<h3>{page.breakable(found.name)}</h3><small>AP {found.average_precision:.3f}</small>"
        )
        boxes.append(page.panel(head, svg))
    hint = "One class against the rest, lowest average precision first; dotted: guessing."
    if len(known) > CURVES_SHOWN:
        hint += f" The {CURVES_SHOWN} lowest of {len(known)} classes."
    grid = f'<div class="small">{"".join(boxes)}</div>' if boxes else ""
    return page.section("Precision and recall", grid, hint=hint)


def wrong_clips(mistakes: Sequence[Mistake], predictions: Predictions) -> str:
    """The surest mistakes as frame strips."""
    if not mistakes:
        return ""
    wrong = int((predictions.actual != predictions.predicted).any(axis=1).sum())
    figures = []
    for found in mistakes:
        caption = (
            f"{_several_labels(found) if predictions.multi_label else _one_label(found)} "
            f"<small>({found.probability:.0%} sure)</small>"
            f'<span class="id">{page.breakable(found.clip)}</span>'
        )
        figures.append(page.picture(found.image, caption, f"frames of {found.clip}"))
    return page.section(
        "The worst mistakes",
        f'<div class="mistakes">{"".join(figures)}</div>',
        hint=f"{len(mistakes)} of {wrong} wrong clips, those about which the model was surest; "
        "frames of what it saw, from left to right.",
    )


def _one_label(found: Mistake) -> str:
    return f"{_names(found.actual, 'truth')} taken for {_names(found.predicted, 'said')}"


def _several_labels(found: Mistake) -> str:
    """Only what is wrong stands out: labels that were missed, and labels that are not true."""
    parts = {
        "missed": _names([n for n in found.actual if n not in found.predicted], "truth"),
        "wrongly given": _names([n for n in found.predicted if n not in found.actual], "said"),
        "rightly given": _names([n for n in found.predicted if n in found.actual], "known"),
    }
    return "; ".join(f"{head} {names}" for head, names in parts.items() if names)


def _names(names: Sequence[str], kind: str) -> str:
    return f'<span class="{kind}">{escape(", ".join(names))}</span>' if names else ""


def particulars(evaluation: Evaluation, metrics: ClipMetrics, details: Mapping[str, Any]) -> str:
    """All figures, settings, fingerprints and versions."""
    model = metrics.overall.model
    rows = [
        (
            escape(figure_name(key)),
            page.number(value, 4),
            page.span(model.intervals.get(key), 3),
            _without(left_out(key, model)),
        )
        for key, value in model.figures.items()
    ]
    intervals = (
        f"percentile bootstrap over recordings, {metrics.replicates} resamples, "
        f"confidence {metrics.confidence:g}"
        if metrics.replicates and model.groups >= FEWEST_GROUPS
        else "none"
    )
    facts: dict[str, Any] = {f"Model {name}": mark for name, mark in evaluation.models.items()}
    facts |= {"Frames": evaluation.dataset, "Clips": evaluation.parent}
    facts |= {"Split": ", ".join(evaluation.splits), "Intervals": intervals}
    undefined = {
        f"Undefined {figure_name(key).lower()}": ", ".join(names)
        for key, names in model.undefined.items()
        if names
    }
    boxes = [
        page.panel(
            "<h3>All figures</h3>",
            page.table(
                ("figure", "", "interval", "classes left out"),
                rows,
                ("", "number", "number", ""),
            ),
        ),
        page.panel("<h3>Provenance</h3>", page.properties(facts | undefined)),
        page.panel("<h3>Evaluation settings</h3>", page.properties(evaluation.settings)),
    ]
    for name, value in details.items():
        content = value if isinstance(value, dict) else {name: value}
        if any(content.values()):
            boxes.append(page.panel(f"<h3>{escape(name)}</h3>", page.properties(content)))
    return page.section("Particulars", *boxes)


def left_out(key: str, model: Summary) -> list[str]:
    """The classes that have no part in a figure, which would otherwise be one of all classes."""
    return model.undefined.get(MEANS.get(key, ""), [])


def _without(names: Sequence[str]) -> str:
    return escape(f"{len(names)}: {', '.join(names)}") if names else ""


def figure_name(key: str) -> str:
    """A figure as people call it."""
    if key.startswith("top_"):
        return f"Top-{key.split('_')[1]} accuracy"
    return NAMES.get(key, key.replace("_", " ").capitalize())
