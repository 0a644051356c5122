"""Every network of the low-resolution study through the stage, and weights from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from components.core.artifacts.clips import Segment
from components.core.artifacts.frames import FrameDataset, FrameReader, write_frames
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split
from components.core.errors import ProblemsError, SettingsError
from components.core.events import Reporter
from components.core.models import build
from components.core.models.bundle import load_network
from components.core.models.resized_i3d import NETWORKS, ResizedI3D
from components.core.settings import build as settings_of
from components.core.training.classification import ClipClassification
from components.core.training.clip_checks import Parts
from components.core.training.optimizers import make_optimizer
from components.core.training.options import FitOptions
from components.train_video.networks import architecture_of, make_network
from components.train_video.stage import STAGE, TrainSettings
from components.train_video.training import make_examples

CLASSES = ["carrying", "running", "walking"]
TINY: dict[str, Any] = {
    "clip_frames": 8,
    "input_size": 12,
    "target_size": 32,
    "width": 0.1,
    "epochs": 1,
    "batch_size": 4,
    "device": "cpu",
    "multi_label": True,
}


def write(
    folder: Path,
    labels: Sequence[Sequence[str]],
    parts: Sequence[str],
    segments: dict[int, list[Segment]] | None = None,
) -> dict[str, Path]:
    """Clips of noise, 10 frames a second; clip n has `labels[n]` and lies in `parts[n]`."""
    rng = np.random.default_rng(0)
    clips = [
        (f"{n}", list(own), "", rng.integers(0, 256, (20, 16, 16, 3), np.uint8), np.arange(20) / 10)
        for n, own in enumerate(labels)
    ]
    frames = folder / "frames"
    index = write_frames(frames, clips, CLASSES, parent="a" * 64, storage="raw", crop_margin=4)
    if segments:
        timed = [
            clip.model_copy(update={"segments": segments.get(n, [])})
            for n, clip in enumerate(index.clips)
        ]
        index.model_copy(update={"clips": timed}).save(frames)
    split = Split.create("a" * 64, {str(n): part for n, part in enumerate(parts)}, {})
    (folder / "split").mkdir()
    split.save(folder / "split")
    return {"frames": frames, "split": folder / "split"}


LABELS = [["walking"], ["walking", "carrying"], ["running"], [], ["running"], ["walking"]] * 2
PARTS = ["train"] * 8 + ["val"] * 4


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write(tmp_path_factory.mktemp("data"), LABELS, PARTS)


@pytest.fixture(scope="module")
def i3d_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """I3D as the study's programs saved it: in a container, by data parallelism, 157 classes."""
    torch.manual_seed(5)
    network = build("i3d", classes=157, width=0.1, drop_pool_2a=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
    state = {
        f"module.{key}" if "logits" in key else f"module.model.{key}": value
        for key, value in network.state_dict().items()
        if "num_batches" not in key
    }
    path = tmp_path_factory.mktemp("weights") / "i3d000010.pt"
    torch.save(state, path)
    return path


def run(inputs: dict[str, Path], folder: Path, **changes: Any) -> ModelBundle:
    settings = settings_of(TrainSettings, {**TINY, **changes})
    STAGE.execute(settings, inputs, {"model": folder / "model"}, folder / "state")
    return ModelBundle.load(folder / "model")


def network_of(**changes: Any) -> nn.Module:
    settings = settings_of(TrainSettings, {**TINY, **changes})
    return make_network(settings, architecture_of(settings, 3), Reporter("test"))


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_trains_behind_a_frozen_i3d_and_is_published(
    network: str, inputs: dict[str, Path], i3d_file: Path, tmp_path: Path
) -> None:
    bundle = run(inputs, tmp_path, network=network, pretrained=str(i3d_file), freeze="backbone")
    assert bundle.name == network
    assert bundle.inputs[0].shape == [-1, 3, 8, 12, 12]
    assert {k: bundle.preprocessing[k] for k in ("frames", "stride", "size")} == {
        "frames": 8,
        "stride": 1,
        "size": 12,
    }
    assert "pretrained_sha256" in bundle.training
    loaded = load_network(tmp_path / "model")
    assert isinstance(loaded, ResizedI3D)
    clips = torch.rand(3, 3, 8, 12, 12) * 2 - 1
    session = onnxruntime.InferenceSession(str(tmp_path / "model" / "model.onnx"))
    (found,) = session.run(["logits"], {"clip": clips.numpy()})
    np.testing.assert_allclose(found, loaded(clips).detach(), rtol=1e-3, atol=1e-3)
    theirs = {
        key.removeprefix("module.").removeprefix("model."): value
        for key, value in torch.load(i3d_file, weights_only=True).items()
    }
    own = load_file(tmp_path / "model" / "weights.safetensors")
    backbone = [key for key in theirs if "logits" not in key]
    assert len(backbone) == 57 * 5  # batch statistics included
    for key in backbone:
        assert torch.equal(own[f"i3d.{key}"], theirs[key]), key
    if network != "trilinear":  # with momentum 0.01, two batches would have left them near 1
        assert (own["resizer.c2.bn.running_var"] - 1).abs().min() > 0.1


@pytest.mark.parametrize("network", ["i3d", *NETWORKS])
def test_gradients_reach_everything_that_is_trained(
    network: str, inputs: dict[str, Path], i3d_file: Path
) -> None:
    size = {"input_size": 16, "clip_frames": 8} if network == "i3d" else {}
    settings = settings_of(
        TrainSettings,
        {**TINY, "network": network, "pretrained": str(i3d_file), "freeze": "Mixed_4f", **size},
    )
    made = make_network(settings, architecture_of(settings, 3), Reporter("test"))
    for name, module in made.named_modules():
        if name.endswith((".affine.2", ".scale.2")):  # new ones stop all gradients behind them
            nn.init.normal_(module.weight, 0, 0.1)  # type: ignore[arg-type]
    reader = FrameReader(inputs["frames"])
    train, _ = make_examples(settings, reader, Parts([0, 1, 2, 3], [4]))
    made.train()
    ClipClassification(made, 3, True).loss(made, train.batch(0, [0, 1, 2, 3])).backward()
    frozen = {name for name, value in made.named_parameters() if not value.requires_grad}
    assert all("logits" not in name and "Mixed_5" not in name for name in frozen)
    assert any("Mixed_4f" in name for name in frozen)
    for name, value in made.named_parameters():
        if name in frozen:
            assert value.grad is None, name
        else:
            assert value.grad is not None, name
            assert value.grad.abs().max() > 0 or name.endswith("bias"), name
    optimizer = make_optimizer(made, FitOptions(), torch.device("cpu"))
    given = {id(value) for group in optimizer.param_groups for value in group["params"]}
    assert given == {id(value) for value in made.parameters() if value.requires_grad}


def test_a_network_is_built_from_what_its_bundle_records() -> None:
    settings = settings_of(
        TrainSettings,
        {**TINY, "network": "transformer_resizer", "resblocks": 3, "read_at": 2, "apply_at": 5},
    )
    assert architecture_of(settings, 26) == {
        "name": "resized_i3d",
        "arguments": {
            "network": "transformer_resizer",
            "classes": 26,
            "input_size": 12,
            "target_size": 32,
            "frames": 8,
            "resblocks": 3,
            "read_at": 2,
            "apply_at": 5,
            "width": 0.1,
            "dropout": 0.5,
        },
    }
    plain = settings_of(TrainSettings, {**TINY, "input_size": 112})
    assert architecture_of(plain, 5) == {
        "name": "i3d",
        "arguments": {"classes": 5, "width": 0.1, "dropout": 0.5, "drop_pool_2a": True},
    }


def test_resizer_weights_of_the_study_start_a_training(tmp_path: Path, capfd: Any) -> None:
    torch.manual_seed(3)
    source = build("resizer_3d", in_channels=3, n_frames=32, scale_shape=(112, 112))
    state = {f"module.{key}": value for key, value in source.state_dict().items()}
    torch.save(state, tmp_path / "000012.pt")
    for network in ("resizer_3d", "stn_resizer_3d", "transformer_resizer_3d"):
        made = network_of(network=network, pretrained_resizer=str(tmp_path / "000012.pt"))
        own = made.state_dict()
        for key, value in source.state_dict().items():
            assert torch.equal(own[f"resizer.{key}"], value)
        text = capfd.readouterr().err
        assert ("new here" in text) == (network != "resizer_3d")
    assert "its localisation network, the head of its affine maps" in text


def test_weights_come_from_bundles_whole_or_in_parts(
    inputs: dict[str, Path], tmp_path: Path, capfd: Any
) -> None:
    run(inputs, tmp_path, network="stn_resizer_2d")
    bundle, weights = str(tmp_path / "model"), load_file(tmp_path / "model/weights.safetensors")
    capfd.readouterr()
    whole = network_of(network="stn_resizer_2d", pretrained=bundle).state_dict()
    assert all(torch.equal(whole[key], value) for key, value in weights.items())
    assert "only the weights" not in capfd.readouterr().err
    before = network_of(network="stn_resizer_2d", pretrained_resizer=bundle, seed=7).state_dict()
    for key, value in weights.items():
        if not key.startswith("i3d."):
            assert torch.equal(before[key], value), key
    assert not torch.equal(before["i3d.logits.conv3d.weight"], weights["i3d.logits.conv3d.weight"])
    other = network_of(network="resizer_3d", pretrained=bundle).state_dict()
    assert "only the weights of I3D were taken" in capfd.readouterr().err
    plain = network_of(network="i3d", input_size=32, pretrained=bundle).state_dict()
    for key, value in weights.items():
        if key.startswith("i3d."):
            assert torch.equal(other[key], value)
            assert torch.equal(plain[key.removeprefix("i3d.")], value)


def test_weights_that_do_not_fit_are_reported_together(i3d_file: Path, tmp_path: Path) -> None:
    source = build("resizer_2d", in_channels=3, n_frames=32, scale_shape=(112, 112))
    torch.save(source.state_dict(), tmp_path / "2d.pt")
    with pytest.raises(SettingsError) as caught:
        network_of(
            network="resizer_3d",
            width=0.5,
            pretrained=str(i3d_file),
            pretrained_resizer=str(tmp_path / "2d.pt"),
            freeze="Mixed_9z",
        )
    first, second, third = caught.value.problems
    assert first.startswith("pretrained: ")
    assert "other shapes: Conv3d_1a_7x7" in first
    assert second.startswith("pretrained_resizer: ")
    assert "resizer.c1.conv3d.weight is 16x3x1x7x7, the network's is 16x3x7x7x7" in second
    assert third.startswith("freeze: 'Mixed_9z' is no layer")
    torch.save({f"i3d.{k}": v for k, v in source.state_dict().items()}, tmp_path / "i3d.pt")
    with pytest.raises(SettingsError, match="holds no resizer network, only I3D"):
        network_of(network="resizer_2d", pretrained_resizer=str(tmp_path / "i3d.pt"))


def test_settings_without_effect_are_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(
            TrainSettings,
            {"read_at": 5, "apply_at": 2, "pretrained_resizer": "x.pt", "localisation": 0.5},
        )
    text = str(caught.value)
    assert "read_at: 5 comes after apply_at 2" in text
    assert "use read_at 0 to 2" in text
    assert "pretrained_resizer: network 'i3d' has no resizer network" in text
    assert "localisation: it has no effect without multi_label" in text
    assert settings_of(TrainSettings, {"read_at": 8, "apply_at": 8}).read_at == 8


def test_sizes_are_checked_before_anything_is_built(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    for changes, expected in (
        ({"network": "stn_resizer_2d", "input_size": 14}, "input_size: 14 pixels"),
        ({"network": "transformer_resizer_3d", "target_size": 30}, "target_size: 30 pixels"),
        ({"network": "resizer_2d", "input_size": 28}, "28 is larger than the stored frames"),
        ({"network": "resizer_2d", "target_size": 16, "batch_size": 1}, "larger batch_size"),
        ({"network": "resizer_2d", "localisation": 0.5}, "none has any"),
        ({"network": "resizer_2d", "pretrained_resizer": "no/such.pt"}, "no/such.pt does not"),
    ):
        with pytest.raises(ProblemsError, match=expected):
            run(inputs, tmp_path, **changes)
    assert not (tmp_path / "model").exists()


def test_a_class_without_training_clips_is_a_remark_where_clips_have_several(
    tmp_path: Path, capfd: Any
) -> None:
    labels = [["walking"], ["walking", "carrying"], [], ["walking"], ["running"], ["walking"]]
    data = write(tmp_path, labels, ["train"] * 4 + ["val"] * 2)
    run(data, tmp_path, network="trilinear")
    assert "no training clip of class 'running'" in capfd.readouterr().err


def test_training_on_time_segments(tmp_path: Path) -> None:
    segments = {
        n: [Segment(start=0.5, end=1.25, label=own[0])] for n, own in enumerate(LABELS) if own
    }
    data = write(tmp_path, LABELS, PARTS, segments)
    bundle = run(data, tmp_path, network="trilinear", localisation=0.5, clip_frames=20)
    assert bundle.architecture["arguments"]["over_time"] == "max"
    assert np.isfinite(bundle.metrics["val_loss"])
    loaded = load_network(tmp_path / "model")
    assert isinstance(loaded, ResizedI3D)
    clips = torch.rand(2, 3, 20, 12, 12)
    assert torch.equal(loaded(clips), loaded.time_logits(clips).amax(2))
    assert FrameDataset.load(data["frames"]).clips[0].segments
