"""Publishing renderers into a model repository, and what check_changes makes of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rendered_scene import scene, synced
from trained_renderers import Told, evaluated

from components.check_changes.stage import STAGE as CHECK
from components.check_changes.stage import CheckSettings
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.publication import Publication
from components.core.artifacts.renderings import RenderingDataset
from components.core.formats.triton import parse_config
from components.core.model_repository import ModelRepository
from components.triton_publish.evaluated import Servable
from components.triton_publish.reference import random_batch, reference
from components.triton_publish.stage import STAGE, PublishSettings


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    return synced(scene(folder / "scene"), folder / "synced")


@pytest.fixture(scope="module")
def inputs(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return evaluated(frames, tmp_path_factory.mktemp("trained"))


def publish(inputs: dict[str, Path], place: Path, **changes: Any) -> Publication:
    settings = PublishSettings(
        model_name="hall", repository=str(place.parent / "models"), **changes
    )
    STAGE.execute(settings, inputs, {"published": place}, place.parent / "state", Told())
    return Publication.load(place)


def test_a_renderer_is_a_model_of_the_repository(
    inputs: dict[str, Path], frames: Path, tmp_path: Path
) -> None:
    first, second = publish(inputs, tmp_path / "one"), publish(inputs, tmp_path / "two")
    assert (first.version, first.reused) == (1, False)
    assert (second.version, second.reused) == (1, True)
    folder = tmp_path / "models" / "hall"
    config = parse_config((folder / "config.pbtxt").read_text(), "config")
    names = [one.name for one in config.input]
    assert names[:5] == ["level0", "level1", "level2", "level3", "aux1"]
    assert [list(one.dims) for one in config.input][-1] == [3, -1, -1]
    assert [(one.name, list(one.dims)) for one in config.output] == [("picture", [3, -1, -1])]
    assert config.backend == "onnxruntime"
    assert {p.name for p in (folder / "1").iterdir()} == {
        "model.onnx",
        "model_card.json",
        "README.md",
    }
    card = json.loads((folder / "1" / "model_card.json").read_text())
    assert card["data"]["frames"] == RenderingDataset.load(frames).fingerprint
    text = (folder / "1" / "README.md").read_text()
    assert "View synthesis." in text
    assert "1 whole frame (test part)" in text
    (version,) = ModelRepository(str(tmp_path / "models"), "hall").versions()
    assert version.data == RenderingDataset.load(frames).fingerprint


def test_the_random_batch_fits_the_network(inputs: dict[str, Path]) -> None:
    bundle = ModelBundle.load(inputs["model"])
    batch = random_batch(bundle, 2)
    assert {name: value.shape[2:] for name, value in batch.items()}["level2"] == (8, 12)
    model = Servable(inputs["model"], bundle, "onnx", bundle.file(inputs["model"], "onnx"))
    who, compute = reference(model)
    assert who == "onnxruntime"
    assert compute(batch)["picture"].shape == (2, 3, 32, 48)


def test_a_renderer_that_was_kept_as_weights_is_exported(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    only = tmp_path / "model"
    shutil.copytree(inputs["model"], only)
    content = json.loads((only / "model.json").read_text())
    del content["formats"]["onnx"]
    (only / "model.json").write_text(json.dumps(content))
    (only / "model.onnx").unlink()
    assert publish({**inputs, "model": only}, tmp_path / "one").version == 1
    assert (tmp_path / "models" / "hall" / "1" / "model.onnx").is_file()


def test_unchanged_frames_need_no_training(
    inputs: dict[str, Path], frames: Path, tmp_path: Path
) -> None:
    publish(inputs, tmp_path / "one")
    other = synced(scene(tmp_path / "other", seed=3), tmp_path / "synced")
    told = {}
    for name, place in (("same", frames), ("other", other)):
        settings = CheckSettings(
            only_if_changed=True, repository=str(tmp_path / "models"), model_name="hall"
        )
        outputs = {"decision": tmp_path / f"{name}.json"}
        CHECK.execute(settings, {"dataset": place}, outputs, tmp_path / f"state {name}", Told())
        told[name] = json.loads(outputs["decision"].read_text())["answer"]
    assert told == {"same": "no", "other": "yes"}
