"""The HTML report of a renderer's evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from components.core.artifacts.rendering_evaluation import (
    FrameFigures,
    RenderingEvaluation,
    RenderingMetrics,
)
from components.core.report import page
from components.core.report.charts import COLOURED, Series, line_chart
from components.core.wording import counted
from components.evaluate_renderings.gallery import COLUMNS, Entry
from components.evaluate_renderings.subject import Subject

NAMES = {
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "l1": "L1",
    "lpips": "LPIPS",
    "baseline_psnr": "PSNR of warped photographs (dB)",
    "baseline_ssim": "SSIM of warped photographs",
    "gain": "Gain over warped photographs (dB)",
    "covered": "Share with points",
    "seen": "Share that photographs show",
}
DIGITS = {"psnr": 2, "baseline_psnr": 2, "gain": 2}
CARDS = ("psnr", "ssim", "lpips", "gain")


def html_report(
    evaluation: RenderingEvaluation,
    metrics: RenderingMetrics,
    shown: Mapping[str, Sequence[Entry]],
    subject: Subject,
) -> str:
    """The whole report; the same input gives the same bytes."""
    facts = [
        counted(len(metrics.frames), "frame"),
        counted(len(metrics.sets), "set"),
        f"{evaluation.part} part",
        *(f"epoch {epoch}" for epoch in evaluation.epochs.values()),
    ]
    return page.page(
        next(iter(evaluation.models)),
        "View synthesis",
        " · ".join(facts),
        [
            verdict(metrics),
            page.notes(metrics.notes),
            page.cards(_card(metrics, key) for key in CARDS if key in metrics.figures),
            training(evaluation),
            over_frames(metrics),
            *(_gallery(kind, own) for kind, own in shown.items()),
            tables(metrics),
            particulars(evaluation, metrics, subject),
        ],
        f"Trainyard {evaluation.code_version}",
    )


def verdict(metrics: RenderingMetrics) -> str:
    """One or two sentences that say how good the renderer is."""
    figures, interval = metrics.figures, metrics.intervals.get("psnr")
    text = f"The mean PSNR is <b>{figures['psnr']:.2f} dB</b>"
    if interval:
        share = f"{metrics.confidence:.0%}".replace("%", " %")
        text += f" ({share} interval <b>{page.span(interval)}</b>)"
    more = "above" if figures["gain"] >= 0 else "below"
    text += (
        f", <b>{abs(figures['gain']):.2f} dB {more}</b> that of the nearest photographs warped "
        f"into place; the mean SSIM is <b>{figures['ssim']:.3f}</b>."
    )
    return f'<p class="verdict">{text}</p>'


def training(evaluation: RenderingEvaluation) -> str:
    """Losses and validation figures over the epochs."""
    (curves,) = evaluation.curves.values()
    (chosen,) = evaluation.epochs.values() or (0,)
    boxes = []
    for label, names in (
        ("loss", ("train_loss", "val_loss")),
        ("PSNR, dB", ("val_psnr",)),
        ("SSIM", ("val_ssim",)),
        ("learning rate", ("learning_rate",)),
    ):
        known = [name for name in names if any(name in row for row in curves)]
        if not known:
            continue
        series = [
            Series(
                name,
                [row["epoch"] for row in curves if name in row],
                [row[name] for row in curves if name in row],
            )
            for name in known
        ]
        svg = line_chart(
            series, x_label="epoch", y_label=label, mark_x=chosen or None, whole_x=True
        )
        key = {name: f"k{place % COLOURED + 1}" for place, name in enumerate(known)}
        boxes.append(page.panel(svg, page.legend(key)))
    grid = f'<div class="charts">{"".join(boxes)}</div>' if boxes else ""
    hint = "The dotted line marks the epoch whose network is evaluated here."
    return page.section("Training", grid, hint=hint)


def over_frames(metrics: RenderingMetrics) -> str:
    """PSNR of each frame and of the warped photographs."""
    numbers = list(range(1, len(metrics.frames) + 1))
    series = [
        Series("rendered", numbers, [frame.psnr for frame in metrics.frames]),
        Series("warped", numbers, [frame.baseline_psnr for frame in metrics.frames]),
    ]
    svg = line_chart(series, x_label="frame", y_label="PSNR, dB", whole_x=True, width=960)
    key = {"rendered": "k1", "nearest photographs warped into place": "k2"}
    return page.section("Frame by frame", page.panel(svg, page.legend(key)))


def tables(metrics: RenderingMetrics) -> str:
    """Figures of sets and frames."""
    keys = [key for key in NAMES if key in metrics.figures]
    kinds = ["", *["number"] * len(keys)]

    def row(name: str, values: Mapping[str, float]) -> list[str]:
        shown = (page.number(values.get(key), DIGITS.get(key, 3)) for key in keys)
        return [page.breakable(name), *shown]

    heads = [NAMES[key] for key in keys]
    of_sets = [row(name, own) for name, own in metrics.sets.items()]
    worst = sorted(metrics.frames, key=lambda frame: frame.psnr)
    of_frames = [row(frame.name, _values(frame)) for frame in worst]
    parts = [
        page.panel(page.table(["frame", *heads], of_frames, kinds, sortable=True), scroll=True)
    ]
    if len(of_sets) > 1:
        parts.insert(0, page.panel(page.table(["set", *heads], of_sets, kinds), scroll=True))
    return page.section("All frames", *parts, hint="The lowest PSNR first.")


def particulars(
    evaluation: RenderingEvaluation, metrics: RenderingMetrics, subject: Subject
) -> str:
    """All figures, settings, fingerprints and versions."""
    rows = [
        (
            escape(NAMES[key]),
            page.number(value, 4),
            page.span(metrics.intervals.get(key), 3),
        )
        for key, value in metrics.figures.items()
    ]
    facts: dict[str, Any] = {f"Model {name}": mark for name, mark in evaluation.models.items()}
    facts |= {"Frames": evaluation.dataset, "Model code version": subject.bundle.code_version}
    boxes = [
        page.panel(
            "<h3>All figures</h3>",
            page.table(("figure", "", "interval"), rows, ("", "number", "number")),
        ),
        page.panel("<h3>Provenance</h3>", page.properties(facts)),
        page.panel("<h3>Evaluation settings</h3>", page.properties(evaluation.settings)),
        page.panel("<h3>Training</h3>", page.properties(subject.bundle.training)),
        page.panel("<h3>Network</h3>", page.properties(subject.bundle.architecture)),
    ]
    return page.section("Particulars", *boxes)


def _values(frame: FrameFigures) -> dict[str, float]:
    values = {k: v for k, v in frame.model_dump().items() if isinstance(v, float)}
    return {**values, "gain": frame.psnr - frame.baseline_psnr}


def _card(metrics: RenderingMetrics, key: str) -> str:
    value = page.number(metrics.figures[key], DIGITS.get(key, 3))
    span = page.span(metrics.intervals.get(key), DIGITS.get(key, 3))
    return (
        f'<div class="card"><div class="label">{escape(NAMES[key])}</div>'
        f'<div class="value">{value}</div><div class="range">{span or "&nbsp;"}</div></div>'
    )


def _gallery(kind: str, shown: Sequence[Entry]) -> str:
    pictures = [
        page.picture(
            entry.picture,
            f"{page.breakable(entry.figures.name)}: {entry.figures.psnr:.2f} dB, "
            f"SSIM {entry.figures.ssim:.3f}",
            f"{', '.join(COLUMNS)} of {entry.figures.name}",
        )
        for entry in shown
    ]
    hint = f"From left to right: {', '.join(COLUMNS)}."
    return page.section(
        kind, *(page.panel(picture, scroll=True) for picture in pictures), hint=hint
    )
