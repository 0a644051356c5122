"""The HTML report of a classification evaluation, from figures to the clips that went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.core.artifacts.evaluation import ClipMetrics, Comparison, Evaluation
from components.core.report import page
from components.core.wording import counted
from components.evaluate_clips import report_analysis as analysis
from components.evaluate_clips import report_sections as sections
from components.evaluate_clips.measuring import listed, signed
from components.evaluate_clips.mistakes import Mistake
from components.evaluate_clips.predictions import Predictions
from components.evaluate_clips.samples import Sample


def html_report(
    evaluation: Evaluation,
    predictions: Predictions,
    metrics: ClipMetrics,
    mistakes: Sequence[Mistake],
    samples: Sequence[Sample],
    details: Mapping[str, Any],
) -> str:
    """The whole report; the same input gives the same bytes."""
    model = metrics.overall.model
    part = "test parts pooled" if evaluation.part == "pooled" else f"{evaluation.part} part"
    facts = [
        counted(model.clips, "clip"),
        counted(len(evaluation.classes), "class", "classes"),
        counted(model.groups, "recording") if model.groups != model.clips else "",
        part,
        *(f"epoch {epoch}" for epoch in evaluation.epochs.values()),
        f"{len(evaluation.models)} models" if len(evaluation.models) > 1 else "",
    ]
    title = next(iter(evaluation.models)) if len(evaluation.models) == 1 else "Cross-validation"
    return page.page(
        title,
        "Clip classification",
        " · ".join(fact for fact in facts if fact),
        [
            verdict(metrics),
            page.notes(metrics.notes),
            headline(metrics),
            comparison(metrics),
            analysis.checkpoints(evaluation, metrics),
            sections.training(evaluation),
            analysis.clips(metrics, evaluation.multi_label),
            sections.confusion(evaluation, predictions),
            analysis.per_class(metrics),
            sections.curves(evaluation, predictions, model),
            sections.wrong_clips(mistakes, predictions),
            analysis.resizer(samples),
            sections.particulars(evaluation, metrics, details),
        ],
        f"Trainyard {evaluation.code_version}",
    )


def verdict(metrics: ClipMetrics) -> str:
    """One or two sentences that say how good the model is."""
    found = metrics.overall
    share = f"{metrics.confidence:.0%}".replace("%", " %")
    text = f"The macro F1 is <b>{page.number(found.model.figures.get('macro_f1'))}</b>"
    if interval := found.model.intervals.get("macro_f1"):
        text += f" ({share} interval <b>{page.span(interval)}</b>)"
    text += f"; guessing would reach {found.model.chance_macro_f1:.2f}."
    if found.baseline is not None:
        still = page.number(found.baseline.figures.get("macro_f1"))
        text += f" One still frame alone reaches <b>{still}</b>{_gain(found)}."
    return f'<p class="verdict">{text}</p>'


def headline(metrics: ClipMetrics) -> str:
    """The headline figures as cards."""
    model = metrics.overall.model
    keys = ["macro_f1", "accuracy", "micro_f1", "samples_f1", "exact_match"]
    if "accuracy" in model.figures:
        keys.remove("micro_f1")  # equal to the accuracy where every clip has one label
    keys += ["mean_average_precision", *(k for k in model.figures if k.startswith("top_"))]
    cards = [
        page.card(
            sections.figure_name(key),
            model.figures[key],
            model.intervals.get(key),
            model.chance_macro_f1 if key == "macro_f1" else None,
            f"without {counted(len(left), 'class', 'classes')} of {len(model.classes)}: "
            f"{listed(left)}"
            if (left := sections.left_out(key, model))
            else "",
        )
        for key in keys
        if key in model.figures
    ]
    return page.cards(cards)


def comparison(metrics: ClipMetrics) -> str:
    """Model and still frame, on all clips and within mixed recordings."""
    if metrics.overall.baseline is None and metrics.mixed_groups is None:
        return ""
    rows = _comparison_rows("All clips", metrics.overall)
    if metrics.mixed_groups is not None:
        head = "Recordings that hold more than one class"
        rows += _comparison_rows(head, metrics.mixed_groups)
    key = {"model": "k1"}
    if metrics.overall.baseline is not None:
        key["one still frame"] = "k2"
    return page.section(
        "What motion adds",
        page.panel(page.comparison(rows), page.legend({**key, "guessing": "dots"})),
        hint="Macro F1 with its interval. The still frame is the middle one of each clip, judged "
        "by a linear classifier trained on the same training clips.",
    )


def _gain(found: Comparison) -> str:
    gain = found.difference.get("macro_f1")
    interval = found.difference_intervals.get("macro_f1")
    if gain is None or interval is None:
        return ""
    low, high = interval
    between = f"({signed(low)} to {signed(high)})"
    if low > 0:
        return f", so seeing the whole clip adds <b>{gain:.2f}</b> {between}"
    if high < 0:
        return f", which is <b>{-gain:.2f}</b> better than the model {between}"
    return f"; the difference of <b>{signed(gain)}</b> {between} may be chance"


def _comparison_rows(title: str, found: Comparison) -> list[str]:
    model = found.model
    rows = [
        page.comparison_head(
            title, f"{counted(model.clips, 'clip')}, {counted(model.groups, 'recording')}"
        ),
        page.comparison_row(
            "Model",
            model.figures.get("macro_f1"),
            model.intervals.get("macro_f1"),
            model.chance_macro_f1,
        ),
    ]
    if found.baseline is not None:
        rows.append(
            page.comparison_row(
                "One still frame",
                found.baseline.figures.get("macro_f1"),
                found.baseline.intervals.get("macro_f1"),
                found.baseline.chance_macro_f1,
                other=True,
            )
        )
    return rows
