"""Images with boxes as training sees them, and what a validation of a detector gathers."""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.core.models import build
from components.core.training.detection import Detection
from components.core.training.detection_augmentation import DetectionAugmentation
from components.core.training.detection_examples import DetectionExamples, InputSize, labelled
from components.core.training.options import FitOptions
from components.core.training.schedule import learning_rate

CLASSES = ["low", "high"]
BOXES = ((10.0, 20.0, 40.0, 50.0), (60.0, 30.0, 90.0, 70.0))


def picture(path: Path, *boxes: tuple[float, ...], width: int = 120, height: int = 80) -> Path:
    """Dark, with the boxes in red and green."""
    image = np.full((height, width, 3), 20, np.uint8)
    for place, (left, top, right, bottom) in enumerate(boxes):
        image[int(top) : int(bottom), int(left) : int(right), place] = 230
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])
    return path


def annotated(path: Path, *boxes: tuple[float, ...], crowd: int = -1) -> AnnotatedImage:
    shapes = [
        Shape(CLASSES[n % 2], Kind.RECTANGLE, box, crowd=n == crowd) for n, box in enumerate(boxes)
    ]
    picture(path, *boxes)
    return AnnotatedImage(path.name, 120, 80, shapes, path)


def seen(image: Tensor, channel: int) -> tuple[int, int, int, int]:
    """Where a picture is bright in a channel: left, top, right, bottom."""
    rows, columns = np.nonzero(image[channel].numpy() > 125)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        (InputSize(0, 1333), {}),
        (InputSize(160, 1333), {}),
        (InputSize(160, 180), {}),
        (InputSize(0, 1333), {"flip": True, "flip_vertical": True}),
        (InputSize(160, 1333), {"scale_jitter": 0.5, "flip": True}),
        (InputSize(0, 1333), {"crop": True, "scale_jitter": 0.3}),
    ],
)
def test_boxes_stay_on_what_they_are_around(
    tmp_path: Path, size: InputSize, changes: dict[str, Any]
) -> None:
    examples = labelled([annotated(tmp_path / "a.png", *BOXES)], CLASSES, size)
    change = DetectionAugmentation(0, **changes) if changes else None
    shapes, first = set(), []
    for epoch in range(12):
        batch = DetectionExamples(examples, size, change).batch(epoch, [0])
        image = batch["images"][0]
        assert image.dtype == torch.uint8
        shapes.add(tuple(image.shape))
        for box, label in zip(batch["boxes"][0], batch["labels"][0], strict=True):
            assert box.tolist() == pytest.approx(seen(image, int(label)), abs=1.5)
        first.append(batch["boxes"][0].tolist())
    assert len(shapes) > 1 or not {"scale_jitter", "crop"} & set(changes)
    assert (len({str(boxes) for boxes in first}) > 1) == bool(changes)


def test_size_of_the_input(tmp_path: Path) -> None:
    image = annotated(tmp_path / "a.png", *BOXES)
    for size, wanted in (
        (InputSize(0, 32), (80, 120)),
        (InputSize(160, 1333), (160, 240)),
        (InputSize(160, 180), (120, 180)),
        (InputSize(40, 1333), (40, 60)),
    ):
        batch = DetectionExamples(labelled([image], CLASSES, size), size).batch(0, [0])
        assert tuple(batch["images"][0].shape[1:]) == wanted
        assert batch["scales"][0] == pytest.approx(wanted[0] / 80)


def test_colours_change_and_the_random_numbers_of_others_do_not(tmp_path: Path) -> None:
    size = InputSize(0, 1333)
    examples = labelled([annotated(tmp_path / "a.png", *BOXES)], CLASSES, size)
    change = DetectionAugmentation(3, flip=True, photometric=True, crop=True, scale_jitter=0.2)
    data = DetectionExamples(examples, size, change)
    torch.manual_seed(1)
    alone = torch.rand(1)
    torch.manual_seed(1)
    one = [data.batch(epoch, [0])["images"][0] for epoch in range(6)]
    assert torch.equal(torch.rand(1), alone)
    torch.manual_seed(2)
    again = [data.batch(epoch, [0])["images"][0] for epoch in range(6)]
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    other = DetectionExamples(examples, size, DetectionAugmentation(4, photometric=True))
    colours = {int(other.batch(epoch, [0])["images"][0].sum()) for epoch in range(6)}
    assert len(colours) > 1


