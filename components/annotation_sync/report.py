"""The report on annotations: what there is, how it looks, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from components import __version__
from components.annotation_sync.gallery import Sample, colour
from components.core.artifacts.detections import DetectionDataset
from components.core.detection import figures
from components.core.detection.figures import Statistics
from components.core.formats.shapes import Problem
from components.core.report import page
from components.core.report.charts import heat_map
from components.core.report.histogram import count_names, histogram, range_names
from components.core.wording import counted

TASKS_SHOWN = 200
TASK_CLASSES = 20
"""Classes up to which each has a column in the table of tasks."""

PROBLEMS_SHOWN = 20
"""Of each kind."""


def html_report(
    dataset: DetectionDataset,
    found: Statistics,
    samples: Sequence[Sample],
    problems: Sequence[Problem],
    notes: Sequence[str],
    settings: Mapping[str, Any],
) -> str:
    """The whole report; the same input gives the same bytes."""
    facts = [
        counted(found.images, "image"),
        counted(found.annotations, "annotation"),
        counted(len(found.classes), "class", "classes"),
        counted(len(found.tasks), "task"),
        counted(found.groups, "recording") if found.groups != found.images else "",
    ]
    return page.page(
        dataset.source or "Annotations",
        "Annotated images",
        " · ".join(fact for fact in facts if fact),
        [
            _verdict(found),
            page.notes([*_remarks(found, problems), *notes]),
            _classes(found),
            _tasks(found),
            _sizes(found),
            _together(found),
            _kinds(found),
            _gallery(samples, dataset.classes),
            _problems(problems),
            _particulars(dataset, settings),
        ],
        f"Trainyard {__version__}",
    )


def _verdict(found: Statistics) -> str:
    mean = found.annotations / found.images if found.images else 0.0
    text = f"<b>{found.annotations}</b> annotations of <b>{len(found.classes)}</b> "
    text += f"{'class' if len(found.classes) == 1 else 'classes'} on <b>{found.images}</b> images, "
    text += f"<b>{mean:.1f}</b> on each; <b>{found.empty}</b> without any, as negative examples."
    return f'<p class="verdict">{text}</p>'


def _remarks(found: Statistics, problems: Sequence[Problem]) -> list[str]:
    remarks = []
    if problems:
        remarks.append(
            f"{counted(len(problems), 'problem')} in the annotations; see the end of this page and "
            "problems.csv"
        )
    if not found.empty:
        remarks.append(
            "there are no images without annotations; some of them teach a detector what is nothing"
        )
    most = max((one.annotations for one in found.classes), default=0)
    if rare := [one.name for one in found.classes if one.annotations < most / 100]:
        remarks.append(f"less than a hundredth of the commonest class: {', '.join(rare)}")
    return remarks


def _classes(found: Statistics) -> str:
    total = max(1, found.annotations)
    rows = [
        (
            page.breakable(one.name),
            str(one.annotations),
            page.bar(one.annotations / total),
            str(one.images),
            str(one.tasks),
            str(one.small),
            str(one.medium),
            str(one.large),
            f"{one.width:.0f} x {one.height:.0f}" if one.annotations else "–",
        )
        for one in found.classes
    ]
    heads = ("class", "annotations", "share", "images", "tasks", "small", "medium", "large",
             "median size")  # fmt: skip
    kinds = ("", "number", "bar", *["number"] * 6)
    return page.section(
        "Classes",
        page.panel(page.table(heads, rows, kinds, sortable=True), scroll=True),
        hint="Small boxes have less than 32 x 32 pixels, large ones 96 x 96 or more, as in COCO.",
    )


def _tasks(found: Statistics) -> str:
    names = [one.name for one in found.classes]
    per_class = names if len(names) <= TASK_CLASSES else []
    rows = [
        (
            page.breakable(task.name or "none"),
            str(task.images),
            str(task.empty),
            str(task.annotations),
            *(str(task.classes[name]) for name in per_class),
        )
        for task in found.tasks[:TASKS_SHOWN]
    ]
    heads = ("task", "images", "empty", "annotations", *per_class)
    hint = "Annotations of each class in each task or folder."
    if len(found.tasks) > TASKS_SHOWN:
        hint += f" The first {TASKS_SHOWN} of {len(found.tasks)} tasks; statistics.json has all."
    kinds = ("", *["number"] * (len(heads) - 1))
    return page.section(
        "Tasks", page.panel(page.table(heads, rows, kinds, sortable=True), scroll=True), hint=hint
    )


def _sizes(found: Statistics) -> str:
    charts = [
        histogram(
            range_names(figures.SIDES), found.sides, "side of a box: root of its area, in pixels"
        ),
        histogram(range_names(figures.RATIOS), found.ratios, "width over height of a box"),
        histogram(count_names(figures.PER_IMAGE), found.per_image, "boxes on an image"),
    ]
    grid = "".join(page.panel(chart) for chart in charts)
    return page.section("Boxes", f'<div class="charts">{grid}</div>')


def _together(found: Statistics) -> str:
    if len(found.classes) < 2:
        return ""
    names = [one.name for one in found.classes]
    totals = [one.images for one in found.classes]
    chart = heat_map(
        found.together, names, "images with", "that also have", "together with", totals
    )
    return page.section(
        "What is together",
        page.panel(chart, scroll=True),
        hint="Images on which both classes are; shading and percentages are shares of all images "
        "of the row's class.",
    )


def _kinds(found: Statistics) -> str:
    tables = {
        "Kinds of shapes": found.kinds,
        "Sources": found.sources,
        "Sizes of images": found.image_sizes,
        "Parts that the source names": found.parts if set(found.parts) != {"none"} else {},
        "Tags of whole images": found.tags,
        "Further": {"occluded": found.occluded, "many in one (crowd)": found.crowds},
    }
    panels = [
        page.panel(f"<h3>{escape(title)}</h3>", page.properties(values))
        for title, values in tables.items()
        if values
    ]
    return page.section("Kinds and sources", f'<div class="charts">{"".join(panels)}</div>')


def _gallery(samples: Sequence[Sample], classes: Sequence[str]) -> str:
    figures_of = []
    for sample in samples:
        labels = [
            f'<b style="color:rgb{colour(classes.index(name))}">■</b> {escape(name)} {count}'
            for name, count in sample.counts.items()
        ]
        about = " · ".join(escape(text) for text in (sample.task, sample.part) if text)
        caption = f"{', '.join(labels) or 'no annotations'}"
        caption += f'<span class="id">{page.breakable(sample.name)}<br>{about}</span>'
        figures_of.append(page.picture(sample.picture, caption, f"boxes on {sample.name}"))
    grid = f'<div class="mistakes">{"".join(figures_of)}</div>' if figures_of else ""
    return page.section("Sample images", grid, hint="Of each class, and without annotations.")


def _problems(problems: Sequence[Problem]) -> str:
    if not problems:
        return ""
    kinds = Counter(problem.fault for problem in problems)
    rows, shown = [], Counter[str]()
    for problem in problems:
        shown[problem.fault] += 1
        if shown[problem.fault] <= PROBLEMS_SHOWN:
            cells = (str(problem.fault), problem.file, problem.where, problem.what)
            rows.append(tuple(page.breakable(cell) for cell in cells))
    table = page.table(("kind", "file", "where", "what"), rows, ("", "code", "", ""))
    hint = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    if len(rows) < len(problems):
        hint += f". {PROBLEMS_SHOWN} of each kind at most; problems.csv has all."
    return page.section("Problems", page.panel(table, scroll=True), hint=hint)


def _particulars(dataset: DetectionDataset, settings: Mapping[str, Any]) -> str:
    facts = {"Source": dataset.source, "Fingerprint": dataset.fingerprint}
    return page.section(
        "Particulars",
        page.panel("<h3>Provenance</h3>", page.properties(facts)),
        page.panel("<h3>Settings</h3>", page.properties(settings)),
    )
