"""Detections become shapes of an image, and the images get their order for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from components.auto_annotate.stage import AnnotateSettings
from components.core.cvat.creation import SCORE
from components.core.detection import review
from components.core.detection.results import Detections
from components.core.formats import boxes
from components.core.formats.shapes import AnnotatedImage, Kind, Shape

DECIMALS = 2
"""Of pixels; people draw no finer."""

DOUBTFUL = 0.25
"""Half way between a sure decision and the threshold."""


@dataclass(frozen=True)
class Drawn:
    """What is new on one image."""

    image: AnnotatedImage
    """With the shapes that were there before."""
    new: list[Shape]
    """In descending order of the score."""
    overlapping: int
    """Boxes that were dropped, as they overlap one that was there before."""
    doubt: float
    """Sum over its boxes, see `review.doubts`."""
    doubtful: int
    """Boxes of which it is open whether they are objects."""

    @property
    def whole(self) -> AnnotatedImage:
        """The image with old and new shapes."""
        return replace(self.image, shapes=[*self.image.shapes, *self.new])

    @property
    def for_xml(self) -> AnnotatedImage:
        """The same with the scores as attributes, the only place that CVAT's XML has for them."""
        new = [replace(shape, attributes={SCORE: f"{shape.score:.4f}"}) for shape in self.new]
        return replace(self.image, shapes=[*self.image.shapes, *new])


def drawn(
    image: AnnotatedImage,
    found: Detections,
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
    settings: AnnotateSettings,
) -> Drawn:
    """The boxes that reach their thresholds (C,) and overlap none that was there before."""
    there, labels = _existing(image, classes)
    free = review.free(found, there, labels, settings.overlap_iou, settings.overlap_per_class)
    above = review.above(found, thresholds)
    kept = found.where(free & above)
    new = [_shape(kept, row, classes) for row in range(len(kept))]
    usable = [shape for shape in (_inside(shape, image) for shape in new) if shape is not None]
    doubts = review.doubts(found.where(free), thresholds)
    return Drawn(
        image,
        usable,
        int((above & ~free).sum()),
        float(doubts.sum()),
        int((doubts >= DOUBTFUL).sum()),
    )


def ranked(results: Sequence[Drawn]) -> list[Drawn]:
    """Those first that the model is least sure of; equal ones by name."""
    return sorted(results, key=lambda result: (-result.doubt, result.image.name))


def _existing(
    image: AnnotatedImage, classes: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes (M, 4) that are there, and the positions of their classes, -1 for others."""
    placed = [(found, shape.label) for shape in image.shapes if (found := boxes.box(shape))]
    numbers = {name: number for number, name in enumerate(classes)}
    return (
        np.array([found for found, _ in placed], np.float32).reshape(-1, 4),
        np.array([numbers.get(label, -1) for _, label in placed], np.int64),
    )


def _shape(found: Detections, row: int, classes: Sequence[str]) -> Shape:
    points = tuple(round(float(number), DECIMALS) for number in found.boxes[row])
    score = round(float(found.scores[row]), 4)
    label = classes[int(found.classes[row])]
    return Shape(label, Kind.RECTANGLE, points, source="automatic", score=score)


def _inside(shape: Shape, image: AnnotatedImage) -> Shape | None:
    """The shape cut to its image; None where nothing is left of it."""
    return boxes.fit(shape, image.width, image.height)[0]
