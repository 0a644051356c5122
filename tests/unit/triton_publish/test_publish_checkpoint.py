"""What is published is the checkpoint that was evaluated, though it was kept as weights only."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from checkpoint_bundles import registered, write_series
from clip_bundles import FRAMES, SIZE, TRAITS, write_clips, write_split

from components.core.artifacts.evaluation import Evaluation
from components.core.artifacts.model_bundle import ModelBundle, Tensor
from components.core.models.bundle import load_network
from components.evaluate_clips.stage import STAGE as EVALUATE
from components.evaluate_clips.stage import EvaluateSettings
from components.triton_publish.stage import STAGE, PublishSettings

PLUGS = {
    "inputs": [Tensor(name="clip", dtype="float32", shape=[-1, 3, FRAMES, SIZE, SIZE])],
    "outputs": [Tensor(name="logits", dtype="float32", shape=[-1, len(TRAITS)])],
}


@pytest.fixture(autouse=True)
def _networks():
    with registered():
        yield


def test_the_evaluated_checkpoint_is_exported_and_published(tmp_path):
    labels = [["down"], ["right"], ["bright", "down"], ["bright", "right"]] * 5
    frames = write_clips(tmp_path / "frames", labels, TRAITS)
    write_split(tmp_path / "split", frames, ["train", "val", "test", "val", "test"] * 4)
    write_series(tmp_path / "model", {1: -0.3, 2: 0.01, 3: 0.3}, best=2, multi_label=True, **PLUGS)
    EVALUATE.execute(
        EvaluateSettings(bootstrap=20, baseline=False, threshold="0.6", checkpoints="all"),
        {name: tmp_path / name for name in ("model", "frames", "split")},
        {"evaluation": tmp_path / "evaluation"},
        tmp_path / "state",
    )
    chosen = tmp_path / "model" / "checkpoints" / "0003"
    bundle = ModelBundle.load(chosen)
    assert list(Evaluation.load(tmp_path / "evaluation").models.values()) == [bundle.fingerprint]
    assert "onnx" not in bundle.formats
    STAGE.execute(
        PublishSettings(repository=str(tmp_path / "repository")),
        {"model": tmp_path / "model", "evaluation": tmp_path / "evaluation"},
        {"published": tmp_path / "published"},
        tmp_path / "state",
    )
    version = tmp_path / "repository" / bundle.name / "1"
    card = json.loads((version / "model_card.json").read_text())
    assert card["fingerprint"] == bundle.fingerprint
    session = onnxruntime.InferenceSession(str(version / "model.onnx"))
    clips = torch.rand(3, 3, FRAMES, SIZE, SIZE) * 2 - 1
    served = session.run(None, {"clip": clips.numpy()})[0]
    with torch.no_grad():
        expected = load_network(chosen)(clips).numpy()
        other = load_network(tmp_path / "model")(clips).numpy()
    assert np.abs(served - expected).max() < 1e-4
    assert np.abs(served - other).max() > 1e-3
