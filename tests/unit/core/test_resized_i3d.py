"""I3D behind each kind of enlargement, as one network: what goes through, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from components.core.errors import InputError, TrainyardError
from components.core.models import build, names
from components.core.models.bundle import load_network, save_bundle, save_weights
from components.core.models.export import export_onnx, verify_onnx
from components.core.models.i3d import I3D
from components.core.models.resized_i3d import NETWORKS, ResizedI3D
from components.core.training.freezing import freeze, keep_frozen

SMALL: dict[str, Any] = {
    "classes": 4,
    "input_size": 16,
    "target_size": 32,
    "frames": 8,
    "width": 0.125,
    "read_at": 1,
    "apply_at": 6,
}
RESIZER_PARAMETERS = {
    "trilinear": 0,
    "resizer_2d": 12_032,
    "resizer_3d": 38_912,
    "stn_resizer_2d": 12_032 + 55_982,
    "stn_resizer_3d": 38_912 + 55_982,
}


def make(network: str, **changes: Any) -> ResizedI3D:
    """A network whose transformations and statistics are those of a trained one, roughly."""
    torch.manual_seed(0)
    found = build("resized_i3d", network=network, **{**SMALL, **changes})
    assert isinstance(found, ResizedI3D)
    for name, module in found.named_modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = 1.0
        if name.endswith((".affine.2", ".scale.2")):
            nn.init.normal_(module.weight, 0, 0.1)  # type: ignore[arg-type]
    with torch.no_grad():
        found(torch.rand(4, 3, 8, 16, 16) * 2 - 1)
    return found.eval()


def test_the_names_are_known() -> None:
    assert set(names()) >= {"resized_i3d", "resizer_2d", "resizer_3d", "spatial_transformer"}
    assert set(names()) >= {"transformer_resizer", "transformer_resizer_3d"}


@pytest.mark.parametrize(("network", "count"), RESIZER_PARAMETERS.items())
def test_the_studys_sizes_are_the_defaults(network: str, count: int) -> None:
    whole = build("resized_i3d", network=network, classes=26, input_size=56)
    assert isinstance(whole, ResizedI3D)
    total = sum(value.numel() for value in whole.parameters())
    assert total == count + 12_313_914
    assert not hasattr(whole.i3d, "MaxPool3d_2a_3x3")  # 112 pixels


@pytest.mark.parametrize("network", NETWORKS)
def test_logits_come_from_what_i3d_sees(network: str) -> None:
    whole = make(network)
    clips = torch.rand(3, 3, 8, 16, 16) * 2 - 1
    seen = whole.resize(clips)
    assert seen.shape == (3, 3, 8, 32, 32)
    expected = whole.i3d(seen)
    assert expected.shape == (3, 4)
    torch.testing.assert_close(whole(clips), expected)
    steps = whole.time_logits(clips)
    torch.testing.assert_close(steps.mean(2), expected)
    torch.testing.assert_close(whole(clips, along_time=True), steps)
    last = clips.to(memory_format=torch.channels_last_3d)  # as batches are stored
    torch.testing.assert_close(whole(last), expected, rtol=1e-3, atol=1e-3)


def test_the_largest_over_time_where_it_is_asked_for() -> None:
    torch.manual_seed(0)
    arguments = {**SMALL, "frames": 24, "over_time": "max"}
    network = build("resized_i3d", network="trilinear", **arguments)
    clips = torch.rand(2, 3, 24, 16, 16)
    network.eval()
    steps = network.time_logits(clips)  # type: ignore[operator]
    assert steps.shape == (2, 4, 2)
    assert torch.equal(network(clips), torch.maximum(steps[..., 0], steps[..., 1]))
    with pytest.raises(InputError, match=r"over_time: 'sum' is not one of mean, max"):
        I3D(2, over_time="sum")


@pytest.mark.parametrize("network", NETWORKS)
def test_a_bundle_gives_the_network_back(network: str, tmp_path: Path) -> None:
    whole = make(network)
    save_weights(tmp_path / "w.safetensors", whole)
    architecture = {"name": "resized_i3d", "arguments": {"network": network, **SMALL}}
    save_bundle(
        tmp_path / "bundle",
        tmp_path / "w.safetensors",
        name=network,
        task="clip_classification",
        architecture=json.loads(json.dumps(architecture)),
    )
    again = load_network(tmp_path / "bundle")
    clips = torch.rand(2, 3, 8, 16, 16)
    assert isinstance(again, ResizedI3D)
    assert torch.equal(again(clips), whole(clips))
    assert torch.equal(again.resize(clips), whole.resize(clips))


class Before(nn.Module):
    """What stands before I3D; the training of each network exports the whole."""

    def __init__(self, whole: ResizedI3D) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.whole.resize(clips)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_onnx_model_computes_the_same_for_any_batch(network: str, tmp_path: Path) -> None:
    before, path = Before(make(network)).eval(), tmp_path / "model.onnx"
    export_onnx(before, torch.zeros(2, 3, 8, 16, 16), path, "clip", "large")
    batches = [torch.rand(n, 3, 8, 16, 16) * 2 - 1 for n in (1, 2, 3, 5)]
    verify_onnx(path, before, batches)
    session = onnxruntime.InferenceSession(str(path))
    (found,) = session.run(["large"], {"clip": batches[3].numpy()})
    np.testing.assert_allclose(found, before(batches[3]).detach(), rtol=1e-3, atol=1e-3)
    kinds = {node.op_type for node in onnx.load(str(path)).graph.node}
    assert ("GridSample" in kinds) == ("stn" in network or "transformer" in network)
    with pytest.raises(TrainyardError, match="not usable"):
        verify_onnx(path, before, [torch.full((1, 3, 8, 16, 16), torch.nan)])


@pytest.mark.parametrize("network", NETWORKS)
def test_a_frozen_backbone_does_not_move_while_the_rest_learns(network: str) -> None:
    whole = make(network)
    layers = [n for n, _ in whole.i3d.named_children() if n not in ("logits", "dropout")]
    freeze(whole, [f"i3d.{name}" for name in layers])
    whole.train()
    keep_frozen(whole)
    before = {key: value.clone() for key, value in whole.state_dict().items()}
    trained = [value for value in whole.parameters() if value.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(whole(torch.rand(4, 3, 8, 16, 16)), torch.arange(4))
        loss.backward()
        optimizer.step()
    changed = {
        key for key, value in whole.state_dict().items() if not torch.equal(value, before[key])
    }
    backbone = {key for key in before if key.startswith("i3d.") and "logits" not in key}
    assert not changed & backbone  # batch statistics and their counters among them
    weights = {n for n, v in whole.named_parameters() if v.requires_grad and n.endswith("weight")}
    assert weights <= changed
    assert all(value.grad is None for name, value in whole.named_parameters() if name in backbone)


def test_everything_wrong_with_the_sizes_is_named_at_once() -> None:
    for network, changes, expected in (
        (
            "stn_resizer_2d",
            {"input_size": 30},
            r"input_size: 30 pixels .* a multiple of 4",
        ),
        (
            "stn_resizer_3d",
            {"input_size": 14, "target_size": 12, "frames": 7},
            r"7 frames, but at least 8.*target_size: 12x12 pixels.* 16x16.*input_size: 14",
        ),
        ("transformer_resizer", {"input_size": 30}, r"input_size: 30 pixels"),
        (
            "transformer_resizer",
            {"target_size": 114, "read_at": 3, "apply_at": 3},
            r"target_size: 114 pixels",
        ),
        (
            "transformer_resizer",
            {"read_at": 5, "apply_at": 2},
            r"read_at: 5 comes after apply_at 2",
        ),
        ("transformer_resizer_3d", {"target_size": 114}, r"target_size: 114 pixels"),
        ("resizer_2d", {"input_size": 0}, r"input_size: 0 pixels"),
        ("resizer_4d", {}, r"network: 'resizer_4d' is not one of trilinear, resizer_2d"),
    ):
        with pytest.raises(InputError, match=expected):
            build("resized_i3d", network=network, **{**SMALL, **changes})


def test_sizes_without_a_localisation_network_need_not_be_multiples_of_four() -> None:
    for network in ("trilinear", "resizer_2d", "resizer_3d"):
        whole = build("resized_i3d", network=network, **{**SMALL, "input_size": 14})
        assert whole(torch.rand(1, 3, 8, 14, 14)).shape == (1, 4)
