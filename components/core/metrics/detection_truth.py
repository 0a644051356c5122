"""Annotated images as the truth that detectors are measured against."""

from __future__ import annotations

from collections.abc import Sequence

from components.core.formats import boxes
from components.core.formats.shapes import AnnotatedImage
from components.core.metrics.detection import Truth


def truth_of(image: AnnotatedImage, classes: Sequence[str]) -> Truth:
    """The boxes of an image: tags are left out, areas are those of the outlines.

    Args:
        image: with its size.
        classes: the class map, without the background.

    Raises:
        InputError: a shape without a box in the image.
        ValueError: a shape of another class.
    """
    corners, numbers, crowd, areas = [], [], [], []
    for shape in image.shapes:
        box = boxes.box_on(shape, image)
        if box is None:
            continue
        if shape.label not in classes:
            raise ValueError(
                f"image {image.name!r} has a shape of the class {shape.label!r}, which is not "
                f"among {', '.join(classes)}"
            )
        corners.append(box)
        numbers.append(classes.index(shape.label))
        crowd.append(shape.crowd)
        areas.append(boxes.area(shape, image.width, image.height))
    return Truth.of(corners, numbers, crowd, areas)
