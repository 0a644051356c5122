"""What the model finds on each image; kept on disk, so that nothing is predicted twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.core.detection.results import Detections
from components.core.formats.shapes import AnnotatedImage
from components.core.stage import Job
from components.core.state import digest

KEPT = "predictions.jsonl"
"""One line per image, in the stage's scratch, which is of one model."""


def predicted(model: Any, images: Sequence[AnnotatedImage], job: Job) -> list[Detections]:
    """The detections on every image, in their order.

    Args:
        model: a Predictor.
        images: with `path` set.
        job: its `work` keeps what is found, so that a killed run goes on where it was.
    """
    keys = [_key(image) for image in images]
    kept = dict(_read(job.work / KEPT))
    missing = [number for number, key in enumerate(keys) if key not in kept]
    if len(missing) < len(images):
        job.report.message(f"{len(images) - len(missing)} of {len(images)} images are done already")
    results = model.predict([images[number].path for number in missing])
    with open(job.work / KEPT, "a", encoding="utf-8") as file:
        file.write("\n")  # what a killed process left of a line ends here
        pairs = zip(missing, results, strict=True)
        for number, found in job.report.track(pairs, len(missing), "images"):
            kept[keys[number]] = found
            file.write(json.dumps([keys[number], *_plain(found)]) + "\n")
            file.flush()
    return [kept[key] for key in keys]


def _key(image: AnnotatedImage) -> str:
    assert image.path is not None
    status = image.path.stat()
    return digest([image.name, status.st_size, status.st_mtime_ns], 32)


def _read(path: Path) -> Iterator[tuple[str, Detections]]:
    """What was kept; a line that was cut off is no loss."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            key, boxes, scores, classes = json.loads(line)
        except ValueError:
            continue
        yield (
            key,
            Detections(
                np.array(boxes, np.float32).reshape(-1, 4),
                np.array(scores, np.float32),
                np.array(classes, np.int64),
            ),
        )


def _plain(found: Detections) -> tuple[Any, Any, Any]:
    return found.boxes.tolist(), found.scores.tolist(), found.classes.tolist()


def class_thresholds(
    classes: Sequence[str],
    tuned: Mapping[str, float],
    fixed: float,
    single: Mapping[str, float],
) -> dict[str, float]:
    """Class → score from which its boxes are kept; infinity for a class that is left out.

    Args:
        classes: of the model.
        tuned: the evaluation's; may lack classes that were not in it.
        fixed: for every class in place of these; 0 for none.
        single: of single classes, in place of both.
    """
    base = {name: fixed or tuned.get(name, UNKNOWN) for name in classes}
    return base | dict(single)


UNKNOWN = 0.5
"""Threshold of a class for which the evaluation found none."""
