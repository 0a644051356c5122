"""Annotated and found boxes by chance, as tests and benchmarks of detection figures need them."""

import numpy as np

from components.core.detection.results import Detections
from components.core.metrics.detection import Truth

SIDE = 400


def random_case(seed, images, classes, objects=6, found=20, crowds=False, absent=(), digits=3):
    """(truths, detections) of some images: near ones, wrong classes, others anywhere, negatives.

    Every fifth image is a negative, every seventh has no detection; no object is of a class in
    `absent`. Scores of few digits are often the same.
    """
    rng = np.random.default_rng(seed)
    kinds = [number for number in range(classes) if number not in absent]
    truths, detections = [], []
    for image in range(images):
        count = 0 if image % 5 == 4 else objects
        boxes = _boxes(rng, count)
        labels = rng.choice(kinds, count)
        many = rng.random(count) < 0.2 if crowds else np.zeros(count, bool)
        truths.append(Truth.of(boxes, labels, many))
        detections.append(
            _found(rng, boxes, labels, 0 if image % 7 == 6 else found, classes, digits)
        )
    return truths, detections


def _boxes(rng, count):
    corner = rng.uniform(0, SIDE, (count, 2))
    # From well below 32 to well above 96 pixels.
    return np.concatenate([corner, corner + np.exp(rng.uniform(2, 5.3, (count, 2)))], axis=1)


def _found(rng, boxes, labels, count, classes, digits):
    if len(boxes):
        picks = rng.integers(0, len(boxes), count)
        size = np.tile(boxes[picks, 2:] - boxes[picks, :2], 2)
        near = boxes[picks] + rng.normal(0, 0.12, (count, 4)) * size
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        kinds = np.where(rng.random(count) < 0.8, labels[picks], rng.integers(0, classes, count))
        anywhere = rng.random(count) < 0.25
        near[anywhere] = _boxes(rng, int(anywhere.sum()))
    else:
        near, kinds = _boxes(rng, count // 4), rng.integers(0, classes, count // 4)
    scores = np.round(rng.random(len(near)), digits).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    return Detections(near[order].astype(np.float32), scores[order], kinds[order].astype(np.int64))
