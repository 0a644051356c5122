"""Tables of the report: classes, sizes, kinds of mistakes, calibration."""

from __future__ import annotations

from components.core.artifacts.detection_evaluation import DetectionMetrics
from components.core.report import page
from components.evaluate_detections import plots
from components.evaluate_detections.tables import ranked

KINDS = {
    "missed": "objects that no box of their class found",
    "wrong_class": "boxes on an object of another class",
    "poor_box": "boxes that overlap an object of their class too little",
    "duplicate": "boxes on an object that another box found",
    "background": "boxes where nothing is annotated",
}
SIZES = {
    "small": "below 32 x 32 pixels",
    "medium": "up to 96 x 96 pixels",
    "large": "above that",
}


def per_class(metrics: DetectionMetrics) -> str:
    """Figures of each class, best first."""
    known = any(own.training is not None for own in metrics.classes)
    rows = [
        [
            page.breakable(own.name),
            page.bar(own.ap, own.ap_interval),
            page.number(own.ap),
            page.number(own.ap50),
            page.number(own.ap75),
            page.number(own.ar100),
            page.number(own.precision),
            page.number(own.recall),
            page.number(own.f1),
            f"{own.threshold:.3f}",
            str(own.annotations),
            *([str(own.training)] if known else []),
        ]
        for own in ranked(metrics)
    ]
    heads = ["class", "", "AP", "AP50", "AP75", "AR100", "precision", "recall", "F1"]
    heads += ["threshold", "objects", *(["in training"] if known else [])]
    kinds = ["", "bar", *["number"] * (len(heads) - 2)]
    how = (
        "the thresholds with the best F1 on the validation part"
        if metrics.thresholds_from == "val"
        else "the threshold of the settings"
    )
    return page.section(
        "Class by class",
        page.panel(page.table(heads, rows, kinds, sortable=True), scroll=True),
        hint="Best average precision first; the dark line is its interval; a click on a heading "
        f"sorts. Precision, recall and F1 are at {how} and an overlap of {metrics.iou:g}. A dash "
        "is a figure that is undefined, such as the recall of a class that is not annotated.",
    )


def sizes(metrics: DetectionMetrics) -> str:
    """Figures of small, medium and large objects."""
    rows = [
        [
            f"{own.name} <small>{SIZES[own.name]}</small>",
            page.bar(own.ap),
            page.number(own.ap),
            page.number(own.ar100),
            str(own.annotations),
            f"{own.found} ({own.found / own.annotations:.0%})" if own.annotations else "–",
        ]
        for own in metrics.sizes
    ]
    heads = ["size", "", "AP", "AR100", "objects", "found at the thresholds"]
    kinds = ["", "bar", "number", "number", "number", "number"]
    return page.section(
        "By size",
        page.panel(page.table(heads, rows, kinds), scroll=True),
        hint="COCO's sizes, by the area of the outline, or of the box where there is none.",
    )


def mistakes(metrics: DetectionMetrics) -> str:
    """How many boxes went wrong in which way."""
    total = max(sum(metrics.errors.values()), 1)
    rows = [
        [kind.replace("_", " "), about, page.bar(count / total), str(count)]
        for kind, about in KINDS.items()
        if (count := metrics.errors.get(kind, 0)) or kind == "missed"
    ]
    return page.section(
        "What goes wrong",
        page.panel(page.table(["kind", "", "", "count"], rows, ["", "", "bar", "number"])),
        hint=f"At the thresholds and an overlap of {metrics.iou:g}. An object of the wrong class "
        "is also counted among the missed ones.",
    )


def calibration(metrics: DetectionMetrics) -> str:
    """Whether scores can be read as probabilities."""
    found = metrics.calibration
    if found is None:
        return ""
    rows = [
        [
            f"{own.low:.1f} to {own.high:.1f}",
            page.number(own.score),
            page.number(own.precision),
            str(own.boxes),
        ]
        for own in found.bins
    ]
    heads, kinds = ["scores", "mean score", "right", "boxes"], ["", "number", "number", "number"]
    key = page.legend({"boxes of the model": "k1", "scores that are probabilities": "k4"})
    boxes = [page.panel(plots.calibration(found), key), page.panel(page.table(heads, rows, kinds))]
    return page.section(
        "Can scores be trusted?",
        f'<div class="charts">{"".join(boxes)}</div>',
        hint=f"Share of right boxes over their score, at an overlap of {metrics.iou:g}; all boxes, "
        f"whatever the threshold. Expected calibration error: {found.error:.3f}.",
    )
