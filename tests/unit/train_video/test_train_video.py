"""The stage on small, real FrameDatasets: what it publishes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from moving_clips import CLASSES, write
from safetensors.torch import load_file

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split
from components.core.errors import ProblemsError, SettingsError
from components.core.models.bundle import load_network
from components.core.settings import build
from components.core.training.clips import ClipExamples, network_input
from components.core.training.views import Window, mirrored_names
from components.train_video.checks import check_inputs
from components.train_video.stage import STAGE, TrainSettings

TINY: dict[str, Any] = {
    "clip_frames": 8,
    "input_size": 24,
    "width": 0.1,
    "epochs": 2,
    "batch_size": 6,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    labels = [[name] for name in CLASSES for _ in range(8)]
    parts = ["train"] * 5 + ["val"] * 2 + ["test"]
    return write(tmp_path_factory.mktemp("data"), labels, parts * 3)


def run(inputs: dict[str, Path], folder: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    settings = build(TrainSettings, {**TINY, **changes})
    return STAGE.execute(settings, inputs, {"model": folder / "model"}, folder / "state")


@pytest.fixture(scope="module")
def trained(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    metadata = run(inputs, folder, epochs=4, keep_every=2, accumulate=2)
    assert metadata["model"]["epoch"] >= 1
    return folder / "model"


def test_the_bundle_describes_itself(trained: Path, inputs: dict[str, Path]) -> None:
    bundle = ModelBundle.load(trained)
    reader = FrameReader(inputs["frames"])
    assert bundle.classes == CLASSES
    assert bundle.task == "clip_classification"
    assert not bundle.multi_label
    assert bundle.formats == {"safetensors": "weights.safetensors", "onnx": "model.onnx"}
    assert bundle.dataset == reader.index.fingerprint
    assert bundle.split == Split.load(inputs["split"]).fingerprint
    (clip,), (logits,) = bundle.inputs, bundle.outputs
    assert (clip.name, clip.shape, clip.layout) == ("clip", [-1, 3, 8, 24, 24], "B,C,T,H,W")
    assert (clip.dtype, clip.range, clip.meaning) == ("float32", [-1.0, 1.0], "RGB")
    assert (logits.name, logits.shape, logits.meaning) == ("logits", [-1, 3], "logits")
    assert bundle.architecture["arguments"]["drop_pool_2a"] is True
    assert bundle.preprocessing == {
        "frames": 8,
        "stride": 1,
        "size": 24,
        "resize": "stretch",
        "frame_size": 24,
        "crop_margin": 4,
        "sampling": {"mode": "all"},
    }
    assert [row["epoch"] for row in bundle.curves] == [1, 2, 3, 4]
    best = max(bundle.curves, key=lambda row: (row["val_macro_f1"], -row["val_loss"]))
    assert bundle.training["epoch"] == best["epoch"]
    assert bundle.metrics == {k: v for k, v in best.items() if k.startswith("val_")}
    assert bundle.training["learning_rate"] == 1e-3


def test_every_kept_network_loads_and_they_differ(trained: Path) -> None:
    folders = [trained, trained / "last", trained / "checkpoints" / "0002"]
    folders.append(trained / "checkpoints" / "0004")
    found = sorted(path.parent for path in trained.rglob("model.json"))
    assert found == sorted(folders)
    epochs = {}
    for folder in folders:
        bundle = ModelBundle.load(folder)
        assert load_network(folder)(torch.zeros(1, 3, 8, 24, 24)).shape == (1, 3)
        epochs[bundle.training["epoch"]] = bundle.fingerprint
        row = bundle.curves[bundle.training["epoch"] - 1]
        assert bundle.metrics["val_loss"] == row["val_loss"]
    assert len(set(epochs.values())) == len(epochs)
    last = load_file(trained / "last" / "weights.safetensors")
    fourth = load_file(trained / "checkpoints" / "0004" / "weights.safetensors")
    assert all(torch.equal(value, fourth[key]) for key, value in last.items())


def test_the_onnx_model_gives_the_recorded_validation_figures(
    trained: Path, inputs: dict[str, Path]
) -> None:
    """The whole contract at once: reading, normalising, order of classes, weights, metrics."""
    bundle, reader = ModelBundle.load(trained), FrameReader(inputs["frames"])
    split = Split.load(inputs["split"])
    val = [n for n, clip in enumerate(reader.index.clips) if clip.id in split.ids("val")]
    examples = ClipExamples(reader, val, Window(8, 1, 24))
    batch = examples.batch(0, list(range(len(val))))
    session = onnxruntime.InferenceSession(str(bundle.file(trained, "onnx")))
    clips = network_input(batch["frames"]).contiguous()
    (logits,) = session.run(["logits"], {"clip": clips.numpy()})
    accuracy = (logits.argmax(1) == batch["labels"].numpy()).mean()
    assert accuracy == pytest.approx(bundle.metrics["val_accuracy"])
    expected = load_network(trained)(clips).detach().numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), batch["labels"])
    assert float(loss) == pytest.approx(bundle.metrics["val_loss"], rel=1e-3)


def test_the_log_lies_in_the_bundle(trained: Path) -> None:
    lines = (trained / "log" / "log.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("epoch,step,learning_rate,train_loss,val_loss,val_macro_f1")
    assert list((trained / "log" / "tensorboard").glob("events.*"))


def test_several_labels_a_clip(tmp_path: Path) -> None:
    labels = [["down"], ["left", "down"], ["right"], ["right", "left"]] * 4
    parts = ["train"] * 12 + ["val"] * 4
    run(write(tmp_path, labels, parts), tmp_path, multi_label=True, class_weighting="balanced")
    bundle = ModelBundle.load(tmp_path / "model")
    assert bundle.multi_label
    assert set(bundle.metrics) == {"val_loss", "val_macro_f1", "val_micro_f1", "val_accuracy"}


def test_fine_tuning_from_a_bundle_with_a_frozen_backbone(
    trained: Path, inputs: dict[str, Path], tmp_path: Path
) -> None:
    run(inputs, tmp_path, pretrained=str(trained), freeze="backbone", epochs=1)
    before = load_file(trained / "weights.safetensors")
    after = load_file(tmp_path / "model" / "last" / "weights.safetensors")
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed == {"logits.conv3d.weight", "logits.conv3d.bias"}


def test_a_network_learns_motion_that_no_single_frame_shows(tmp_path: Path) -> None:
    labels = [[name] for name in CLASSES for _ in range(24)]
    parts = (["train"] * 18 + ["val"] * 6) * 3
    run(write(tmp_path, labels, parts), tmp_path, epochs=14, learning_rate=3e-3, width=0.125)
    assert ModelBundle.load(tmp_path / "model").metrics["val_macro_f1"] > 0.85


def test_all_problems_are_reported_together(inputs: dict[str, Path], tmp_path: Path) -> None:
    other = write(tmp_path / "other", [["down"], ["left"]], ["train", "val"])
    split = Split.create("b" * 64, {"down/0.mp4": "train"}, {})
    split.save(other["split"])
    with pytest.raises(SettingsError) as caught:
        run(
            {"frames": other["frames"], "split": other["split"]},
            tmp_path,
            input_size=64,
            batch_size=9,
            flip=True,
            flip_pairs=["left=up"],
            device="cuda:7",
            compile=False,
        )
    text = str(caught.value)
    for expected in (
        "split: it divides the clips bbbbbbbbbbbb, but the frames are of the clips aaaaaaaaaaaa",
        "no clip of the val part",
        "no training clip of class 'left', 'right'",
        "input_size: 64 is larger than the stored frames (28 pixels)",
        "batch_size: 9 is more than the 1 training clips",
        "no class 'up' (classes: down, left, right)",
        "cuda:7",
    ):
        assert expected in text
    assert len(caught.value.problems) == 7
    assert not (tmp_path / "model").exists()


def test_clips_with_several_labels_need_multi_label(tmp_path: Path) -> None:
    labels = [[name] for name in CLASSES] * 3 + [["down", "left"]]
    data = write(tmp_path, labels, ["train"] * 6 + ["val"] * 3 + ["train"])
    with pytest.raises(SettingsError, match=r"1 clips do not have exactly one label.*down/9"):
        run(data, tmp_path, batch_size=2)


def test_pretrained_weights_and_layers_that_do_not_fit(
    trained: Path, inputs: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"(?s)do not fit this network.*'Mixed_9z' is no layer"):
        run(inputs, tmp_path, pretrained=str(trained), width=0.5, freeze="Mixed_9z")
    with pytest.raises(ProblemsError, match=r"pretrained: .*nowhere\.pt does not exist"):
        run(inputs, tmp_path, pretrained=str(tmp_path / "nowhere.pt"))


def test_a_batch_too_small_for_batch_normalisation_is_refused(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="single value to average"):
        run(inputs, tmp_path, batch_size=1, input_size=16)


def test_settings_are_checked_together() -> None:
    with pytest.raises(SettingsError) as caught:
        build(
            TrainSettings,
            {"schedule": "multistep", "flip_pairs": ["a=b"], "freeze": "backbone"},
        )
    text = str(caught.value)
    assert "milestones" in text
    assert "no effect without flip" in text
    assert "random weights" in text
    with pytest.raises(SettingsError, match="turning_left=turning_right"):
        build(TrainSettings, {"flip": True, "flip_pairs": ["ab"]})
    with pytest.raises(SettingsError, match=r"(?s)optimizer.*'adamw', 'adam' or 'sgd'"):
        build(TrainSettings, {"optimizer": "lion"})
    assert build(TrainSettings, {"schedule": "multistep", "milestones": [2.0, 3.5]}).milestones == [
        2,
        3.5,
    ]


def test_a_second_run_reuses_the_result(
    inputs: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(inputs, tmp_path, epochs=1)
    capfd.readouterr()
    run(inputs, tmp_path, epochs=1)
    out = capfd.readouterr().err
    assert "already done" in out
    assert "train_loss" not in out
    assert json.loads((tmp_path / "model" / "model.json").read_text())["schema_version"] == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [({}, 0), ({"flip": True}, 1), ({"flip": True, "flip_pairs": ["left=right"]}, 0)],
)
def test_it_is_said_which_labels_mirrored_clips_keep(
    settings: dict[str, Any], told: int, tmp_path: Path
) -> None:
    labels = [[name] for name in CLASSES] * 2
    inputs = write(tmp_path, labels, ["train"] * 3 + ["val"] * 3)
    made = build(TrainSettings, {**TINY, "batch_size": 3, **settings})
    parts = check_inputs(made, FrameReader(inputs["frames"]), Split.load(inputs["split"]))
    assert ["flip_pairs: left=right" in remark for remark in parts.remarks] == [True] * told


def test_names_that_differ_in_left_and_right_are_pairs() -> None:
    classes = ["vehicle_turning_left", "vehicle_turning_right", "leftover", "Lying", "Left hand"]
    assert mirrored_names(classes) == [("vehicle_turning_left", "vehicle_turning_right")]
