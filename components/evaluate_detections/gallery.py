"""Pictures of mistakes and of right boxes: cuts of the images with what is annotated and found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.detection.matching import NOTHING, iou_matrix
from components.core.metrics.detection_judgement import Kind
from components.core.report.images import data_url
from components.evaluate_detections.results import Results

RIGHT, FALSE, WRONG, MISSED = "right", "false", "wrong", "missed"
"""Galleries: right boxes of the lowest scores; boxes without an object of their own and boxes of
the wrong class, the surest first; objects that nothing was found on, the largest first."""

SIDE = 300
"""Pixels of a picture's longer side at least."""
MARGIN = 0.7
"""What is shown around a box, of its longer side."""
SMALLEST = 64
"""Pixels of the image that a picture shows at least, in each direction."""
BYTES = 4_000_000
"""Image data in a report at most; further entries are shown without."""

TRUTH_COLOUR, SAID_COLOUR, OTHER_COLOUR = (28, 175, 110), (230, 60, 80), (240, 165, 80)
"""RGB of what is annotated, of the box in question, and of other found boxes."""

Box = tuple[float, float, float, float]
Reader = Callable[[Path], NDArray[np.uint8]]


@dataclass(frozen=True)
class Entry:
    """One thing to show."""

    gallery: str
    image: int
    """Position among the images."""
    box: Box
    """What the picture is about."""
    found: str
    """Class that was found; '' for a missed object."""
    annotated: str
    """Class that is annotated; '' where nothing is."""
    score: float
    """Of a missed object: the highest score of a box of its class on it, below the threshold."""
    kind: str
    """One of Kind, or MISSED."""
    picture: str = ""
    """As a data URL; '' where there is none to show."""


def entries(results: Results, count: int) -> dict[str, list[Entry]]:
    """At most `count` things to show in each gallery, and their order."""
    every: dict[str, list[Entry]] = {MISSED: [], FALSE: [], WRONG: [], RIGHT: []}
    for image in range(len(results.images)):
        for entry in [*_boxes(results, image), *_missed(results, image)]:
            every[entry.gallery].append(entry)
    order: dict[str, Callable[[Entry], float]] = {
        MISSED: lambda entry: -_area(entry.box),
        FALSE: lambda entry: -entry.score,
        WRONG: lambda entry: -entry.score,
        RIGHT: lambda entry: entry.score,
    }
    return {
        name: sorted(own, key=lambda e: (order[name](e), results.images[e.image].name, e.box))[
            :count
        ]
        for name, own in every.items()
    }


def drawn(results: Results, shown: dict[str, list[Entry]], read: Reader) -> dict[str, list[Entry]]:
    """The same with pictures; each image is read once."""
    pictures: dict[tuple[str, int], str] = {}
    wanted: dict[int, list[tuple[str, int]]] = {}
    for name, own in shown.items():
        for place, entry in enumerate(own):
            wanted.setdefault(entry.image, []).append((name, place))
    total = 0
    for image, keys in wanted.items():
        path = results.images[image].path
        if path is None or total >= BYTES:
            continue
        pixels = read(path)
        for name, place in keys:
            url = data_url(_picture(pixels, results, shown[name][place]))
            pictures[name, place] = url
            total += len(url)
    return {
        name: [
            Entry(**{**vars(entry), "picture": pictures.get((name, place), "")})
            for place, entry in enumerate(own)
        ]
        for name, own in shown.items()
    }


def _boxes(results: Results, image: int) -> Iterator[Entry]:
    true, one = results.truth[image], results.judged[image]
    for row, kind in enumerate(one.kinds):
        if kind is Kind.IGNORED:
            continue
        place = one.partner[row]
        name = {Kind.RIGHT: RIGHT, Kind.WRONG_CLASS: WRONG}.get(kind, FALSE)
        left, top, right, bottom = one.found.boxes[row].tolist()
        yield Entry(
            gallery=name,
            image=image,
            box=(left, top, right, bottom),
            found=results.classes[one.found.classes[row]],
            annotated="" if place == NOTHING else results.classes[true.classes[place]],
            score=float(one.found.scores[row]),
            kind=str(kind),
        )


def _missed(results: Results, image: int) -> Iterator[Entry]:
    true, one = results.truth[image], results.judged[image]
    taken = set(one.partner.tolist())
    for place in one.missed.tolist():
        if place in taken:  # shown among the wrong classes
            continue
        left, top, right, bottom = true.boxes[place].tolist()
        yield Entry(
            gallery=MISSED,
            image=image,
            box=(left, top, right, bottom),
            found="",
            annotated=results.classes[true.classes[place]],
            score=_highest(results, image, place),
            kind=MISSED,
        )


def _highest(results: Results, image: int, place: int) -> float:
    """The highest score below the threshold of a box of the class on an annotation, 0 for none."""
    true, found = results.truth[image], results.predictions[image]
    number = true.classes[place]
    low = (found.classes == number) & (found.scores < results.thresholds[number])
    overlaps = iou_matrix(found.boxes[low], true.boxes[place : place + 1])[:, 0]
    return float(found.scores[low][overlaps >= results.iou].max(initial=0))


def _picture(pixels: NDArray[np.uint8], results: Results, entry: Entry) -> NDArray[np.uint8]:
    """A cut around the box, enlarged, with the boxes in it."""
    import cv2

    height, width = pixels.shape[:2]
    left, top, right, bottom = _window(entry.box, width, height)
    cut = pixels[top:bottom, left:right]
    scale = max(1.0, SIDE / max(cut.shape[:2]))
    if max(cut.shape[:2]) > 3 * SIDE:
        scale = 3 * SIDE / max(cut.shape[:2])
    size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    sheet = np.ascontiguousarray(cv2.resize(cut, size, interpolation=method), dtype=np.uint8)

    def draw(box: Sequence[float], colour: tuple[int, int, int], thick: int) -> None:
        ends = [
            round((value - start) * scale)
            for value, start in zip(box, (left, top, left, top), strict=True)
        ]
        cv2.rectangle(sheet, (ends[0], ends[1]), (ends[2], ends[3]), colour, thick, cv2.LINE_AA)

    for box in results.truth[entry.image].boxes.tolist():
        draw(box, TRUTH_COLOUR, 4 if tuple(box) == entry.box else 2)
    for box in results.judged[entry.image].found.boxes.tolist():
        own = tuple(box) == entry.box and entry.gallery != MISSED
        draw(box, SAID_COLOUR if own else OTHER_COLOUR, 2 if own else 1)
    return sheet


def _window(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what a picture shows."""
    left, top, right, bottom = box
    side = max((right - left, bottom - top, 1.0))
    reach = max(side * (0.5 + MARGIN), SMALLEST / 2)
    x = min(max((left + right) / 2, 0), width)
    y = min(max((top + bottom) / 2, 0), height)
    return (
        int(max(x - reach, 0)),
        int(max(y - reach, 0)),
        int(min(np.ceil(x + reach), width)),
        int(min(np.ceil(y + reach), height)),
    )


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
