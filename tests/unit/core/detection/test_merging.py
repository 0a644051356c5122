"""Detections on tiles become detections on the image, each object once."""

import numpy as np
import pytest

from components.core.detection.merging import merged, suppressed
from components.core.detection.preprocessing import tiles
from components.core.detection.results import Detections

SIDE, OVERLAP = 100, 30


def detections(*rows):
    """Rows: left, top, right, bottom, score, class."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(
        table[:, :4].astype(np.float32),
        table[:, 4].astype(np.float32),
        table[:, 5].astype(np.int64),
    )


def seen(objects, width, height, smallest=4):
    """What a perfect detector finds on each tile: the visible part of every object."""
    places = tiles(width, height, SIDE, OVERLAP)
    found = []
    for left, top, right, bottom in places:
        rows = []
        for number, (x1, y1, x2, y2, kind) in enumerate(objects):
            box = [max(x1, left), max(y1, top), min(x2, right), min(y2, bottom)]
            if box[2] - box[0] >= smallest and box[3] - box[1] >= smallest:
                shown = [box[0] - left, box[1] - top, box[2] - left, box[3] - top]
                rows.append([*shown, 0.9 - 0.01 * number, kind])
        found.append(detections(*rows))
    return found, places


@pytest.mark.parametrize("seed", range(16))
def test_each_object_is_found_once_wherever_it_lies(seed):
    """Objects apart from each other, some across borders and corners of tiles, some larger."""
    rng = np.random.default_rng(seed)
    width, height = 310, 240
    objects = []
    for _ in range(200):
        x, y = rng.uniform(0, width - 15), rng.uniform(0, height - 15)
        box = [x, y, min(x + rng.uniform(10, 90), width), min(y + rng.uniform(10, 90), height)]
        apart = all(
            box[0] > o[2] + 6 or box[2] < o[0] - 6 or box[1] > o[3] + 6 or box[3] < o[1] - 6
            for o in objects
        )
        if apart and min(box[2] - box[0], box[3] - box[1]) > 8:
            objects.append([*box, int(rng.integers(0, 2))])
    assert len(objects) > 8
    found = merged(*seen(objects, width, height), 0.5)
    assert len(found) == len(objects)
    order = np.lexsort(found.boxes.T)
    expected = np.array(objects)
    expected = expected[np.lexsort(expected[:, :4].T)]
    np.testing.assert_allclose(found.boxes[order], expected[:, :4], atol=1e-3)
    np.testing.assert_array_equal(found.classes[order], expected[:, 4])


def test_an_object_larger_than_a_tile_becomes_one():
    found = merged(*seen([[20, 30, 300, 60, 1]], 320, 100), 0.5)
    np.testing.assert_allclose(found.boxes, [[20, 30, 300, 60]])


def test_a_cut_box_does_not_stand_beside_the_whole_one_whatever_its_score():
    places = [(0, 0, 100, 100), (70, 0, 170, 100)]
    left = detections([75, 20, 100, 60, 0.95, 0])  # ends at its tile's border
    right = detections([5, 20, 60, 60, 0.6, 0])
    found = merged([left, right], places, 0.5)
    np.testing.assert_allclose(found.boxes, [[75, 20, 130, 60]])


def test_a_box_at_the_edge_of_the_image_is_not_cut():
    places = [(0, 0, 100, 100), (70, 0, 170, 100)]
    inner = detections([0, 10, 20, 30, 0.9, 0], [0, 0, 60, 80, 0.8, 0])
    found = merged([inner, Detections.none()], places, 0.5)
    assert len(found) == 2


def test_boxes_of_other_classes_are_left_alone():
    places = [(0, 0, 100, 100), (70, 0, 170, 100)]
    left = detections([75, 20, 100, 60, 0.95, 0])
    right = detections([5, 20, 60, 60, 0.6, 1])
    found = merged([left, right], places, 0.5)
    assert sorted(found.classes.tolist()) == [0, 1]


def test_neighbours_that_are_not_aligned_are_not_joined():
    places = [(0, 0, 100, 100), (70, 0, 170, 100)]
    left = detections([50, 10, 100, 40, 0.9, 0])
    right = detections([0, 60, 60, 90, 0.9, 0])
    assert len(merged([left, right], places, 0.5)) == 2


def test_nothing_found_is_nothing():
    assert len(merged([Detections.none()] * 2, [(0, 0, 9, 9), (5, 0, 14, 9)], 0.5)) == 0


def test_suppression_agrees_with_torchvision():
    import torch
    from torchvision.ops import batched_nms

    rng = np.random.default_rng(2)
    corner = rng.uniform(0, 100, (300, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 50, (300, 2))], 1).astype(np.float32)
    found = Detections(boxes, rng.random(300).astype(np.float32), rng.integers(0, 3, 300))
    tensors = (torch.from_numpy(part) for part in (found.boxes, found.scores, found.classes))
    kept = batched_nms(*tensors, 0.4).numpy()
    np.testing.assert_array_equal(suppressed(found, 0.4).boxes, found.boxes[kept])
