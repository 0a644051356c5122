"""The HTML report of a detector's evaluation, from figures to the boxes that went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.core.artifacts.detection_evaluation import DetectionEvaluation, DetectionMetrics
from components.core.report import page
from components.core.wording import counted
from components.evaluate_detections import report_analysis as analysis
from components.evaluate_detections import report_pictures as pictures
from components.evaluate_detections import report_sections as sections
from components.evaluate_detections.gallery import Entry
from components.evaluate_detections.remarks import listed
from components.evaluate_detections.results import Results
from components.evaluate_detections.suspects import Suspect

CARDS = ("map", "map50", "map75", "ar100", "macro_f1", "macro_precision", "macro_recall")


def html_report(
    evaluation: DetectionEvaluation,
    results: Results,
    metrics: DetectionMetrics,
    shown: Mapping[str, Sequence[Entry]],
    suspects: Sequence[Suspect],
    details: Mapping[str, Any],
) -> str:
    """The whole report; the same input gives the same bytes."""
    facts = [
        counted(metrics.images, "image"),
        counted(metrics.annotations, "object"),
        counted(len(evaluation.classes), "class", "classes"),
        counted(metrics.groups, "recording") if metrics.groups != metrics.images else "",
        f"{evaluation.part} part",
        *(f"epoch {epoch}" for epoch in evaluation.epochs.values()),
    ]
    return page.page(
        next(iter(evaluation.models)),
        "Object detection",
        " · ".join(fact for fact in facts if fact),
        [
            verdict(metrics),
            page.notes(metrics.notes),
            headline(metrics),
            sections.variants(metrics, next(iter(evaluation.models))),
            sections.training(evaluation),
            analysis.per_class(metrics),
            analysis.sizes(metrics),
            sections.curves(results, metrics),
            sections.confusion(results),
            analysis.mistakes(metrics),
            analysis.calibration(metrics),
            *pictures.galleries(results, shown),
            pictures.suspicious(results, suspects),
            sections.particulars(evaluation, metrics, details),
        ],
        f"Trainyard {evaluation.code_version}",
    )


def verdict(metrics: DetectionMetrics) -> str:
    """One or two sentences that say how good the detector is."""
    figures = metrics.figures
    if "map" not in figures:
        return '<p class="verdict">Nothing is annotated, so there is nothing to find.</p>'
    share = f"{metrics.confidence:.0%}".replace("%", " %")
    text = f"The mean average precision (COCO) is <b>{page.number(figures['map'])}</b>"
    if interval := metrics.intervals.get("map"):
        text += f" ({share} interval <b>{page.span(interval)}</b>)"
    text += f", at an overlap of .5 it is <b>{page.number(figures['map50'])}</b>."
    right = sum(own.right for own in metrics.classes)
    found = sum(own.found for own in metrics.classes)
    text += (
        f" At the thresholds it finds <b>{right} of {metrics.annotations}</b> objects, and "
        f"<b>{found - right} of {found}</b> boxes are wrong."
    )
    return f'<p class="verdict">{text}</p>'


def headline(metrics: DetectionMetrics) -> str:
    """The headline figures as cards."""
    cards = []
    for key in CARDS:
        if key in metrics.figures:
            absent = metrics.undefined.get("map" if key.startswith(("map", "ar")) else key, [])
            about = f"without {listed(absent)}" if absent else ""
            cards.append(
                page.card(
                    sections.figure_name(key),
                    metrics.figures[key],
                    metrics.intervals.get(key),
                    None,
                    about,
                )
            )
    return page.cards(cards)
