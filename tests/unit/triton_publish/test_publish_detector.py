"""Publishing detectors: layout, card, versions, refusals."""

import json
import shutil

import numpy as np
import onnxruntime
import pytest
from detector_bundles import CLASSES
from published_detectors import publish, write_models

from components.core.artifacts.model_bundle import ModelBundle
from components.core.detection.bundles import Preprocessing, tensors
from components.core.errors import InputError
from components.core.formats import triton
from components.core.formats.triton import parse_config
from components.core.model_repository import ModelRepository
from components.triton_publish.reference import random_batch
from components.triton_publish.stage import STAGE, PublishSettings


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detectors")
    write_models(folder)
    return folder


def test_a_repository_holds_graph_configuration_labels_and_card(models, tmp_path):
    published = publish(models, tmp_path / "out", repository=str(tmp_path / "repository"))
    assert (published.model, published.version, published.reused) == ("weeds", 1, False)
    folder = tmp_path / "repository" / "weeds"
    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == {
        "config.pbtxt",
        "labels.txt",
        "1/model.onnx",
        "1/model_card.json",
        "1/README.md",
    }
    assert (folder / "labels.txt").read_text().splitlines() == list(CLASSES)
    config = parse_config((folder / "config.pbtxt").read_text(), "config.pbtxt")
    assert [(t.name, list(t.dims)) for t in config.input] == [("image", [3, -1, -1])]
    assert {t.name: list(t.dims) for t in config.output} == {
        "boxes": [20, 4],
        "scores": [20],
        "labels": [20],
    }
    assert {t.name: t.label_filename for t in config.output} == {
        "boxes": "",
        "scores": "",
        "labels": "labels.txt",
    }
    assert config.max_batch_size == 8
    assert config.backend == "onnxruntime"
    assert config.HasField("dynamic_batching")


def test_the_card_tells_how_good_each_class_is_and_where_it_comes_from(models, tmp_path):
    publish(models, tmp_path / "out", repository=str(tmp_path / "repository"))
    card = json.loads((tmp_path / "out" / "model_card.json").read_text())
    told = json.loads((models / "first evaluation" / "metrics.json").read_text())
    index = json.loads((models / "first evaluation" / "index.json").read_text())
    bundle = ModelBundle.load(models / "first")
    assert card["data"] == {
        "images": bundle.dataset,
        "split": bundle.split,
        "evaluated": index["dataset"],
    }
    section = card["evaluation"]
    assert section["figures"] == told["figures"]
    assert section["thresholds"] == index["thresholds"]
    assert list(section["classes"]) == list(CLASSES)
    for one in told["classes"]:
        assert section["classes"][one["name"]]["ap50"] == one["ap50"]
    text = (tmp_path / "out" / "README.md").read_text()
    assert text.startswith("# weeds\n\nObject detection, 3 classes: weed, crop, stone.\n")
    assert f"On {told['images']} images of {told['groups']} recordings" in text
    assert "resized so that the shorter side has 64 pixels, the longer at most 128" in text
    for name, threshold in index["thresholds"].items():
        assert f"- {name}: {threshold:.3f}" in text
    version = ModelRepository(str(tmp_path / "repository"), "weeds").versions()[0]
    assert (version.bundle, version.data) == (bundle.fingerprint, bundle.dataset)


def test_the_same_model_is_not_published_twice_and_another_is_a_new_version(models, tmp_path):
    settings = {"repository": str(tmp_path / "repository")}
    first = publish(models, tmp_path / "a", **settings)
    again = publish(models, tmp_path / "b", **settings)
    second = publish(models, tmp_path / "c", "second", **settings)
    assert [(p.version, p.reused) for p in (first, again, second)] == [
        (1, False),
        (1, True),
        (2, False),
    ]


def test_other_classes_and_another_number_of_boxes_are_refused(models, tmp_path):
    settings = {"repository": str(tmp_path / "repository")}
    publish(models, tmp_path / "a", **settings)
    changed = tmp_path / "changed"
    for name, fields, message in (
        ("classes", {"classes": ["weed", "stone", "crop"]}, "labels are others"),
        ("rows", tensors(30), r"outputs are boxes TYPE_FP32 \[20, 4\]"),
    ):
        shutil.copytree(models / "first", changed / name)
        shutil.copytree(models / "first evaluation", changed / f"{name} evaluation")
        bundle = ModelBundle.load(changed / name)
        bundle.model_copy(update=fields).save(changed / name)
        before = sorted((tmp_path / "repository").rglob("*"))
        with pytest.raises(InputError, match=message):
            publish(changed, tmp_path / name, name, **settings)
        assert sorted((tmp_path / "repository").rglob("*")) == before


def test_an_evaluation_of_another_model_is_refused(models, tmp_path):
    with pytest.raises(InputError, match="the evaluation is that of another model"):
        STAGE.execute(
            PublishSettings(),
            {"model": models / "first", "evaluation": models / "second evaluation"},
            {"published": tmp_path / "out"},
            tmp_path / "state",
        )


def test_a_detector_kept_as_weights_is_exported(models, tmp_path):
    publish(models, tmp_path / "out", "weights", repository=str(tmp_path / "repository"))
    graph = tmp_path / "repository" / "weeds" / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(str(graph))
    image = np.random.default_rng(0).random((2, 3, 70, 90), np.float32)
    assert [found.shape for found in session.run(None, {"image": image})] == [
        (2, 20, 4),
        (2, 20),
        (2, 20),
    ]
    assert sorted(p.name for p in (models / "weights").iterdir()) == [
        "model.json",
        "weights.safetensors",
    ]


@pytest.mark.parametrize(
    ("preprocessing", "side"),
    [
        (Preprocessing(min_size=96, max_size=200), 96),
        (Preprocessing(tile_size=128, tile_overlap=8), 128),
        (Preprocessing(min_size=800, max_size=1333), 640),
        (Preprocessing(), 640),
    ],
)
def test_a_detector_is_compared_on_images_of_about_its_size(models, preprocessing, side):
    bundle = ModelBundle.load(models / "first")
    bundle = bundle.model_copy(update={"preprocessing": preprocessing.model_dump()})
    batch = random_batch(bundle, 2)["image"]
    assert batch.shape == (2, 3, side, side)
    assert batch.dtype == np.float32
    assert 0 <= batch.min() < 0.2 < 0.8 < batch.max() <= 1


def test_outputs_of_as_many_rows_as_classes_get_no_labels():
    boxes, scores, labels = tensors(3)["outputs"]
    assert [triton.is_labelled(one, 3) for one in (boxes, scores, labels)] == [False, False, True]