def test_tiles_show_what_is_in_them(tmp_path: Path) -> None:
    size = InputSize(0, 1333, 80, 20)
    image = annotated(tmp_path / "a.png", *BOXES, (78.0, 5.0, 100.0, 20.0))
    examples = labelled([image], CLASSES, size)
    tiles = [example.tile for example in examples]
    assert all(tile is not None and tile[2] - tile[0] == 80 for tile in tiles)
    assert {tile[2] for tile in tiles if tile} >= {80, 120}  # all of the image is seen
    data = DetectionExamples(examples, size)
    for number, example in enumerate(examples):
        assert example.tile is not None
        left, _, right, _ = example.tile
        batch = data.batch(0, [number])
        assert batch["images"][0].shape[2] == 80
        wanted = []
        for place, (start, top, end, bottom) in enumerate((*BOXES, (78.0, 5.0, 100.0, 20.0))):
            cut = max(start, left) - left, top, min(end, right) - left, bottom
            if cut[2] - cut[0] >= 0.3 * (end - start):  # not a sliver of it
                wanted.append((place % 2, *cut))
        found = zip(batch["labels"][0].tolist(), batch["boxes"][0].tolist(), strict=True)
        assert [(label, *box) for label, box in found] == wanted


class Told(nn.Module):
    """Finds what it is told, and gives losses of the images' brightness."""

    def __init__(self, found: list[list[tuple[tuple[float, ...], int, float]]]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.norm = nn.BatchNorm2d(3)
        self.dropout = nn.Dropout(0.5)
        self.found = found
        self.targets: list[dict[str, Tensor]] = []

    def forward(self, images: list[Tensor], targets: Any = None) -> Any:
        features = [self.dropout(self.norm(image[None])) for image in images]
        if self.training:
            assert targets is not None
            self.targets += targets
            noise = torch.rand(()) * 1e-3
            return {"loss": self.scale * torch.stack([f.mean() for f in features]).mean() + noise}
        rows = [self.found.pop(0) for _ in images]
        return [
            {
                "boxes": torch.tensor([box for box, _, _ in row]).reshape(-1, 4),
                "labels": torch.tensor([label for _, label, _ in row], dtype=torch.int64),
                "scores": torch.tensor([score for _, _, score in row]),
            }
            for row in rows
        ]


def test_validation_compares_in_stored_pixels_and_changes_nothing(tmp_path: Path) -> None:
    size = InputSize(160, 1333)
    images = [annotated(tmp_path / "a.png", *BOXES), annotated(tmp_path / "b.png")]
    data = DetectionExamples(labelled(images, CLASSES, size), size)
    twice = [tuple(2 * value for value in box) for box in BOXES]
    right = [(twice[1], 2, 0.8), (twice[0], 1, 0.9)]
    network = Told([right, [], right, [(twice[0], 1, 0.99)]])
    task = Detection(network, CLASSES)
    network.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    figures = []
    for _ in range(2):
        task.start_validation()
        for number in range(2):
            task.validate(network, data.batch(0, [number]))
        figures.append(task.validation_metrics())
    assert figures[0]["val_map"] == 1.0
    assert figures[0]["val_map50"] == 1.0
    assert 0 < figures[1]["val_map"] < 1  # a box was found where there is none
    assert figures[0]["val_loss"] == figures[1]["val_loss"]
    assert not any(module.training for module in network.modules())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert network.targets[0]["labels"].tolist() == [1, 2]  # 0 is the background
    assert network.targets[1]["boxes"].shape == (0, 4)


def test_a_validation_in_which_nothing_is_found(tmp_path: Path) -> None:
    size = InputSize(0, 1333)
    data = DetectionExamples(labelled([annotated(tmp_path / "a.png", *BOXES)], CLASSES, size), size)
    network = Told([[]])
    task = Detection(network, CLASSES)
    network.eval()
    task.start_validation()
    task.validate(network, data.batch(0, [0]))
    assert task.validation_metrics()["val_map"] == 0.0


def test_crowds_are_not_learned_and_not_judged(tmp_path: Path) -> None:
    size = InputSize(0, 1333)
    images = [annotated(tmp_path / "a.png", *BOXES, (12.0, 22.0, 30.0, 40.0), crowd=2)]
    (example,) = labelled(images, CLASSES, size)
    assert example.taught == 2
    network = Told([[(BOXES[0], 1, 0.9), (BOXES[1], 2, 0.9), ((12.0, 22.0, 30.0, 40.0), 1, 0.95)]])
    task = Detection(network, CLASSES)
    network.eval()
    task.start_validation()
    task.validate(network, DetectionExamples([example], size).batch(0, [0]))
    assert len(network.targets[0]["boxes"]) == 2
    assert task.validation_metrics()["val_map"] == 1.0


@pytest.mark.parametrize("name", ["faster_rcnn", "retinanet", "fcos"])
def test_real_networks_train_on_images_of_different_sizes(tmp_path: Path, name: str) -> None:
    size = InputSize(0, 1333)
    images = [annotated(tmp_path / "a.png", *BOXES), annotated(tmp_path / "b.png")]
    change = DetectionAugmentation(0, crop=True)
    data = DetectionExamples(labelled(images, CLASSES, size), size, change)
    network = build(name, classes=2, backbone="mobilenet_v3_small", norm="batch", channels=32)
    task = Detection(network, CLASSES)
    network.train()
    for numbers in ([0, 1], [1]):  # the last has nothing on it
        network.zero_grad()
        loss = task.loss(network, data.batch(1, numbers))
        loss.backward()
        assert math.isfinite(float(loss.detach()))
        # else processes that train together would wait for one another
        assert all(p.grad is not None for p in network.parameters() if p.requires_grad)
    network.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    task.start_validation()
    task.validate(network, data.batch(0, [0, 1]))
    figures = task.validation_metrics()
    assert math.isfinite(figures["val_loss"])
    assert 0 <= figures["val_map"] <= 1
    assert all(torch.equal(v, before[name]) for name, v in network.state_dict().items())


@pytest.mark.parametrize("name", ["faster_rcnn", "retinanet", "fcos"])
def test_real_networks_train_in_half_precision(tmp_path: Path, name: str) -> None:
    size = InputSize(0, 1333)
    images = [annotated(tmp_path / "a.png", *BOXES), annotated(tmp_path / "b.png")]
    data = DetectionExamples(labelled(images, CLASSES, size), size)
    network = build(name, classes=2, backbone="mobilenet_v3_small", norm="group", channels=32)
    task = Detection(network, CLASSES)
    exact = float(task.loss(network.train(), data.batch(0, [0, 1])).detach())
    with torch.autocast("cpu", torch.bfloat16):
        loss = task.loss(network, data.batch(0, [0, 1]))
        loss.backward()
        network.eval()
        task.start_validation()
        task.validate(network, data.batch(0, [0, 1]))
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(exact, rel=0.1)
    assert math.isfinite(task.validation_metrics()["val_loss"])


def test_steps_of_the_rate_are_those_of_pytorch() -> None:
    options = FitOptions(epochs=9, learning_rate=0.5, schedule="step", step_size=2, decay=0.3)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    reference = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.3)
    for epoch in range(9):
        for step in range(4):
            found = learning_rate(options, 4 * epoch + step, 4)
            assert found == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        reference.step()
