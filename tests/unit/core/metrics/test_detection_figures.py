"""COCO's figures against pycocotools, and matches against a plain reading of its rules."""

import contextlib
import io

import numpy as np
import pytest
from detection_cases import random_case
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from components.core.detection.matching import NOTHING, areas, iou_matrix, match
from components.core.detection.results import Detections
from components.core.metrics.detection import (
    IOUS,
    RECALLS,
    Truth,
    coco_figures,
    mean_average_precision,
)

NAMES = ["cleavers", "thistle", "dandelion", "rape"]
STATS = [
    "map", "map50", "map75", "map_small", "map_medium", "map_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
]  # fmt: skip


def reference(truth, predictions, classes):
    """pycocotools' evaluation of the same."""

    def xywh(box):
        left, top, right, bottom = map(float, box)
        return [left, top, right - left, bottom - top]

    with contextlib.redirect_stdout(io.StringIO()):
        there = COCO()
        there.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(len(truth))],
            "categories": [{"id": c, "name": name} for c, name in enumerate(classes)],
            "annotations": [],
        }
        for image, one in enumerate(truth):
            rows = zip(one.boxes, one.classes, one.crowd, one.areas, strict=True)
            for box, number, crowd, area in rows:
                there.dataset["annotations"].append(
                    {
                        "id": len(there.dataset["annotations"]) + 1,
                        "image_id": image,
                        "category_id": int(number),
                        "bbox": xywh(box),
                        "area": float(area),
                        "iscrowd": int(crowd),
                    }
                )
        there.createIndex()
        results = [
            {
                "image_id": image,
                "category_id": int(number),
                "bbox": xywh(box),
                "score": float(score),
            }
            for image, one in enumerate(predictions)
            for box, number, score in zip(one.boxes, one.classes, one.scores, strict=True)
        ]
        evaluation = COCOeval(there, there.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("seed", range(4))
def test_figures_are_those_of_pycocotools(seed):
    truth, predictions = random_case(seed, images=25, classes=4, crowds=seed % 2 == 1)
    ours = coco_figures(truth, predictions, NAMES)
    theirs = reference(truth, predictions, NAMES)
    for name, value in zip(STATS, theirs.stats, strict=True):
        assert ours.values[name] == pytest.approx(value, abs=1e-9), name
    precision, recall = theirs.eval["precision"], theirs.eval["recall"]
    for number, row in enumerate(ours.classes):
        own = precision[:, :, number]
        expected = {
            "ap": own[:, :, 0, -1], "ap50": own[0, :, 0, -1], "ap75": own[5, :, 0, -1],
            "ap_small": own[:, :, 1, -1], "ap_medium": own[:, :, 2, -1],
            "ap_large": own[:, :, 3, -1], "ar100": recall[:, number, 0, -1],
        }  # fmt: skip
        for name, values in expected.items():
            mean = None if (values < 0).all() else pytest.approx(values.mean(), abs=1e-9)
            assert getattr(row, name) == mean, (row.name, name)
        assert np.abs(ours.precision[number] - own[0, :, 0, -1]).max() < 1e-9
        scores = theirs.eval["scores"][0, :, number, 0, -1]
        assert np.abs(ours.scores[number] - scores).max() < 1e-6
    assert len(RECALLS) == 101
    assert np.allclose(IOUS, theirs.params.iouThrs)


def test_truth_found_exactly_is_worth_one_and_nothing_found_zero():
    truth = [Truth.of([[0, 0, 20, 20], [30, 30, 90, 90]], [0, 1]), Truth.of([], [])]
    exact = [Detections(one.boxes.astype(np.float32), np.full(len(one), 0.9, np.float32),
                        one.classes) for one in truth]  # fmt: skip
    best = coco_figures(truth, exact, NAMES)
    assert [best.values[key] for key in ("map", "map50", "ar100", "map_small")] == [1] * 4
    # Nothing is annotated of two classes, and nothing large at all.
    assert best.undefined["map"] == ["dandelion", "rape"]
    assert best.values["map_large"] is None
    assert best.classes[2].ap is None
    assert [row.annotations for row in best.classes] == [1, 1, 0, 0]
    found = mean_average_precision(truth, [Detections.none()] * 2, NAMES)
    assert found["val_map"] == found["val_map50"] == found["val_ar100"] == 0
    assert "val_map_large" not in found


@pytest.mark.parametrize("images", [0, 3])
def test_without_any_annotation_all_figures_are_undefined(images):
    predictions = [Detections.none()] * images
    found = coco_figures([Truth.of([], [])] * images, predictions, NAMES)
    assert set(found.values.values()) == {None}
    assert found.undefined["map"] == NAMES
    assert np.isnan(found.precision).all()
    assert mean_average_precision([Truth.of([], [])] * images, predictions, NAMES) == {}


def test_boxes_on_negatives_lower_the_precision():
    truth = [Truth.of([[0, 0, 50, 50]], [0]), Truth.of([], [])]
    right = Detections(np.float32([[0, 0, 50, 50]]), np.float32([0.5]), np.int64([0]))
    wrong = Detections(np.float32([[0, 0, 50, 50]]), np.float32([0.9]), np.int64([0]))
    assert coco_figures(truth, [right, Detections.none()], NAMES).values["map"] == 1
    assert coco_figures(truth, [right, wrong], NAMES).values["map"] == pytest.approx(0.5)


def test_areas_of_outlines_decide_on_the_size():
    box, figure = [[0, 0, 40, 40]], {}
    exact = [Detections(np.float32(box), np.float32([0.9]), np.int64([0]))]
    for area in (1600.0, 900.0):
        figure[area] = coco_figures([Truth.of(box, [0], areas=[area])], exact, NAMES).values
    assert figure[1600.0]["map_medium"] == 1
    assert figure[1600.0]["map_small"] is None
    assert figure[900.0]["map_medium"] is None
    assert figure[900.0]["map_small"] == 1


def test_what_does_not_belong_together_is_refused():
    one = Truth.of([[0, 0, 9, 9]], [4])
    with pytest.raises(ValueError, match="1 images are annotated, 0 have predictions"):
        coco_figures([one], [], NAMES)
    with pytest.raises(ValueError, match="annotations of class 4: there are 0 to 3"):
        coco_figures([one], [Detections.none()], NAMES)
    padding = Detections(np.zeros((1, 4), np.float32), np.zeros(1, np.float32), np.int64([-1]))
    with pytest.raises(ValueError, match="predictions of class -1"):
        coco_figures([Truth.of([], [])], [padding], NAMES)


def test_overlaps():
    a = [[0, 0, 10, 10], [20, 20, 30, 30], [5, 5, 5, 9]]
    b = [[0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 100, 100]]
    expected = [[1, 1 / 3, 0.01], [0, 0, 0.01], [0, 0, 0]]
    assert iou_matrix(a, b) == pytest.approx(np.array(expected))
    assert iou_matrix(a, b, [False, False, True])[:2, 2].tolist() == [1, 1]
    assert iou_matrix([], b).shape == (0, 3)
    assert areas([[4, 4, 1, 9]]).tolist() == [0]


def test_the_surest_box_takes_its_object_and_crowds_take_any_number():
    overlaps = np.array([[0.6, 0.5, 0.0], [0.9, 0.4, 0.0], [0.55, 0.7, 0.9], [0.0, 0.0, 0.8]])
    crowd = [False, False, True]
    found = match(overlaps, [0.5, 0.65], crowd)
    assert found.tolist() == [[0, NOTHING, 1, 2], [NOTHING, 0, 1, 2]]
    assert match(overlaps, [0.5], None).tolist() == [[0, NOTHING, 2, NOTHING]]


def by_the_book(overlaps, level, crowd):
    """COCO's loop over one image, class and threshold."""
    order = sorted(range(overlaps.shape[1]), key=lambda place: crowd[place])
    taken, found = set(), []
    for row in overlaps:
        best, at = level, NOTHING
        for place in order:
            if place in taken and not crowd[place]:
                continue
            if at != NOTHING and not crowd[at] and crowd[place]:
                break
            if row[place] >= best:
                best, at = row[place], place
        taken.add(at)
        found.append(at)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_matches_follow_cocos_loop(seed):
    rng = np.random.default_rng(seed)
    overlaps = np.round(rng.random((12, 6)), 1)  # with many ties
    crowd = rng.random(6) < 0.3
    found = match(overlaps, IOUS, crowd)
    assert found.tolist() == [by_the_book(overlaps, level, crowd) for level in IOUS]
