"""The sections of the report that look closer: checkpoints, clips, classes, the resizer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from components.core.artifacts.evaluation import ClassFigures, ClipMetrics, Evaluation
from components.core.report import page
from components.core.report.charts import COLOURED
from components.core.report.images import data_url
from components.evaluate_clips import plots
from components.evaluate_clips.measuring import listed
from components.evaluate_clips.samples import Sample
from components.evaluate_clips.tables import COMPARED, ranked

SAMPLE_QUALITY = 90


def checkpoints(evaluation: Evaluation, metrics: ClipMetrics) -> str:
    """The validation figures of the compared checkpoints."""
    rows = metrics.checkpoints
    if not rows:
        return ""
    chosen = next(row for row in rows if row.chosen)
    chart, names = plots.checkpoints(rows, evaluation.multi_label)
    key = {name: f"k{place % COLOURED + 1}" for place, name in enumerate(names)}
    heads = ["checkpoint", "epoch", "step", *COMPARED.values(), ""]
    cells = []
    for row in rows:
        values = [
            "the model itself" if row.name == "best" else row.name,
            str(row.epoch or "–"),
            str(row.step or "–"),
            *(page.number(row.figures[name], 4) for name in COMPARED),
        ]
        shown = [f"<b>{escape(v)}</b>" if row.chosen else escape(v) for v in values]
        cells.append([*shown, "<b>evaluated</b>" if row.chosen else ""])
    kinds = ["", *["number"] * (len(heads) - 2), ""]
    select_by = COMPARED.get(str(evaluation.settings.get("select_by")), "macro F1")
    where = f"epoch {chosen.epoch}" if chosen.epoch else chosen.name
    hint = (
        f"Compared on the validation part alone: {where} has the best {select_by} of "
        f"{len(rows)} and is the one evaluated here (dotted line)."
    )
    if evaluation.multi_label and evaluation.settings.get("threshold") == "tuned":
        hint += " Every class is given from a probability of 0.5 in this comparison."
    if evaluation.part == "test":
        hint += " The test part took no part in that choice."
    return page.section(
        "Checkpoints",
        page.panel(chart, page.legend(key)),
        page.panel(page.table(heads, cells, kinds, sortable=True), scroll=True),
        hint=hint,
    )


def clips(metrics: ClipMetrics, multi_label: bool) -> str:
    """How many clips are right, wrong, or got no label."""
    found = metrics.outcomes
    if found is None:
        return ""
    total = max(found.right + found.wrong + found.no_prediction, 1)
    counts = {"right": found.right, "wrong": found.wrong}
    if multi_label:
        counts["no prediction"] = found.no_prediction
    rows = [
        [name, page.bar(count / total), str(count), f"{count / total:.1%}"]
        for name, count in counts.items()
    ]
    hint = "The outcome column of predictions.csv says which clip is which."
    if multi_label:
        hint = (
            "Right: exactly the labels of the clip were given, all of them. No prediction: it has "
            f"labels, but none was given. {hint}"
        )
    kinds = ["", "bar", "number", "number"]
    table = page.table(["", "", "clips", "share"], rows, kinds)
    return page.section("Clip by clip", page.panel(table), hint=hint)


def per_class(metrics: ClipMetrics) -> str:
    """Figures of each class, best first."""
    thresholds = dict(
        zip((c.name for c in metrics.overall.model.classes), metrics.thresholds, strict=False)
    )
    half = {c.name: c.f1 for c in metrics.at_half.classes} if metrics.at_half else {}
    if len(set(metrics.thresholds)) < 2:
        thresholds = {}  # the same for all, as the settings say
    optional = {
        "training clips": {name: str(n) for name, n in metrics.training_clips.items()},
        "threshold": {name: f"{value:.3f}" for name, value in thresholds.items()},
        "F1 at 0.5": {name: page.number(value) for name, value in half.items()},
    }
    shown = {head: cells for head, cells in optional.items() if cells}
    rows = [
        [
            page.breakable(found.name),
            page.bar(found.f1, found.f1_interval),
            page.number(found.f1),
            page.number(found.precision),
            page.number(found.recall),
            page.number(found.average_precision),
            str(found.support),
            *(cells.get(found.name, "–") for cells in shown.values()),
        ]
        for found in ranked(metrics)
    ]
    heads = ["class", "", "F1", "precision", "recall", "AP", "clips", *shown]
    kinds = ["", "bar", *["number"] * (len(heads) - 2)]
    never = f"<p>{escape(never_right(metrics))}</p>" if never_right(metrics) else ""
    return page.section(
        "Class by class",
        never,
        page.panel(page.table(heads, rows, kinds, sortable=True), scroll=True),
        hint="Best F1 first; the dark line is its interval; a click on a heading sorts. Every "
        "label of a clip counts. A dash is a figure that is undefined, such as the precision of a "
        "class that is never predicted.",
    )


def never_right(metrics: ClipMetrics) -> str:
    """Which classes have an F1 of 0, or none at all, in a sentence; '' where all have one."""
    classes = ranked(metrics)
    trained = metrics.training_clips

    def named(found: ClassFigures) -> str:
        about = f" ({trained[found.name]} to train)" if found.name in trained else ""
        return f"{found.name}{about}"

    zero = [named(found) for found in classes if found.f1 == 0]
    without = [named(found) for found in classes if found.f1 is None]
    text = ""
    if zero:
        verb = "has" if len(zero) == 1 else "have"
        text = f"{len(zero)} of {len(classes)} classes {verb} an F1 of 0: {listed(zero, 40)}."
    if without:
        text += (
            f" {len(without)} without any clip here, and never predicted: {listed(without, 40)}."
        )
    return text.strip()


def resizer(samples: Sequence[Sample]) -> str:
    """Clips before and after the resizer network."""
    figures = []
    for sample in samples:
        labels = escape(", ".join(sample.labels) or "no label")
        caption = (
            f'<span class="truth">{labels}</span>'
            f'<span class="id">{page.breakable(sample.clip)} · '
            f"{' → '.join(map(escape, sample.sizes))} · {_shown(sample)}</span>"
        )
        image = data_url(sample.image, SAMPLE_QUALITY)
        text = f"{sample.clip} before and after the resizer"
        figures.append(page.picture(image, caption, text))
    grid = f'<div class="samples">{"".join(figures)}</div>' if figures else ""
    return page.section(
        "What the resizer does",
        grid,
        hint="Frames from left to right, numbered from 0. Above: what the model is given, its "
        "pixels enlarged. Below: what the resizer network passes on, on the same scale, so cut off "
        "at black and white. A third row, where the caption tells of one, shows the same scaled to "
        "its own range: nothing is cut, but brightness and contrast are not those of the row "
        "above. Frames x height x width; lossless images lie in the folder samples.",
    )


def _shown(sample: Sample) -> str:
    text = f"frames {', '.join(map(str, sample.frames))} · {sample.cut:.1%} of the values cut"
    if sample.scaled:
        low, high = (f"{value:.2f}".replace("-", "−") for value in sample.values)
        text += f"; third row: scaled from {low} (black) to {high} (white)"
    return text
