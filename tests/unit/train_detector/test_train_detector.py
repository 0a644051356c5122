"""The stage on small images of shapes: what it publishes, and what it refuses."""

from __future__ import annotations

import csv
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from shapes_dataset import shapes_dataset
from torch import nn

from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split
from components.core.errors import ProblemsError, SettingsError
from components.core.events import Reporter
from components.core.formats import voc
from components.core.models.bundle import load_network, save_weights
from components.core.settings import build
from components.train_detector.checks import check_inputs
from components.train_detector.component import train_detector
from components.train_detector.networks import architecture_of, make_network
from components.train_detector.stage import STAGE, TrainDetectorSettings
from components.train_detector.training import describe, prepare
from pipelines.demo_shapes import CLASSES

TINY: dict[str, Any] = {
    "variants": "fcos:mobilenet_v3_small",
    "channels": 32,
    "min_size": 0,
    "epochs": 2,
    "batch_size": 3,
    "learning_rate": 0.001,
    "max_boxes": 20,
    "device": "cpu",
}

TWO = "fcos:mobilenet_v3_small, retinanet:mobilenet_v3_small"


class Told(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("train_detector", "silent")
        self.lines: list[str] = []
        self.steps: list[int | None] = []

    def message(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(text)

    def metrics(self, values: Any, step: int | None = None) -> None:
        self.steps.append(step)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    dataset, split = shapes_dataset(tmp_path_factory.mktemp("data"))
    return {"dataset": dataset, "split": split}


def run(
    inputs: dict[str, Path], folder: Path, report: Reporter | None = None, **changes: Any
) -> dict[str, dict[str, Any]]:
    settings = build(TrainDetectorSettings, {**TINY, **changes})
    outputs = {"model": folder / "model"}
    return STAGE.execute(settings, inputs, outputs, folder / "state", report)


@pytest.fixture(scope="module")
def trained(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    own = "retinanet:mobilenet_v3_small: learning_rate=0.002"
    metadata = run(inputs, folder, variants=TWO, variant_settings=own, keep_every=1)
    assert metadata["model"]["variant"] in TWO.split(", ")
    assert metadata["model"]["val_map"] >= 0
    return folder / "model"


def test_the_bundle_is_that_of_the_best_variant(trained: Path, inputs: dict[str, Path]) -> None:
    bundle = ModelBundle.load(trained)
    assert bundle.task == "object_detection"
    assert bundle.classes == list(CLASSES)
    assert bundle.dataset == DetectionDataset.load(inputs["dataset"]).fingerprint
    assert bundle.split == Split.load(inputs["split"]).fingerprint
    assert set(bundle.formats) == {"safetensors", "onnx"}
    assert bundle.file(trained, "onnx").is_file()
    assert [tensor.name for tensor in bundle.outputs] == ["boxes", "scores", "labels"]
    assert bundle.outputs[0].shape == [-1, 20, 4]
    assert bundle.preprocessing["min_size"] == 0
    assert bundle.architecture["arguments"]["norm"] == "group"
    both = [ModelBundle.load(path) for path in sorted((trained / "variants").iterdir())]
    assert len(both) == 2
    best = max(both, key=lambda one: one.metrics["val_map"])
    assert bundle.metrics == best.metrics
    assert bundle.training["epoch"] == best.training["epoch"]
    own, theirs = (load_file(place / "weights.safetensors") for place in (
        trained, trained / "variants" / best.name
    ))  # fmt: skip
    assert all(torch.equal(own[name], theirs[name]) for name in theirs)
    assert [bundle.training["learning_rate"] for bundle in both] == [0.001, 0.002]


def test_the_network_comes_back(trained: Path) -> None:
    network = load_network(trained)
    with torch.no_grad():
        (found,) = network([torch.rand(3, 64, 64)])
    assert found["boxes"].shape[1] == 4


def test_what_lies_beside(trained: Path) -> None:
    with open(trained / "comparison.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == TWO.split(", ")
    assert sorted(row["best"] for row in rows) == ["0", "1"]
    assert all(float(row["val_map"]) >= 0 for row in rows)
    found = json.loads((trained / "retinanet_mobilenet_v3_small_settings.json").read_text())
    assert found["lr"] == 0.002
    assert {"weight_decay", "momentum", "step_size", "gamma", "best_value"} <= set(found)
    for variant in (trained / "variants").iterdir():
        assert (variant / "log" / "log.csv").read_text().count("\n") == 3
        assert ModelBundle.load(variant / "last").training["epoch"] == 2
        assert {path.name for path in (variant / "checkpoints").iterdir()} == {"0001", "0002"}
    assert list((trained / "log" / "tensorboard").glob("events*"))


def test_epochs_of_the_second_variant_count_on(inputs: dict[str, Path], tmp_path: Path) -> None:
    told = Told()
    seen: list[int | None] = []
    from components.train_detector import training

    class Kept(training.Continued):
        def metrics(self, values: Any, step: int | None = None) -> None:
            seen.append(None if step is None else step + self._before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Continued", Kept)
        run(inputs, tmp_path, told, variants=TWO, epochs=1)
    assert told.steps == [1]
    assert seen == [2]
    assert any("variant 1 of 2: fcos:mobilenet_v3_small" in line for line in told.lines)
    assert any("the best of 2 variants is" in line for line in told.lines)


def test_tiles_and_other_sizes(inputs: dict[str, Path], tmp_path: Path) -> None:
    changes = {"tile_size": 48, "tile_overlap": 8, "negatives": False, "epochs": 1, "workers": 1}
    told = Told()
    run(inputs, tmp_path, told, crop=True, flip_vertical=True, scale_jitter=0.2, **changes)
    bundle = ModelBundle.load(tmp_path / "model")
    assert bundle.preprocessing == {
        "min_size": 0,
        "max_size": 0,
        "tile_size": 48,
        "tile_overlap": 8,
        "size_divisor": 32,
    }
    assert any("without boxes are left out" in line for line in told.lines)


def test_pretrained_weights_keep_what_is_frozen(inputs: dict[str, Path], tmp_path: Path) -> None:
    settings = build(TrainDetectorSettings, {**TINY, "batch_norm": "train"})
    (variant,) = settings.parsed()
    architecture = architecture_of(settings, variant, len(CLASSES) + 2)
    first, _ = make_network(settings, architecture)
    save_weights(tmp_path / "first.safetensors", first)
    told = Told()
    run(
        inputs,
        tmp_path,
        told,
        pretrained=str(tmp_path / "first.safetensors"),
        trainable_layers=0,
        epochs=1,
    )
    bundle = ModelBundle.load(tmp_path / "model")
    assert bundle.architecture["arguments"]["norm"] == "frozen"
    assert any("head for" in line for line in told.lines)
    before = first.state_dict()
    after = load_file(tmp_path / "model" / "weights.safetensors")
    kept = [name for name in after if name.startswith("backbone.body.")]
    assert kept
    assert all(torch.equal(after[name], before[name]) for name in kept)
    assert any(not torch.equal(after[k], before[k]) for k in after if k.startswith("backbone.fpn"))


def test_weights_that_do_not_fit_are_refused_before_anything_is_trained(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    save_weights(tmp_path / "other.safetensors", nn.Linear(2, 2))
    with pytest.raises(SettingsError, match=r"fcos:mobilenet_v3_small: the weights in .* do not"):
        run(inputs, tmp_path, pretrained=str(tmp_path / "other.safetensors"))


def test_photographs(shared_data: Path, tmp_path: Path) -> None:
    found = voc.read(shared_data / "bccd_voc")
    images = [image for image in found.images if image.path][:10]
    index = DetectionDataset.write(tmp_path / "dataset", images, sorted(found.labels))
    parts = {image.name: "val" if n < 2 else "train" for n, image in enumerate(images)}
    Split.create(index.fingerprint, parts, {}).save(tmp_path / "split")
    inputs = {"dataset": tmp_path / "dataset", "split": tmp_path / "split"}
    run(
        inputs, tmp_path, min_size=96, epochs=1, batch_size=4, variants="faster_rcnn:regnet_y_400mf"
    )
    bundle = ModelBundle.load(tmp_path / "model")
    assert bundle.classes == ["Platelets", "RBC", "WBC"]
    assert bundle.preprocessing["min_size"] == 96


def refused(inputs: dict[str, Path], split: Split | None = None, **changes: Any) -> str:
    settings = build(TrainDetectorSettings, {**TINY, **changes})
    index = DetectionDataset.load(inputs["dataset"])
    images = index.images(inputs["dataset"])
    with pytest.raises(SettingsError) as caught:
        check_inputs(settings, index, images, split or Split.load(inputs["split"]))
    return str(caught.value)


def test_problems_are_told_together(inputs: dict[str, Path]) -> None:
    text = refused(inputs, batch_size=1, batch_norm="train", precision="fp16")
    assert "batch_norm: train needs more than one image" in text
    assert "precision: 'fp16' needs a GPU" in text


def test_a_batch_of_more_than_there_is_holds_all(inputs: dict[str, Path], tmp_path: Path) -> None:
    told = Told()
    metadata = run(inputs, tmp_path, told, batch_size=99, epochs=1)
    line = "batch_size: 99 is more than the 8 training images; all of them are one batch"
    assert line in told.lines
    assert metadata["model"]["epoch"] == 1


def test_what_is_trained_is_told(inputs: dict[str, Path]) -> None:
    def told(**changes: Any) -> str:
        settings = build(TrainDetectorSettings, {**TINY, **changes})
        prepared = prepare(settings, inputs["dataset"], inputs["split"], Told())
        (variant,) = settings.parsed()
        network, _ = make_network(settings, prepared.parts.architectures[variant.name])
        return describe(prepared, variant, network)

    index, split = DetectionDataset.load(inputs["dataset"]), Split.load(inputs["split"])
    images = [i for i in index.images(inputs["dataset"]) if split.parts.get(i.name) == "train"]
    boxes = sum(len(image.shapes) for image in images)
    assert f"group normalisation, short side 64 pixels; 8 images with {boxes} boxes" in told(
        min_size=64
    )
    assert f", size as stored; 8 images with {boxes} boxes" in told(min_size=0)
    tiles = told(min_size=64, tile_size=48, tile_overlap=16)
    # a box that two tiles show is one box, and min_size has no effect
    assert re.search(
        rf", tiles of 48 pixels, as stored; 8 images in \d+ tiles with {boxes} b", tiles
    )


def test_splits_that_cannot_be_used(inputs: dict[str, Path]) -> None:
    index = DetectionDataset.load(inputs["dataset"])
    images = index.images(inputs["dataset"])
    assert "split this data set" in refused(inputs, Split.create("b" * 64, {"a": "train"}, {}))
    nobody = Split.create(index.fingerprint, {image.name: "train" for image in images}, {})
    assert "no image is of the val part" in refused(inputs, nobody)
    bare = {image.name: "val" if image.shapes else "train" for image in images}
    assert "no image of the train part has a box" in refused(
        inputs, Split.create(index.fingerprint, bare, {})
    )


def test_what_cannot_be_learned_is_told(inputs: dict[str, Path]) -> None:
    index = DetectionDataset.load(inputs["dataset"])
    images = [
        image for image in index.images(inputs["dataset"])
        if all(shape.label != "disc" for shape in image.shapes)
    ]  # fmt: skip
    changes = {"variants": "retinanet:mobilenet_v3_small", "batch_size": 1, "min_size": 32}
    settings = build(TrainDetectorSettings, {**TINY, **changes})
    parts = check_inputs(settings, index, images, Split.load(inputs["split"]))
    text = "\n".join(parts.remarks)
    assert "no training box of class 'disc'" in text
    assert "its smallest anchors have 32" in text


def test_the_component_has_the_settings(inputs: dict[str, Path]) -> None:
    given = inspect.signature(train_detector.python_func).parameters
    fields = TrainDetectorSettings.model_fields
    assert list(given)[4:] == list(fields)
    assert {n: p.default for n, p in list(given.items())[4:]} == {
        name: field.default for name, field in fields.items()
    }


def test_the_outside_world_is_looked_at_first(inputs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"/no/weights\.pt does not exist"):
        run(inputs, tmp_path, pretrained="/no/weights.pt")
