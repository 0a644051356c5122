"""Sections of the report about how boxes and images look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.split import PARTS
from components.core.report import page
from components.core.report.charts import COLOURED, Series, line_chart
from components.core.report.images import data_url
from components.split_images.embedding import Embedding, Thing, sizes, uncovered
from components.split_images.features import THUMBNAIL

CANVAS = 1600
"""Pixels of the picture of boxes, in each side."""

BORDER = 2
"""Pixels around a box in that picture, in the colour of its part."""

COLOURS = {
    "train": (140, 140, 140), "val": (30, 110, 220), "test": (220, 80, 30), "": (230, 230, 230),
}  # fmt: skip

OTHERS = "others"


def pictures(embedding: Embedding, parts: Mapping[str, str]) -> list[str]:
    """Coverage of the clusters, and t-SNE pictures of boxes and images."""
    found = [_coverage(embedding, parts)]
    for title, things in (("How the boxes look", embedding.boxes),
                          ("How the images look", embedding.images)):  # fmt: skip
        shown = [thing for thing in things if thing.place]
        if shown:
            found.append(_tsne(title, shown, parts))
    return found


def canvas(things: Sequence[Thing]) -> dict[tuple[int, int], Thing]:
    """The things with a place, each in its cell (column, row) of the picture; the first stays."""
    count = CANVAS // THUMBNAIL
    cells: dict[tuple[int, int], Thing] = {}
    for thing in things:
        if thing.place:
            column, row = (min(int(n * count), count - 1) for n in thing.place)
            cells.setdefault((column, count - 1 - row), thing)
    return cells


def drawn(things: Sequence[Thing], parts: Mapping[str, str]) -> NDArray[np.uint8]:
    """(CANVAS, CANVAS, 3) their thumbnails at their places, framed in the colour of the part."""
    picture = np.full((CANVAS, CANVAS, 3), 255, np.uint8)
    for (column, row), thing in canvas(things).items():
        left, top = column * THUMBNAIL, row * THUMBNAIL
        place = picture[top : top + THUMBNAIL, left : left + THUMBNAIL]
        place[:] = COLOURS[parts.get(thing.image.name, "")]
        if thing.thumbnail is not None:
            inside = slice(BORDER, THUMBNAIL - BORDER)
            place[inside, inside] = thing.thumbnail[inside, inside]
    return picture


def _coverage(embedding: Embedding, parts: Mapping[str, str]) -> str:
    rows = [
        [escape(label or "(whole image)"), str(cluster), *(str(row[part]) for part in PARTS)]
        for (label, cluster), row in embedding.coverage(parts).items()
    ]
    boxes, images = (
        " and ".join(
            f"{number} are not in {part}"
            for part, number in uncovered(embedding, parts, whole).items()
        )
        for whole in (False, True)
    )
    table = page.table(
        ["class", "cluster", *PARTS],
        rows,
        ("key", "number", *["number"] * len(PARTS)),
        sortable=True,
    )
    return page.section(
        "Coverage of the clusters",
        page.panel(table, scroll=True),
        hint=f"{sizes(embedding)} described by {embedding.about}, clustered by their principal "
        f"components. Of the combinations of class and cluster that train, {boxes}; of the "
        f"clusters of whole images that train, {images}.",
    )


def _tsne(title: str, things: Sequence[Thing], parts: Mapping[str, str]) -> str:
    charts = [_scatter(things, lambda t: parts.get(t.image.name, "left out"), "part", list(PARTS))]
    if any(thing.label for thing in things):
        charts.append(_scatter(things, lambda thing: thing.label, "class"))
    charts.append(_scatter(things, lambda thing: str(thing.cluster), "cluster"))
    cells = canvas(things)
    caption = (
        f"{len(cells)} of {len(things)} at their places, those that would hide others left out; "
        "framed grey for train, blue for val, red for test."
    )
    return page.section(
        title,
        f'<div class="charts">{"".join(page.panel(chart) for chart in charts)}</div>',
        page.panel(page.picture(data_url(drawn(things, parts)), escape(caption), title)),
        hint="t-SNE: what is near each other looks alike to the network; axes, distances and "
        "sizes of islands have no meaning.",
    )


def _scatter(
    things: Sequence[Thing],
    name_of: Callable[[Thing], str],
    title: str,
    first: Sequence[str] = (),
) -> str:
    """Places coloured by something; the names beyond the colours there are become one."""
    counts = Counter(name_of(thing) for thing in things)
    names = [name for name in first if name in counts]
    names += [name for name, _ in counts.most_common() if name not in names]
    if len(names) > COLOURED:
        names = [*names[: COLOURED - 1], OTHERS]
    points: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for thing in things:
        if thing.place:
            name = name_of(thing)
            points[name if name in points else OTHERS].append(thing.place)
    series = [
        Series(name, [p[0] for p in own], [p[1] for p in own], joined=False)
        for name, own in points.items()
    ]
    return line_chart(
        series,
        x_label="",
        y_label=f"by {title}",
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
        width=420,
        height=400,
        named=True,
        x_ticks={},
    )
