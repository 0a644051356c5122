"""What is in each subset of a data set, as a table and as a page with charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from components.core.detection import figures
from components.core.detection.figures import Statistics
from components.core.formats.shapes import AnnotatedImage
from components.core.kitti.subsets import WHOLE
from components.core.report import page
from components.core.report.histogram import count_names, histogram, range_names

PARTS = ("train", "val", "test", WHOLE)

TOTAL = "all"


def statistics(images: Sequence[AnnotatedImage], classes: Sequence[str]) -> dict[str, Statistics]:
    """Subset → its figures; with several subsets also `all`.

    Args:
        images: with their `part`; those without are the subset `full`.
        classes: of all shapes.
    """
    members = {part: [image for image in images if (image.part or WHOLE) == part] for part in PARTS}
    found = {part: figures.statistics(own, classes) for part, own in members.items() if own}
    if len(found) > 1:
        found[TOTAL] = figures.statistics(images, classes)
    return found


def text(found: Mapping[str, Statistics]) -> str:
    """Objects of each class in each subset, with median sizes, as aligned lines."""
    whole = list(found.values())[-1]
    rows = [["class", *found, "median size", "< 32 px"]]
    for place, entry in enumerate(whole.classes):
        counts = [str(subset.classes[place].annotations) for subset in found.values()]
        size = f"{entry.width:.0f} x {entry.height:.0f}" if entry.annotations else "-"
        rows.append([entry.name, *counts, size, str(entry.small)])
    rows.append(["objects", *(str(subset.annotations) for subset in found.values()), "", ""])
    rows.append(["images", *(str(subset.images) for subset in found.values()), "", ""])
    rows.append(["without objects", *(str(subset.empty) for subset in found.values()), "", ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    ]
    sizes = [f"{size} ({count})" for size, count in whole.image_sizes.items()]
    more = f" and {len(sizes) - 5} more" if len(sizes) > 5 else ""
    return "\n".join([*lines, f"image sizes: {', '.join(sizes[:5])}{more}"])


def document(found: Mapping[str, Statistics]) -> dict[str, Any]:
    """Subset → figures, as JSON."""
    return {part: subset.document() for part, subset in found.items()}


def html(found: Mapping[str, Statistics], name: str, notes: Sequence[str] = ()) -> str:
    """A self-contained page: classes by subset, sizes and shapes of boxes, sizes of images.

    Args:
        found: of `statistics`.
        name: of the data set.
        notes: remarks at its head.
    """
    whole = list(found.values())[-1]
    charts = [
        histogram(range_names(figures.SIDES), whole.sides, "root of the area of boxes, pixels"),
        histogram(range_names(figures.RATIOS), whole.ratios, "width / height of boxes"),
        histogram(count_names(figures.PER_IMAGE), whole.per_image, "boxes on an image"),
    ]
    subtitle = (
        f"{whole.images} images, {whole.empty} without objects · {whole.annotations} objects of "
        f"{len(whole.classes)} classes"
    )
    return page.page(
        name,
        "Data set",
        subtitle,
        [
            page.section("Remarks", page.notes(notes)) if notes else "",
            page.section("Classes", page.panel(_classes(found, whole), scroll=True)),
            page.section("Boxes", *(page.panel(chart) for chart in charts)),
            page.section("Image sizes", page.panel(page.properties(whole.image_sizes))),
        ],
        "Boxes below 32 x 32 pixels are small, from 96 x 96 on large, as COCO has it.",
    )


def _classes(found: Mapping[str, Statistics], whole: Statistics) -> str:
    heads = ["class", *found, "images", "median width", "median height", "small", "medium", "large"]
    rows = []
    for place, entry in enumerate(whole.classes):
        counts = [str(subset.classes[place].annotations) for subset in found.values()]
        sizes = [f"{entry.width:.0f}", f"{entry.height:.0f}"]
        ranges = [str(count) for count in (entry.small, entry.medium, entry.large)]
        rows.append([escape(entry.name), *counts, str(entry.images), *sizes, *ranges])
    return page.table(heads, rows, ["key", *["number"] * (len(heads) - 1)], sortable=True)
