"""Matches, thresholds, intervals and mistakes of detectors."""

import numpy as np
import pytest
from detection_cases import random_case

from components.core.detection.results import Detections
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.core.metrics.detection import IOUS, Truth, coco_figures
from components.core.metrics.detection_bootstrap import image_weights, resampled
from components.core.metrics.detection_judgement import Kind as Verdict
from components.core.metrics.detection_judgement import confusion, judge
from components.core.metrics.detection_matches import matches
from components.core.metrics.detection_thresholds import best_thresholds, reliability
from components.core.metrics.detection_truth import truth_of

NAMES = ["cleavers", "thistle", "dandelion", "rape"]


def found(*rows):
    """Detections from (score, class, left, top, right, bottom)."""
    return Detections(
        np.array([row[2:] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[0] for row in rows], np.float32),
        np.array([row[1] for row in rows], np.int64),
    )


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_from_matches_is_cocos(seed):
    truth, predictions = random_case(
        seed, images=20, classes=4, crowds=seed % 2 == 1, absent=[2] if seed > 1 else []
    )
    coco = coco_figures(truth, predictions, NAMES)
    once = np.ones((1, len(truth)), dtype=np.int64)
    precision, recall = resampled(matches(truth, predictions, 4, IOUS), once)
    for number, row in enumerate(coco.classes):
        if row.ap is None:
            assert np.isnan(precision[0, number]).all()
            continue
        assert precision[0, number].mean() == pytest.approx(row.ap, abs=1e-9)
        assert precision[0, number, 0] == pytest.approx(row.ap50, abs=1e-9)
        assert recall[0, number].mean() == pytest.approx(row.ar100, abs=1e-9)


@pytest.mark.parametrize("crowds", [False, True])
def test_a_weighted_resample_is_the_resampled_images(crowds):
    truth, predictions = random_case(5, images=12, classes=3, crowds=crowds, digits=7)
    weights = image_weights([f"video {n // 3}" for n in range(12)], 6, seed=1)
    assert (weights.reshape(6, 4, 3) == weights.reshape(6, 4, 3)[..., :1]).all()
    assert (weights.sum(axis=1) == 12).all()
    precision, _ = resampled(matches(truth, predictions, 3, IOUS), weights)
    for row, own in zip(precision, weights, strict=True):
        drawn = np.repeat(np.arange(12), own)
        coco = coco_figures([truth[n] for n in drawn], [predictions[n] for n in drawn], NAMES[:3])
        for number, figures in enumerate(coco.classes):
            assert row[number].mean() == pytest.approx(figures.ap, abs=1e-9)


def test_groups_are_drawn_whole_and_images_without_one_alone():
    weights = image_weights(["a", "", "a", ""], 400, seed=0)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] != weights[:, 3]).any()
    assert (weights == image_weights(["a", "", "a", ""], 400, seed=0)).all()


def test_the_best_threshold_is_that_of_a_search_over_all():
    truth, predictions = random_case(3, images=40, classes=4, absent=[3])
    found_ones = matches(truth, predictions, 4, [0.5])
    chosen = best_thresholds(found_ones)

    def f1(number, threshold):
        right = wrong = 0
        for true, said in zip(truth, predictions, strict=True):
            one = judge(true, said, np.full(4, threshold), 0.5)
            own = one.found.classes == number
            right += sum(k is Verdict.RIGHT and o for k, o in zip(one.kinds, own, strict=True))
            wrong += int(own.sum())
        positives = sum(int((t.classes == number).sum()) for t in truth)
        return 2 * right / (wrong + positives)

    for number in range(3):
        every = [f1(number, step / 1000) for step in range(0, 1001, 25)]
        assert f1(number, chosen[number]) >= max(every) - 1e-12
        assert f1(number, chosen[number]) > min(every)
    assert chosen[3] == 0.5  # nothing of it is annotated


def test_a_threshold_lies_halfway_between_what_it_accepts_and_rejects():
    truth = [Truth.of([[0, 0, 10, 10], [20, 20, 30, 30]], [0, 0])]
    said = [found((0.9, 0, 0, 0, 10, 10), (0.8, 0, 20, 20, 30, 30), (0.6, 0, 50, 50, 60, 60))]
    assert best_thresholds(matches(truth, said, 1, [0.5])).tolist() == pytest.approx([0.7])
    none = [Detections.none()]
    assert best_thresholds(matches(truth, none, 1, [0.5])).tolist() == [0.5]


