"""The HTML report: how much was drawn, and the images that a person should look at first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components import __version__
from components.auto_annotate.drawing import Drawn
from components.core.artifacts.auto_annotation import AutoAnnotation
from components.core.formats import boxes
from components.core.formats.shapes import Shape
from components.core.report import images, page
from components.core.wording import counted

WIDTH = 420
"""Pixels of a picture in the gallery."""

OLD = (150, 150, 150)
COLOURS = (
    (230, 85, 13), (49, 130, 189), (49, 163, 84), (117, 107, 177), (222, 45, 38), (221, 161, 18),
    (197, 27, 138), (28, 144, 153),
)  # fmt: skip
"""Of classes, RGB, in turn."""


def html_report(index: AutoAnnotation, results: Sequence[Drawn], pictures: int) -> str:
    """The whole page.

    Args:
        index: the figures.
        results: in the order in which a person should look at them.
        pictures: how many of them are shown.
    """
    total = sum(index.boxes.values())
    facts = [
        counted(index.images, "image"),
        counted(total, "new box", "new boxes"),
        f"{index.overlapping} dropped as overlapping",
        f"uploaded as {index.task}" if index.task else "not uploaded",
    ]
    shown = list(results[:pictures])
    return page.page(
        index.source,
        "Automatic annotation",
        " · ".join(facts),
        [
            page.notes(_notes(index)),
            page.section("Classes", page.panel(_classes(index), scroll=True)),
            page.section(
                "Look at these first",
                _gallery(shown, index.classes),
                hint="Ordered by doubt: the sum over an image's boxes of how close their scores "
                "are to the threshold of their class, 0.5 at the threshold. Grey boxes were there "
                "before; review.csv lists all images.",
            ),
        ],
        f"Trainyard {__version__}",
    )


def _notes(index: AutoAnnotation) -> list[str]:
    lines = []
    if index.empty:
        lines.append(
            f"On {counted(index.empty, 'image')} nothing new was drawn. They are in the files: "
            "nothing found is no proof that nothing is there."
        )
    if index.unreadable:
        names = ", ".join(index.unreadable[:10])
        lines.append(f"{counted(len(index.unreadable), 'image')} could not be read: {names}")
    return lines


def _classes(index: AutoAnnotation) -> str:
    rows = [
        (
            page.breakable(name),
            f"{index.thresholds[name]:.3g}" if name in index.thresholds else "left out",
            str(count),
        )
        for name, count in index.boxes.items()
    ]
    return page.table(
        ("class", "from score", "new boxes"), rows, ("key", "number", "number"), sortable=True
    )


def _gallery(results: Sequence[Drawn], classes: Sequence[str]) -> str:
    figures = []
    for result in results:
        caption = (
            f"<b>{page.breakable(result.image.name)}</b> doubt {result.doubt:.2f}, "
            f"{counted(len(result.new), 'new box', 'new boxes')}, "
            f"{len(result.image.shapes)} before"
        )
        source = images.data_url(picture(result, classes))
        figures.append(page.picture(source, caption, f"boxes on {result.image.name}"))
    return f'<div class="mistakes">{"".join(figures)}</div>' if figures else ""


def picture(result: Drawn, classes: Sequence[str]) -> NDArray[np.uint8]:
    """The image, (H, W, 3) RGB and at most WIDTH wide, with old boxes grey and new ones in the
    colour of their class, with scores.
    """
    import cv2

    from components.core.detection.preprocessing import read_rgb

    assert result.image.path is not None
    image = read_rgb(result.image.path)
    scale = min(1.0, WIDTH / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    canvas: NDArray[np.uint8] = np.ascontiguousarray(small, dtype=np.uint8)
    for shape in result.image.shapes:
        _draw(canvas, shape, scale, OLD, "")
    for shape in result.new:
        colour = COLOURS[classes.index(shape.label) % len(COLOURS)]
        _draw(canvas, shape, scale, colour, f"{shape.label} {shape.score or 0:.2f}")
    return canvas


def _draw(canvas: Any, shape: Shape, scale: float, colour: tuple[int, ...], text: str) -> None:
    import cv2

    found = boxes.box(shape)
    if found is None:
        return
    left, top, right, bottom = (round(number * scale) for number in found)
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, 2 if text else 1)
    if text:
        place = left + 2, max(top - 3, 9)
        cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, 1, cv2.LINE_AA)
