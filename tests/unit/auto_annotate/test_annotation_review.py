"""Which detections become annotations, and how doubtful they are."""

import numpy as np
import pytest

from components.core.detection.results import Detections
from components.core.detection.review import above, doubts, free
from components.core.detection.thresholds import NEVER, parse_thresholds, unknown_classes


def found(*rows: tuple[tuple[float, float, float, float], float, int]) -> Detections:
    return Detections(
        np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([number for _, _, number in rows], np.int64),
    )


def test_thresholds_as_people_write_them() -> None:
    assert parse_thresholds("") == {}
    text = " fat hen = 0.4, crop=off ,a=b=1,"
    assert parse_thresholds(text) == {"fat hen": 0.4, "crop": NEVER, "a=b": 1.0}


def test_every_wrong_threshold_is_told() -> None:
    with pytest.raises(ValueError, match="'weed'") as caught:
        parse_thresholds("weed, crop=1.5, =0.3, thistle=0.2, thistle=0.3, rape=nan")
    text = str(caught.value)
    for word in ("'weed'", "'crop=1.5'", "'=0.3'", "'thistle' is there twice", "'rape=nan'"):
        assert word in text
    assert text.count("; ") == 4


def test_a_class_that_the_model_lacks_is_told_with_the_nearest() -> None:
    lines = unknown_classes({"thistel": 0.5, "x": 0.2, "crop": 0.1}, ["thistle", "crop"])
    assert lines == [
        "the model has no class 'thistel'; did you mean 'thistle'?",
        "the model has no class 'x'; it has thistle, crop",
    ]


def test_each_class_has_its_own_threshold() -> None:
    boxes = found(((0, 0, 9, 9), 0.5, 0), ((0, 0, 9, 9), 0.5, 1), ((0, 0, 9, 9), 0.9, 2))
    assert above(boxes, np.array([0.5, 0.6, NEVER])).tolist() == [True, False, False]


def test_boxes_over_any_existing_one_are_dropped_whatever_its_class() -> None:
    new = found(((0, 0, 10, 10), 0.9, 0), ((20, 0, 30, 10), 0.8, 0), ((40, 0, 50, 10), 0.7, 1))
    # IoU of the first: 20 / 180 = 0.111; the second only touches.
    there = np.array([[8, 0, 18, 10], [10, 0, 20, 10], [40, 0, 50, 10]], np.float32)
    classes = np.array([1, 0, -1])
    assert free(new, there, classes, 0.1).tolist() == [False, True, False]
    assert free(new, there, classes, 0.12).tolist() == [True, True, False]
    assert free(new, there, classes, 0.1, per_class=True).tolist() == [True, True, True]
    assert free(new, there[:0], classes[:0], 0.0).tolist() == [True] * 3
    assert free(Detections.none(), there, classes, 0.0).shape == (0,)


def test_doubt_is_largest_at_the_threshold() -> None:
    scores = (1.0, 0.9, 0.8, 0.4, 0.0)
    boxes = found(*[((0, 0, 1, 1), score, 0) for score in scores])
    assert doubts(boxes, np.array([0.8])) == pytest.approx([0, 0.25, 0.5, 0.25, 0], abs=1e-6)
    assert doubts(boxes, np.array([NEVER])).tolist() == [0] * 5
    assert np.isfinite(doubts(boxes, np.array([0.0]))).all()
    assert np.isfinite(doubts(boxes, np.array([1.0]))).all()
