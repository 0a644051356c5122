"""Frames to look at: the worst, those in the middle, and the best, side by side with the photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.rendering_evaluation import FrameFigures
from components.core.report.images import GAP, data_url
from components.core.training.result_images import GAIN, as_pixels, difference
from components.evaluate_renderings.frames import Rendered, baseline, whole_frames
from components.evaluate_renderings.subject import Subject

COLUMNS = ("points", "warped photographs", "rendered", "photograph", f"error, {GAIN:g} times")
"""What a row of pictures shows, from left to right."""

HEIGHT = 300
"""Most pixels of a picture's height."""

WORST, MIDDLE, BEST = "Worst frames", "Frames in the middle", "Best frames"


@dataclass(frozen=True)
class Entry:
    """One frame to show."""

    figures: FrameFigures
    picture: str
    """COLUMNS beside each other, as a data URL."""


def entries(subject: Subject, results: Sequence[Rendered], count: int) -> dict[str, list[Entry]]:
    """At most `count` frames of each kind; none is shown twice."""
    order = sorted(range(len(results)), key=lambda n: (results[n].figures.psnr, n))
    middle = max(len(order) // 2 - count // 2, 0)
    chosen: dict[str, list[int]] = {}
    taken: set[int] = set()
    for kind, numbers in (
        (WORST, order[:count]),
        (BEST, order[::-1][:count]),
        (MIDDLE, order[middle : middle + count]),
    ):
        chosen[kind] = [number for number in numbers if number not in taken]
        taken |= {*numbers}
    return {
        kind: [_entry(subject, results[number], number) for number in chosen[kind]]
        for kind in (WORST, MIDDLE, BEST)
    }


def _entry(subject: Subject, result: Rendered, number: int) -> Entry:
    batch = whole_frames(subject).batch(0, [number])
    picture, target = _read(result.picture), as_pixels(batch["target"][0])
    tiles = (
        as_pixels(batch["levels"][0][0, :3]),
        as_pixels(baseline(batch)[0]),
        picture,
        target,
        difference(picture, target),
    )
    return Entry(result.figures, data_url(_row(tiles)))


def _row(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    import cv2

    height, width = tiles[0].shape[:2]
    scale = min(1.0, HEIGHT / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    sheet = np.full((size[1], len(tiles) * (size[0] + GAP) - GAP, 3), 128, dtype=np.uint8)
    for place, tile in enumerate(tiles):
        left = place * (size[0] + GAP)
        small = cv2.resize(tile, size, interpolation=cv2.INTER_AREA) if scale < 1 else tile
        sheet[:, left : left + size[0]] = small
    return sheet


def _read(path: Path) -> NDArray[np.uint8]:
    import cv2

    pixels = cv2.imread(str(path))
    assert pixels is not None
    return np.ascontiguousarray(pixels[..., ::-1], dtype=np.uint8)
