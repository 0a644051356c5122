"""A data set of painted boxes, its split, a detector's bundle, and what the detector finds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split
from components.core.detection.results import Detections
from components.core.events import Reporter
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.core.stage import Job

CLASSES = ["cleavers", "thistle", "dandelion"]
COLOURS = [(220, 60, 60), (60, 200, 60), (70, 90, 230)]
SIDE = 128
PARTS = {"train": 6, "val": 12, "test": 18}


@dataclass(frozen=True)
class Case:
    """Where everything lies, and what the detector finds on each image."""

    folder: Path
    dataset: DetectionDataset
    split: Split
    found: dict[str, Detections]
    searched: list[str]
    """Names of the images that the detector was asked about, in that order."""

    @property
    def inputs(self) -> dict[str, Path]:
        return {name: self.folder / name for name in ("model", "dataset", "split")}

    @property
    def outputs(self) -> dict[str, Path]:
        places = {name: self.folder / "out" / name for name in ("evaluation", "metrics")}
        return {**places, "report": self.folder / "out" / "report.html"}

    def job(self) -> Job:
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        (self.folder / "out").mkdir(exist_ok=True)
        return Job(self.inputs, self.outputs, work, Reporter("evaluate_detections"))

    def open(self, directory: Path, device: str, batch_size: int, workers: int):
        return Scripted(self)

    def change(self, **fields) -> None:
        """Gives the model's bundle other fields."""
        directory = self.inputs["model"]
        ModelBundle.load(directory).model_copy(update=fields).save(directory)


@dataclass(frozen=True)
class Scripted:
    """Finds what the case says."""

    case: Case

    def predict(self, images):
        for path in images:
            name = path.relative_to(self.case.inputs["dataset"] / "images").as_posix()
            self.case.searched.append(name)
            yield self.case.found[name]


def write_case(
    folder: Path,
    seed: int = 0,
    classes: list[str] | None = None,
    edit: Callable[[AnnotatedImage], AnnotatedImage] | None = None,
) -> Case:
    """Writes it: three boxes an image, every sixth image empty, videos of two images.

    Args:
        folder: of data set, split and model.
        seed: of the boxes and of what is found.
        classes: by default CLASSES; images show the first three.
        edit: changes an image before it is written.
    """
    rng = np.random.default_rng(seed)
    names = classes or CLASSES
    images, parts, found = [], {}, {}
    for part, count in PARTS.items():
        for number in range(count):
            image = _image(folder / "pictures", rng, f"{part}/{number:03}.png", number, names)
            images.append(edit(image) if edit else image)
            parts[image.name] = part
            found[image.name] = _found(rng, images[-1], names)
    dataset = DetectionDataset.write(folder / "dataset", images, names, "test")
    split = Split.create(dataset.fingerprint, parts, {})
    (folder / "split").mkdir()
    split.save(folder / "split")
    (folder / "model").mkdir()
    ModelBundle(
        fingerprint="f" * 64,
        name="resnet18",
        formats={},
        task="object_detection",
        classes=names,
        dataset=dataset.fingerprint,
        split=split.fingerprint,
        training={"epoch": 2, "seed": 0},
        architecture={"name": "fcos", "arguments": {"backbone": "resnet18"}},
        curves=[
            {"epoch": n, "train_loss": 2 / n, "val_loss": 2.5 / n, "val_map": 0.2 * n}
            for n in (1, 2)
        ],
    ).save(folder / "model")
    return Case(folder, dataset, split, found, [])


def _image(folder: Path, rng, name: str, number: int, names: list[str]) -> AnnotatedImage:
    pixels = rng.integers(90, 130, (SIDE, SIDE, 3), dtype=np.uint8)
    shapes = []
    for place in range(0 if number % 6 == 5 else 3):
        kind = int(rng.integers(0, 3))
        left, top = int(rng.integers(4, 60)), 4 + 40 * place
        right, bottom = left + int(rng.integers(18, 60)), top + int(rng.integers(18, 38))
        pixels[top:bottom, left:right] = COLOURS[kind]
        shapes.append(Shape(names[kind], Kind.RECTANGLE, (left, top, right, bottom)))
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    group = f"{name.split('/')[0]} video {number // 2}"
    return AnnotatedImage(name, SIDE, SIDE, shapes, path, "field", group, number)


def _found(rng, image: AnnotatedImage, names: list[str]) -> Detections:
    boxes, scores, classes = [], [], []
    for shape in image.shapes:
        kind = names.index(shape.label)
        chance = rng.random()
        if chance < 0.15:  # missed
            continue
        boxes.append(np.array(shape.points) + rng.normal(0, 2, 4))
        classes.append(int(rng.integers(0, 3)) if chance < 0.3 else kind)
        scores.append(rng.uniform(0.4, 1))
    for _ in range(2):
        left, top = rng.uniform(0, 90, 2)
        boxes.append(np.array([left, top, left + 30, top + 25]))
        classes.append(int(rng.integers(0, 3)))
        scores.append(rng.uniform(0.05, 0.7))
    order = np.argsort(-np.array(scores), kind="stable")
    found = Detections(
        np.array(boxes, np.float32), np.array(scores, np.float32), np.array(classes, np.int64)
    )
    return replace(
        found,
        boxes=found.boxes[order],
        scores=found.scores[order],
        classes=found.classes[order],
    )
