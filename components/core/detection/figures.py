"""Figures of annotations: classes, tasks, sizes and shapes of boxes, and what is together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from components.core.formats import boxes
from components.core.formats.shapes import AnnotatedImage, Kind

SMALL, LARGE = 32.0**2, 96.0**2
"""COCO's limits: square pixels of a box below which it is small, and from which it is large."""

SIDES = (8, 16, 32, 64, 128, 256, 512, 1024)
"""Pixels: limits of the histogram of sizes, of which each is the root of a box's area."""

RATIOS = (0.2, 1 / 3, 0.5, 0.75, 4 / 3, 2.0, 3.0, 5.0)
"""Limits of the histogram of width over height."""

PER_IMAGE = (1, 2, 3, 6, 11, 21, 51, 101)
"""Limits of the histogram of boxes on an image."""


@dataclass(frozen=True)
class ClassFigures:
    """One class."""

    name: str
    annotations: int
    images: int
    tasks: int
    small: int
    medium: int
    large: int
    width: float
    """Median, pixels."""
    height: float


@dataclass(frozen=True)
class TaskFigures:
    """One task or folder."""

    name: str
    images: int
    empty: int
    classes: dict[str, int]
    """Class → annotations."""

    @property
    def annotations(self) -> int:
        """Of all classes."""
        return sum(self.classes.values())


@dataclass(frozen=True)
class Statistics:
    """All figures; histograms are counts below, between and from their limits on."""

    images: int
    empty: int
    annotations: int
    groups: int
    classes: list[ClassFigures]
    tasks: list[TaskFigures]
    parts: dict[str, int]
    """Part that the source names → images."""
    image_sizes: dict[str, int]
    """`width x height` → images."""
    sides: list[int]
    ratios: list[int]
    per_image: list[int]
    together: list[list[int]]
    """Images on which both classes are; the diagonal: all images of a class."""
    kinds: dict[str, int]
    sources: dict[str, int]
    occluded: int
    crowds: int
    tags: dict[str, int]

    def document(self) -> dict[str, Any]:
        """As JSON, with the limits of the histograms."""
        limits = {"sides": list(SIDES), "ratios": list(RATIOS), "per_image": list(PER_IMAGE)}
        return {**asdict(self), "limits": limits}


def statistics(images: Sequence[AnnotatedImage], classes: Sequence[str]) -> Statistics:
    """Figures of the images of a data set."""
    boxed = [[s for s in image.shapes if s.kind is not Kind.TAG] for image in images]
    shapes = [shape for own in boxed for shape in own]
    found = [
        (shape.label, boxes.box_on(shape, image))
        for image, own in zip(images, boxed, strict=True)
        for shape in own
    ]
    sizes: dict[str, list[tuple[float, float]]] = {name: [] for name in classes}
    for label, box in found:
        if box is not None:
            sizes[label].append((box[2] - box[0], box[3] - box[1]))
    every = [size for own in sizes.values() for size in own]
    return Statistics(
        images=len(images),
        empty=sum(not own for own in boxed),
        annotations=len(shapes),
        groups=len({image.group or (image.name,) for image in images}),
        classes=[_class(name, images, sizes[name]) for name in classes],
        tasks=_tasks(images, classes),
        parts=_counts(image.part or "none" for image in images),
        image_sizes=_counts(f"{image.width} x {image.height}" for image in images),
        sides=_histogram((math.sqrt(width * height) for width, height in every), SIDES),
        ratios=_histogram((width / height for width, height in every), RATIOS),
        per_image=_histogram((len(own) for own in boxed), PER_IMAGE),
        together=_together(images, classes),
        kinds=_counts(str(shape.kind) for shape in shapes),
        sources=_counts(shape.source for shape in shapes),
        occluded=sum(shape.occluded for shape in shapes),
        crowds=sum(shape.crowd for shape in shapes),
        tags=_counts(s.label for image in images for s in image.shapes if s.kind is Kind.TAG),
    )


def _class(
    name: str, images: Sequence[AnnotatedImage], sizes: Sequence[tuple[float, float]]
) -> ClassFigures:
    own = [image for image in images if name in _labels(image)]
    areas = [width * height for width, height in sizes]
    small, large = sum(area < SMALL for area in areas), sum(area >= LARGE for area in areas)
    return ClassFigures(
        name=name,
        annotations=len(sizes),
        images=len(own),
        tasks=len({image.task for image in own}),
        small=small,
        medium=len(areas) - small - large,
        large=large,
        width=round(median(width for width, _ in sizes), 2) if sizes else 0.0,
        height=round(median(height for _, height in sizes), 2) if sizes else 0.0,
    )


def _tasks(images: Sequence[AnnotatedImage], classes: Sequence[str]) -> list[TaskFigures]:
    members: dict[str, list[AnnotatedImage]] = {}
    for image in images:
        members.setdefault(image.task, []).append(image)
    found = []
    for task, own in sorted(members.items()):
        counts = Counter(s.label for i in own for s in i.shapes if s.kind is not Kind.TAG)
        empty = sum(not _labels(image) for image in own)
        found.append(TaskFigures(task, len(own), empty, {name: counts[name] for name in classes}))
    return found


def _together(images: Sequence[AnnotatedImage], classes: Sequence[str]) -> list[list[int]]:
    places = {name: place for place, name in enumerate(classes)}
    counts = [[0] * len(classes) for _ in classes]
    for image in images:
        own = [places[label] for label in _labels(image)]
        for first in own:
            for second in own:
                counts[first][second] += 1
    return counts


def _labels(image: AnnotatedImage) -> set[str]:
    return {shape.label for shape in image.shapes if shape.kind is not Kind.TAG}


def _histogram(values: Iterable[float], limits: Sequence[float]) -> list[int]:
    counts = [0] * (len(limits) + 1)
    for value in values:
        counts[sum(value >= limit for limit in limits)] += 1
    return counts


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
