"""Every network of the low-resolution study, from TinyVIRAT's layout to a served model."""

import csv
import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from trainyard_process import assignments, run

from components.train_video.stage import TrainSettings
from pipelines.demo_tinyvirat import CLASSES, Extent, write_clips

NETWORKS = get_args(TrainSettings.model_fields["network"].annotation)

SMALL: dict[str, Any] = {
    "frame_size": 16,
    "target_size": 32,
    "clip_frames": 8,
    "width": 0.125,
    "epochs": 2,
    "batch_size": 4,
    "accumulate": 2,
    "flip": True,
    "flip_pairs": "moving_left=moving_right",
    "val_size": 0.3,
    "bootstrap": 20,
    "baseline": False,
    "mistakes": 2,
    "resizer_samples": 2,
}
"""Parameters with which a run takes seconds."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data` in TinyVIRAT's layout; its runs share their state."""
    path = tmp_path_factory.mktemp("tinyvirat")
    write_clips(path / "data", Extent(scenes=(3, 1), clips=8, frames=(12, 16), sides=(24, 30)))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_network_from_tinyvirat_to_a_served_model(network: str, folder: Path) -> None:
    values = {**SMALL, "source": "data", "network": network}
    where = folder / "runs" / network
    done = run(
        folder, "run", "low_resolution_actions", *assignments(values), "--output", str(where)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = where / "outputs"
    model = json.loads((outputs / "train_video" / "model" / "model.json").read_text())
    assert model["classes"] == list(CLASSES)  # the order of classes.txt
    assert model["multi_label"]
    assert model["inputs"][0]["shape"] == [-1, 3, 8, 16, 16]  # the small clip
    assert model["name"] == ("i3d" if network == "i3d" else "resized_i3d") or network in str(
        model["architecture"]
    )
    assert {path.name for path in (where / "model_repository").glob("*/1/*")} >= {"model.onnx"}
    evaluation = outputs / "evaluate_clips" / "evaluation"
    tests = json.loads((folder / "data" / "tiny_test.json").read_text())["tubes"]
    shape = (len(tests), len(CLASSES))
    arrays = {
        name: np.load(evaluation / f"{name}.npy")
        for name in ("predictions", "actuals", "logits", "probabilities")
    }
    assert {array.shape for array in arrays.values()} == {shape}
    assert np.load(evaluation / "confusion.npy").shape == (len(CLASSES), 2, 2)
    assert arrays["actuals"].sum() == sum(len(tube["label"]) for tube in tests)
    expected = 1 / (1 + np.exp(-arrays["logits"].astype(float)))
    assert np.abs(expected - arrays["probabilities"]).max() < 1e-6
    assert np.array_equal(arrays["predictions"], (arrays["probabilities"] >= 0.5).astype(int))
    with open(evaluation / "checkpoints.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    figures = json.loads((evaluation / "index.json").read_text())["figures"]
    assert {"macro_f1", "micro_f1", "samples_f1"} <= set(figures)
    samples = list((evaluation / "samples").glob("*.png"))
    assert len(samples) == (0 if network == "i3d" else 2)
