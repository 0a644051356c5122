"""The sections of the report with charts, and its particulars."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from components.core.artifacts.detection_evaluation import DetectionEvaluation, DetectionMetrics
from components.core.metrics.detection import RECALLS
from components.core.report import page
from components.core.report.charts import COLOURED, line_chart
from components.evaluate_detections import plots
from components.evaluate_detections.results import Results
from components.evaluate_detections.tables import ranked

NAMES = {
    "map": "mAP",
    "map50": "mAP50",
    "map75": "mAP75",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
}
CURVES_SHOWN = 24


def training(evaluation: DetectionEvaluation) -> str:
    """Losses and validation figures over the epochs."""
    boxes = []
    for _, svg, names in plots.training_charts(evaluation):
        key = {name: f"k{place % COLOURED + 1}" for place, name in enumerate(names)}
        boxes.append(page.panel(svg, page.legend(key)))
    grid = f'<div class="charts">{"".join(boxes)}</div>' if boxes else ""
    hint = "The dotted line marks the epoch whose network is evaluated here."
    return page.section("Training", grid, hint=hint)


def variants(metrics: DetectionMetrics, evaluated: str) -> str:
    """Validation figures of the networks that were trained beside each other, if several were."""
    if len(metrics.variants) < 2:
        return ""
    keys = list(dict.fromkeys(k for row in metrics.variants for k in row if k.startswith("val_")))
    rows = [
        [
            page.breakable(row["name"]) + (" ✓" if row["name"] == evaluated else ""),
            escape(str(row.get("architecture", ""))),
            *(page.number(row.get(key)) for key in keys),
        ]
        for row in metrics.variants
    ]
    heads = ["variant", "network", *(key.removeprefix("val_").replace("_", " ") for key in keys)]
    kinds = ["", "", *["number"] * len(keys)]
    return page.section(
        "Networks compared",
        page.panel(page.table(heads, rows, kinds, sortable=True), scroll=True),
        hint="On the validation part, which chose among them; all other figures of this report are "
        "of the one with the check mark.",
    )


def curves(results: Results, metrics: DetectionMetrics) -> str:
    """Precision over recall of each class, worst first."""
    known = [own for own in reversed(ranked(metrics)) if own.ap50 is not None]
    boxes = []
    for own in known[:CURVES_SHOWN]:
        svg = line_chart(
            [plots.recall_curve(results, results.classes.index(own.name))],
            x_label="recall",
            y_label="precision",
            x_range=(0, 1),
            y_range=(0, 1),
            width=230,
            height=190,
        )
        head = f"<h3>{page.breakable(own.name)}</h3><small>AP50 {own.ap50:.3f}</small>"
        boxes.append(page.panel(head, svg))
    hint = f"At an overlap of .5 and {len(RECALLS)} recalls, lowest average precision first."
    if len(known) > CURVES_SHOWN:
        hint += f" The {CURVES_SHOWN} lowest of {len(known)} classes."
    grid = f'<div class="small">{"".join(boxes)}</div>' if boxes else ""
    return page.section("Precision and recall", grid, hint=hint)


def confusion(results: Results) -> str:
    """Which class is taken for which, and for the background."""
    return page.section(
        "What is taken for what",
        page.panel(plots.confusion(results), scroll=True),
        hint="Boxes at the thresholds by annotated class (rows) and found class (columns), one box "
        f"to one object from an overlap of {results.iou:g}, whatever the class; an object belongs "
        "first to a box of its own class. Last column: objects without a box. Last row: boxes "
        "without an object. Shading and percentages are shares of a row.",
    )


def particulars(
    evaluation: DetectionEvaluation, metrics: DetectionMetrics, details: Mapping[str, Any]
) -> str:
    """All figures, settings, fingerprints and versions."""
    rows = [
        (
            escape(figure_name(key)),
            page.number(value, 4),
            page.span(metrics.intervals.get(key), 3),
            escape(", ".join(metrics.undefined.get(key, []))),
        )
        for key, value in metrics.figures.items()
    ]
    intervals = (
        f"percentile bootstrap over recordings, {metrics.replicates} resamples, "
        f"confidence {metrics.confidence:g}"
        if metrics.intervals
        else "none"
    )
    facts: dict[str, Any] = {f"Model {name}": mark for name, mark in evaluation.models.items()}
    facts |= {"Data set": evaluation.dataset, "Split": ", ".join(evaluation.splits)}
    facts |= {"Intervals": intervals, "Images without objects": metrics.negatives}
    kinds = ("", "number", "number", "")
    heads = ("figure", "", "interval", "classes left out")
    boxes = [
        page.panel("<h3>All figures</h3>", page.table(heads, rows, kinds)),
        page.panel("<h3>Provenance</h3>", page.properties(facts)),
        page.panel("<h3>Evaluation settings</h3>", page.properties(evaluation.settings)),
    ]
    for name, value in details.items():
        content = value if isinstance(value, dict) else {name: value}
        if any(content.values()):
            boxes.append(page.panel(f"<h3>{escape(name)}</h3>", page.properties(content)))
    return page.section("Particulars", *boxes)


def figure_name(key: str) -> str:
    """A figure as people call it."""
    if key in NAMES:
        return NAMES[key]
    if key.startswith("map_"):
        return f"mAP of {key.removeprefix('map_')} objects"
    if key.startswith("ar_"):
        return f"AR100 of {key.removeprefix('ar_')} objects"
    if key.startswith("ar"):
        return key.upper()
    return key.replace("_", " ").capitalize()
