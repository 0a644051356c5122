"""Sample images with their boxes, as small pictures inside the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.core.formats import boxes
from components.core.formats.shapes import AnnotatedImage, Kind
from components.core.report.images import data_url

SIDE = 420
"""Pixels of a picture's longer side."""

PER_CLASS = 3
NEGATIVES = 3
MOST = 36

COLOURS = (
    (240, 80, 60), (40, 150, 255), (60, 200, 90), (250, 190, 30), (190, 90, 240), (20, 200, 210),
    (250, 110, 180), (150, 210, 40), (255, 140, 40), (110, 120, 255), (0, 160, 120), (200, 150, 90),
)  # fmt: skip
"""RGB of the classes' boxes; further ones repeat them."""


@dataclass(frozen=True)
class Sample:
    """One picture of the gallery."""

    name: str
    task: str
    part: str
    picture: str
    """Data URL."""
    counts: dict[str, int]
    """Class → boxes on it."""


def samples(images: Sequence[AnnotatedImage], classes: Sequence[str]) -> list[Sample]:
    """Some images of each class and some negatives, spread over the data set."""
    drawn = []
    for image in _chosen(images, classes):
        shapes = [shape for shape in image.shapes if shape.kind is not Kind.TAG]
        counts = Counter(shape.label for shape in shapes)
        ordered = {name: counts[name] for name in classes if counts[name]}
        drawn.append(Sample(image.name, image.task, image.part, _picture(image, classes), ordered))
    return drawn


def colour(place: int) -> tuple[int, int, int]:
    """RGB of the class at this place."""
    return COLOURS[place % len(COLOURS)]


def _chosen(images: Sequence[AnnotatedImage], classes: Sequence[str]) -> list[AnnotatedImage]:
    found: dict[str, AnnotatedImage] = {}
    labels = [{s.label for s in image.shapes if s.kind is not Kind.TAG} for image in images]
    wanted = [(name, PER_CLASS) for name in classes] + [("", NEGATIVES)]
    for name, count in wanted:
        own = [
            image
            for image, there in zip(images, labels, strict=True)
            if (name in there if name else not there) and image.name not in found
        ]
        step = len(own) / count
        places = {int((number + 0.5) * step) for number in range(count)} if own else set()
        found |= {own[place].name: own[place] for place in sorted(places)}
    return list(found.values())[:MOST]


def _picture(image: AnnotatedImage, classes: Sequence[str]) -> str:
    from PIL import Image, ImageDraw

    from components.core.detection.preprocessing import read_rgb

    if image.path is None:
        return ""
    scale = min(1.0, SIDE / max(image.width, image.height, 1))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    shown = Image.fromarray(read_rgb(image.path)).resize(size)
    draw = ImageDraw.Draw(shown)
    for shape in image.shapes:
        box = boxes.box_on(shape, image)
        if box is not None:
            left, top, right, bottom = (number * scale for number in box)
            corners = (left, top, max(right, left + 1), max(bottom, top + 1))
            draw.rectangle(corners, outline=colour(classes.index(shape.label)), width=2)
    return data_url(np.asarray(shown))
