"""The HTML report of a split: what each part covers, what leaks, and how the boxes look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from components import __version__
from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.split import PARTS
from components.core.report import page
from components.core.wording import counted
from components.split_images.coverage import ALL, EMPTY, Coverage
from components.split_images.stage import SplitSettings

if TYPE_CHECKING:
    from components.split_images.embedding import Embedding

LISTED = 200
"""Recordings in the table, at most."""


def html_report(
    settings: SplitSettings,
    dataset: DetectionDataset,
    found: Coverage,
    notes: Sequence[str],
    embedding: Embedding | None,
    parts: Mapping[str, str],
) -> str:
    """The whole report; the same input gives the same bytes.

    Args:
        settings: of the stage.
        dataset: that was split.
        found: what the parts hold.
        notes: what a reader should not miss.
        embedding: of the boxes and images, where there is one.
        parts: image name → part.
    """
    counts = dataset.summary()
    facts = [
        counted(counts.images, "image"),
        counted(counts.annotations, "annotation"),
        counted(len(dataset.classes), "class", "classes"),
        counted(len(found.parts_of), "recording"),
        f"strategy {settings.strategy}",
    ]
    sections = [verdict(found), page.notes(notes), classes(found)]
    if embedding:
        from components.split_images.report_embedding import pictures

        sections += pictures(embedding, parts)
    sections += [groups(found), particulars(settings, dataset)]
    return page.page(
        dataset.source or "Annotated images",
        "Split for detection",
        " · ".join(facts),
        sections,
        f"Trainyard {__version__}",
    )


def verdict(found: Coverage) -> str:
    """One sentence with the sizes."""
    total = max(sum(found.sizes.values()), 1)
    texts = [f"<b>{n}</b> {part} ({n / total:.0%})" for part, n in found.sizes.items() if n]
    return f'<p class="verdict">Images: {", ".join(texts)}.</p>'


def classes(found: Coverage) -> str:
    """Images, annotations and recordings per class and part."""
    kinds = ("images", "annotations", "recordings")
    heads = ["class", *(f"{part} {kind}" for part in PARTS for kind in kinds), "annotations in val"]
    rows = []
    for name, row in found.rows.items():
        cells = [escape(name)]
        for part in PARTS:
            amount = row[part]
            shown = "–" if name == EMPTY else str(amount.annotations)
            cells += [str(amount.images), shown, str(amount.groups)]
        whole = sum(amount.annotations for amount in row.values())
        cells.append(page.bar(row["val"].annotations / whole if whole else None))
        rows.append(cells)
    kinds_of = ("key", *["number"] * (3 * len(PARTS)), "bar")
    return page.section(
        "What each part covers",
        page.panel(page.table(heads, rows, kinds_of), scroll=True),
        hint="Images count once for each class on them; crowds are no annotations here. Images "
        f"without annotations are {EMPTY}; the last row, {ALL}, is everything.",
    )


def groups(found: Coverage) -> str:
    """Where the images of each recording are, the largest first."""
    several = [(name, own) for name, own in found.parts_of.items() if sum(own.values()) > 1]
    several.sort(key=lambda item: (-sum(item[1].values()), item[0]))
    rows = [
        [escape(name), *(str(own.get(part, 0)) for part in (*PARTS, ""))]
        for name, own in several[:LISTED]
    ]
    if not rows:
        return ""
    single = len(found.parts_of) - len(several)
    more = f"; {len(several) - LISTED} more are not listed" if len(several) > LISTED else ""
    hint = f"Images in each part. {counted(single, 'recording')} of one image not listed{more}."
    heads = ["recording", *PARTS, "left out"]
    kinds = ("key", *["number"] * (len(PARTS) + 1))
    table = page.table(heads, rows, kinds, sortable=True)
    return page.section("Recordings", page.panel(table, scroll=True), hint=hint)


def particulars(settings: SplitSettings, dataset: DetectionDataset) -> str:
    """The settings that made the split, and the data set's fingerprint."""
    values = {**settings.identity(), "dataset": dataset.fingerprint}
    return page.section("Particulars", page.panel(page.properties(values)))
