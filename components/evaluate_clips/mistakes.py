"""The clips a model is most wrong about, with frames to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.evaluation import ClipMetrics
from components.core.artifacts.frames import FrameReader
from components.core.report.images import data_url, strip
from components.evaluate_clips.predictions import Predictions, names_of
from components.evaluate_clips.windows import Window

FRAMES = 5
BYTES = 3_000_000
"""Image data in a report at most; further mistakes are shown without frames."""


@dataclass(frozen=True)
class Mistake:
    """One wrong clip."""

    clip: str
    group: str
    actual: list[str]
    predicted: list[str]
    probability: float
    """Of the most certain wrong statement."""
    image: str = ""
    """Frames from left to right as a data URL; '' when there are none to show."""


def worst_mistakes(
    predictions: Predictions,
    metrics: ClipMetrics,
    classes: Sequence[str],
    reader: FrameReader | None,
    window: Window | None,
    count: int,
) -> list[Mistake]:
    """The `count` wrong clips about which the model was surest."""
    certainty = wrongness(predictions, metrics)
    order = sorted(
        np.flatnonzero(certainty > 0).tolist(),
        key=lambda row: (-certainty[row], predictions.ids[row]),
    )
    places = {clip.id: row for row, clip in enumerate(reader.index.clips)} if reader else {}
    found, total = [], 0
    for row in order[:count]:
        clip = predictions.ids[row]
        image = ""
        if reader is not None and clip in places and total < BYTES:
            image = data_url(strip(_frames(reader, places[clip], window)))
            total += len(image)
        found.append(
            Mistake(
                clip=clip,
                group=predictions.groups[row],
                actual=names_of(predictions.actual[row], classes),
                predicted=names_of(predictions.predicted[row], classes),
                probability=float(certainty[row]),
                image=image,
            )
        )
    return found


def wrongness(predictions: Predictions, metrics: ClipMetrics) -> NDArray[np.float64]:
    """How sure the model was of its worst wrong statement about each clip, 0 if it made none.

    Single-label: the probability of the wrong class. Multi-label: of a wrongly given label its
    probability, of a missed one the probability that it was absent.
    """
    scores = predictions.probabilities.astype(np.float64)
    if not predictions.multi_label:
        wrong = (predictions.actual != predictions.predicted).any(axis=1)
        return np.where(wrong, np.maximum(scores.max(axis=1), 1e-12), 0.0)
    surplus = np.where(predictions.predicted & ~predictions.actual, scores, 0.0)
    missed = np.where(predictions.actual & ~predictions.predicted, 1 - scores, 0.0)
    return np.asarray(np.maximum(surplus, missed).max(axis=1))


def _frames(reader: FrameReader, clip: int, window: Window | None) -> NDArray[np.uint8]:
    frames = reader.index.clips[clip].frames
    seen = window.numbers(window.starts(frames, 1)[0]) if window else list(range(frames))
    last = len(seen) - 1
    picked = [seen[round(last * step / (FRAMES - 1))] for step in range(FRAMES)]
    return reader.read(clip, picked)