def test_every_kind_of_mistake_is_told():
    truth = Truth.of(
        [[0, 0, 20, 20], [30, 0, 50, 20], [60, 0, 80, 20], [0, 50, 99, 99], [0, 30, 20, 45]],
        [0, 1, 2, 3, 0],
        crowd=[False, False, False, True, False],
    )
    said = found(
        (0.9, 0, 0, 0, 20, 20),  # right
        (0.8, 0, 30, 0, 50, 20),  # a thistle taken for cleavers
        (0.7, 0, 1, 0, 20, 20),  # once more
        (0.6, 2, 70, 0, 90, 20),  # beside the dandelion
        (0.5, 1, 100, 100, 120, 120),  # nothing is there
        (0.4, 3, 5, 55, 25, 75),  # in the crowd
        (0.3, 0, 0, 30, 20, 45),  # right, but below the threshold
    )
    one = judge(truth, said, np.array([0.35, 0.35, 0.35, 0.35]), 0.5)
    assert one.kinds == [
        Verdict.RIGHT, Verdict.WRONG_CLASS, Verdict.DUPLICATE, Verdict.POOR_BOX,
        Verdict.BACKGROUND, Verdict.IGNORED,
    ]  # fmt: skip
    assert one.partner.tolist() == [0, 1, -1, -1, -1, -1]
    assert one.missed.tolist() == [1, 2, 4]
    assert one.overlap[3] == pytest.approx(1 / 3)
    table = confusion([truth], [one], 4)
    expected = np.zeros((5, 5), int)
    expected[0, 0] = expected[1, 0] = 1  # right, and the wrong class
    expected[4, 0] = expected[4, 2] = expected[4, 1] = 1  # no object of their own
    expected[2, 4] = expected[0, 4] = 1  # not found
    assert table.tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_every_box_and_every_object_is_counted_once(seed):
    truth, predictions = random_case(seed, images=15, classes=4)
    thresholds = np.array([0.2, 0.4, 0.6, 0.0])
    judged = [judge(t, p, thresholds, 0.5) for t, p in zip(truth, predictions, strict=True)]
    table = confusion(truth, judged, 4)
    annotated = np.bincount(np.concatenate([t.classes for t in truth]), minlength=4)
    assert table[:4].sum(axis=1).tolist() == annotated.tolist()
    counted = np.concatenate([p.classes[p.scores >= thresholds[p.classes]] for p in predictions])
    assert table[:, :4].sum(axis=0).tolist() == np.bincount(counted, minlength=4).tolist()
    right = matches(truth, predictions, 4, [0.5])
    for number in range(4):
        own = right.of_class(number)
        assert table[number, number] == own.right[0][own.scores >= thresholds[number]].sum()


def test_an_object_belongs_first_to_a_box_of_its_class():
    truth = Truth.of([[0, 0, 20, 20]], [1])
    said = found((0.9, 0, 0, 0, 20, 20), (0.5, 1, 0, 0, 20, 19))
    one = judge(truth, said, np.zeros(2), 0.5)
    assert one.kinds == [Verdict.DUPLICATE, Verdict.RIGHT]


def test_calibration_compares_scores_with_the_share_of_right_boxes():
    boxes = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]]
    truth = [Truth.of(boxes[:3], [0, 0, 0])]
    said = [found(*((0.75, 0, *box) for box in boxes))]
    exact = reliability(matches(truth, said, 1, [0.5]))
    assert exact.error == pytest.approx(0, abs=1e-7)
    assert exact.boxes.tolist() == [0] * 7 + [4, 0, 0]
    boastful = reliability(matches(truth, [found((1.0, 0, *boxes[3]))], 1, [0.5]))
    assert boastful.error == 1
    assert boastful.boxes[9] == 1
    assert reliability(matches(truth, [Detections.none()], 1, [0.5])) is None


def test_the_truth_of_an_image_has_outlines_crowds_and_no_tags():
    shapes = [
        Shape("thistle", Kind.POLYGON, (0, 0, 40, 0, 0, 40)),
        Shape("rape", Kind.RECTANGLE, (10, 10, 50, 30), crowd=True),
        Shape("field", Kind.TAG),
    ]
    truth = truth_of(AnnotatedImage("a.png", 100, 100, shapes), NAMES)
    assert truth.boxes.tolist() == [[0, 0, 40, 40], [10, 10, 50, 30]]
    assert truth.areas.tolist() == [800, 800]
    assert truth.classes.tolist() == [1, 3]
    assert truth.crowd.tolist() == [False, True]
    with pytest.raises(ValueError, match="'thistle', which is not among rape"):
        truth_of(AnnotatedImage("a.png", 100, 100, shapes), ["rape"])
