"""The report of a TAO evaluation as one HTML page."""

from __future__ import annotations

from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.tao_data import TaoData
from components.core.artifacts.tao_evaluation import TaoEvaluation
from components.core.report import charts, page
from components.core.wording import counted

CURVES = (
    ("Loss", ("train_loss", "val_loss")),
    ("Average precision", ("map", "map50", "map75")),
)
WORDS = {"map": "mAP", "map50": "mAP at .5", "map75": "mAP at .75"}


def html_report(evaluation: TaoEvaluation, bundle: ModelBundle, data: TaoData) -> str:
    """The whole report; the same input gives the same bytes."""
    name = next(iter(evaluation.models))
    facts = [
        f"{evaluation.head} {bundle.architecture.get('backbone', '')}".strip(),
        counted(data.images, "image"),
        counted(len(evaluation.classes), "class", "classes"),
        f"TAO {evaluation.release}",
    ]
    return page.page(
        name,
        "Object detection",
        " · ".join(facts),
        [
            page.notes(evaluation.notes),
            page.section("Figures", page.panel(_figures(evaluation))),
            page.section("Classes", page.panel(_classes(evaluation, data), scroll=True)),
            page.section("Training", *_curves(evaluation, bundle)),
            page.section("Particulars", page.panel(page.properties(bundle.training))),
        ],
        f"Trainyard {evaluation.code_version}",
    )


def _figures(evaluation: TaoEvaluation) -> str:
    told = {WORDS.get(key, key): page.number(v) for key, v in evaluation.figures.items()}
    return page.properties(told)


def _classes(evaluation: TaoEvaluation, data: TaoData) -> str:
    rows = [
        [
            page.breakable(name),
            str(data.classes.get(name, 0)),
            page.number(evaluation.class_figures.get(name)),
        ]
        for name in evaluation.classes
    ]
    return page.table(["class", "annotations", "AP"], rows, ["key", "number", "number"])


def _curves(evaluation: TaoEvaluation, bundle: ModelBundle) -> list[str]:
    drawn = []
    for title, names in CURVES:
        series = []
        for name in names:
            points = [(v["epoch"], v[name]) for v in evaluation.curves if name in v]
            if points:
                xs, ys = zip(*points, strict=True)
                series.append(charts.Series(WORDS.get(name, name.replace("_", " ")), xs, ys))
        if series:
            chart = charts.line_chart(
                series,
                x_label="epoch",
                y_label=title,
                mark_x=float(bundle.training.get("epoch") or 0) or None,
                whole_x=True,
                named=True,
            )
            drawn.append(page.panel(chart))
    return drawn
