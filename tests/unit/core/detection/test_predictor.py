"""Detections come back in order, in pixels of the image, whatever was done to it on the way."""

import threading

import numpy as np
import pytest
from detector_bundles import CLASSES, write_detector
from PIL import Image

from components.core.artifacts.model_bundle import ModelBundle
from components.core.detection.bundles import TASK, Preprocessing, tensors
from components.core.detection.predictor import Predictor
from components.core.errors import InputError

SIZES = [(100, 140), (64, 64), (100, 140), (90, 201), (64, 64), (100, 140), (64, 64)]


def bundle(**preprocessing):
    return ModelBundle(
        fingerprint="f",
        name="bright",
        formats={},
        task=TASK,
        classes=["bright"],
        preprocessing=Preprocessing(**preprocessing).model_dump(),
        **tensors(4),
    )


class Bright:
    """Finds the bright rectangle of each image, as a network would: in pixels of its input."""

    def __init__(self):
        self.batches = []

    def __call__(self, images):
        self.batches.append(images.shape)
        boxes = np.zeros((len(images), 4, 4), np.float32)
        scores = np.zeros((len(images), 4), np.float32)
        labels = np.full((len(images), 4), -1)
        for number, image in enumerate(images):
            down, across = np.nonzero(image.min(axis=0) > 127)
            if len(down) > 8:
                boxes[number, 0] = across.min(), down.min(), across.max() + 1, down.max() + 1
                scores[number, 0], labels[number, 0] = 0.9, 0
        return boxes, scores, labels


def write_images(folder, sizes=SIZES):
    rng = np.random.default_rng(0)
    paths, boxes = [], []
    for number, (height, width) in enumerate(sizes):
        pixels = np.full((height, width, 3), 20, np.uint8)
        left, top = rng.integers(2, width // 3), rng.integers(2, height // 3)
        right, bottom = left + rng.integers(20, width // 2), top + rng.integers(20, height // 2)
        pixels[top:bottom, left:right] = 250
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
        boxes.append([left, top, right, bottom])
    return paths, np.array(boxes, np.float32)


@pytest.mark.parametrize(
    ("preprocessing", "accuracy"),
    [
        ({}, 0),
        ({"min_size": 200, "max_size": 300}, 1),
        ({"min_size": 40, "max_size": 60}, 2.5),
        ({"tile_size": 48, "tile_overlap": 16}, 0),
        ({"tile_size": 64, "tile_overlap": 20, "min_size": 128, "max_size": 200}, 1),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_boxes_are_where_the_objects_are(preprocessing, accuracy, batch_size, tmp_path):
    paths, boxes = write_images(tmp_path)
    predictor = Predictor(bundle(**preprocessing), Bright(), "here", batch_size, workers=2)
    found = list(predictor.predict(paths))
    assert [len(one) for one in found] == [1] * len(paths)
    np.testing.assert_allclose([one.boxes[0] for one in found], boxes, atol=accuracy)
    assert {one.boxes.dtype for one in found} == {np.dtype(np.float32)}


def test_inputs_of_one_size_run_together_and_no_image_is_left_out(tmp_path):
    paths, _ = write_images(tmp_path)
    run = Bright()
    assert len(list(Predictor(bundle(), run, "here", 3, 2).predict(paths))) == 7
    assert sorted(run.batches) == [(1, 3, 90, 201), (3, 3, 64, 64), (3, 3, 100, 140)]
    run = Bright()
    one = Predictor(bundle(tile_size=32), run, "here", 5, 2)
    list(one.predict(paths[:1]))
    assert sum(shape[0] for shape in run.batches) == 4 * 5
    assert max(shape[0] for shape in run.batches) == 5


def test_images_of_ever_other_sizes_do_not_pile_up(tmp_path):
    paths, _ = write_images(tmp_path, [(60 + n, 70 + n) for n in range(40)])
    run, asked = Bright(), []

    def given():
        for path in paths:
            asked.append(path)
            yield path

    found = Predictor(bundle(), run, "here", 2, 2).predict(given())
    next(found)
    assert len(asked) < 20
    assert len(list(found)) == 39


def test_a_bundle_finds_the_same_with_onnxruntime_and_with_pytorch(tmp_path):
    paths, _ = write_images(tmp_path, SIZES[:3])
    write_detector(tmp_path / "both", network="faster_rcnn")
    write_detector(tmp_path / "weights", network="faster_rcnn", onnx=False)
    one, other = (
        list(Predictor.load(tmp_path / name, "cpu", batch_size=2).predict(paths))
        for name in ("both", "weights")
    )
    for first, second in zip(one, other, strict=True):
        assert len(first) > 0
        np.testing.assert_allclose(first.scores, second.scores, atol=1e-4)
        np.testing.assert_allclose(first.boxes, second.boxes, atol=0.1)
        np.testing.assert_array_equal(first.classes, second.classes)
        assert (np.diff(first.scores) <= 0).all()
        assert first.boxes.min() >= 0
        assert first.classes.max() < len(CLASSES)


def test_batches_change_nothing(tmp_path):
    paths, _ = write_images(tmp_path)
    write_detector(tmp_path / "model")
    single, together = (
        list(Predictor.load(tmp_path / "model", "cpu", size, workers=1).predict(paths))
        for size in (1, 4)
    )
    for one, other in zip(single, together, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)


def test_a_damaged_image_is_told_and_ends_the_threads(tmp_path):
    paths, _ = write_images(tmp_path)
    paths[3].write_bytes(b"no image")
    before = threading.active_count()
    with pytest.raises(InputError, match=r"3\.png is no readable image"):
        list(Predictor(bundle(), Bright(), "here", 2, 2).predict(paths))
    assert threading.active_count() == before


def test_no_images_are_no_detections():
    assert list(Predictor(bundle(), Bright(), "here").predict([])) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "clip_classification"}, "is for clip_classification, expected object_detection"),
        ({"preprocessing": {"frames": 3}}, "preprocessing, frames: .*; accepted are min_size"),
        ({"formats": {}}, "neither an ONNX graph nor safetensors weights"),
    ],
)
def test_a_bundle_that_is_no_usable_detector_is_told(change, message, tmp_path):
    written = write_detector(tmp_path / "model")
    written.model_copy(update=change).save(tmp_path / "model")
    with pytest.raises(InputError, match=message):
        Predictor.load(tmp_path / "model", "cpu")


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_is_not_here_is_told(device, tmp_path):
    write_detector(tmp_path / "model")
    with pytest.raises(InputError, match="device: "):
        Predictor.load(tmp_path / "model", device)


def test_a_damaged_graph_is_told(tmp_path):
    write_detector(tmp_path / "model")
    (tmp_path / "model" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(InputError, match=r"model\.onnx cannot be loaded by onnxruntime"):
        Predictor.load(tmp_path / "model", "cpu")
