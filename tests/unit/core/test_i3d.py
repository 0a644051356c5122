"""I3D against an independent, literal reading of its layer table, and against published counts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from components.core.errors import InputError
from components.core.models import build, names
from components.core.models.i3d import I3D, MIXED
from components.core.models.sizes import i3d_problems

BLOCKS = ("b", "c"), ("b", "c", "d", "e", "f"), ("b", "c")


def padded(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    amounts: list[int] = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        total = max(k - s, 0) if size % s == 0 else max(k - size % s, 0)
        amounts = [total // 2, total - total // 2, *amounts]
    return functional.pad(x, amounts)


def unit(state: dict[str, Tensor], name: str, x: Tensor, kernel: int, stride: int = 1) -> Tensor:
    x = padded(x, (kernel,) * 3, (stride,) * 3)
    x = functional.conv3d(x, state[f"{name}.conv3d.weight"], stride=stride)
    mean, var = state[f"{name}.bn.running_mean"], state[f"{name}.bn.running_var"]
    scale = state[f"{name}.bn.weight"] / torch.sqrt(var + 1e-3)
    shape = (1, -1, 1, 1, 1)
    return (
        (x - mean.view(shape)) * scale.view(shape) + state[f"{name}.bn.bias"].view(shape)
    ).relu()


def pool(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    return functional.max_pool3d(padded(x, kernel, stride), kernel, stride)


def mixed(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return torch.cat(
        [
            unit(state, f"{name}.b0", x, 1),
            unit(state, f"{name}.b1b", unit(state, f"{name}.b1a", x, 1), 3),
            unit(state, f"{name}.b2b", unit(state, f"{name}.b2a", x, 1), 3),
            unit(state, f"{name}.b3b", pool(x, (3, 3, 3), (1, 1, 1)), 1),
        ],
        1,
    )


def last_map(state: dict[str, Tensor], x: Tensor, drop_pool_2a: bool = False) -> Tensor:
    x = unit(state, "Conv3d_1a_7x7", x, 7, 2)
    if not drop_pool_2a:
        x = pool(x, (1, 3, 3), (1, 2, 2))
    x = unit(state, "Conv3d_2c_3x3", unit(state, "Conv3d_2b_1x1", x, 1), 3)
    pools = ((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2))
    for number, ((kernel, stride), letters) in enumerate(zip(pools, BLOCKS, strict=True), 3):
        x = pool(x, kernel, stride)
        for letter in letters:
            x = mixed(state, f"Mixed_{number}{letter}", x)
    return x


def small(**arguments: object) -> I3D:
    torch.manual_seed(0)
    network = build("i3d", **{"classes": 5, "width": 0.125, **arguments})
    assert isinstance(network, I3D)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.05, 0.2)  # type: ignore[union-attr]
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return network.eval()


@pytest.mark.parametrize(
    ("classes", "count"), [(26, 12_313_914), (157, 12_448_189), (400, 12_697_264)]
)
def test_parameter_counts_are_the_published_ones(classes: int, count: int) -> None:
    assert sum(value.numel() for value in I3D(classes).parameters()) == count


def test_state_dict_has_the_published_keys() -> None:
    state = I3D(400).state_dict()
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    units = ["Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"]
    units += [f"{name}.{b}" for name in MIXED for b in ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")]
    expected = {f"{u}.conv3d.weight" for u in units}
    expected |= {f"{u}.bn.{n}" for u in units for n in norm}
    expected |= {"logits.conv3d.weight", "logits.conv3d.bias"}
    assert set(state) == expected
    assert len(state) == 344
    assert state["Mixed_5c.b1b.conv3d.weight"].shape == (384, 192, 3, 3, 3)
    assert state["logits.conv3d.weight"].shape == (400, 1024, 1, 1, 1)


@pytest.mark.parametrize(
    ("size", "drop_pool_2a"),
    [
        ((16, 64, 64), False),
        ((32, 112, 112), True),
        ((9, 33, 47), False),
        ((13, 30, 17), True),
        ((8, 16, 16), True),
    ],
)
@torch.no_grad()
def test_maps_equal_the_layer_table(size: tuple[int, int, int], drop_pool_2a: bool) -> None:
    network = small(drop_pool_2a=drop_pool_2a).double()
    clips = torch.randn(2, 3, *size, dtype=torch.float64)
    found = network.feature_map(clips)
    expected = last_map(network.state_dict(), clips, drop_pool_2a)
    cell = 16 if drop_pool_2a else 32
    assert found.shape[2:] == (-(-size[0] // 8), -(-size[1] // cell), -(-size[2] // cell))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("frames", "steps"), [(16, 1), (32, 3), (64, 7)])
@torch.no_grad()
def test_the_head_is_the_published_one_at_224(frames: int, steps: int) -> None:
    network = small()
    clips = torch.randn(1, 3, frames, 224, 224)
    pooled = functional.avg_pool3d(network.feature_map(clips), (2, 7, 7), stride=1)
    head = network.logits.conv3d
    published = functional.conv3d(pooled, head.weight, head.bias).squeeze(4).squeeze(3)
    assert published.shape == (1, 5, steps)
    torch.testing.assert_close(network.time_logits(clips), published)
    torch.testing.assert_close(network(clips), published.mean(2))
    torch.testing.assert_close(network.extract_features(clips), pooled[..., 0, 0])


@torch.no_grad()
def test_one_window_over_the_clip_is_the_plain_mean() -> None:
    network = small(time_window=0, drop_pool_2a=True)
    clips = torch.randn(2, 3, 32, 112, 112)
    pooled = functional.avg_pool3d(network.feature_map(clips), (4, 7, 7))
    head = network.logits.conv3d
    expected = functional.conv3d(pooled, head.weight, head.bias)[..., 0, 0, 0]
    torch.testing.assert_close(network(clips), expected)
    assert network.time_logits(clips).shape == (2, 5, 1)


@torch.no_grad()
def test_gradients_pass_the_pools_as_with_zero_filling() -> None:
    network = small(drop_pool_2a=True).double()
    state = dict(network.state_dict())
    first = torch.randn(1, 3, 9, 17, 18, dtype=torch.float64)
    with torch.enable_grad():
        one, two = first.clone().requires_grad_(), first.clone().requires_grad_()
        network.feature_map(one).square().sum().backward()
        last_map(state, two, True).square().sum().backward()
    assert one.grad is not None
    torch.testing.assert_close(one.grad, two.grad)


def test_too_small_clips_are_refused_with_the_minimum() -> None:
    network = small()
    with pytest.raises(InputError, match=r"7 frames, but at least 8.*31x40 pixels.*32x32"):
        network(torch.zeros(1, 3, 7, 31, 40))
    with pytest.raises(InputError, match="1 x 2 x 8 x 32 x 32"):
        network(torch.zeros(1, 2, 8, 32, 32))
    assert i3d_problems(8, 16, 16, drop_pool_2a=True) == []
    assert i3d_problems(8, 16, 16, drop_pool_2a=False) != []


def test_other_channels_widths_and_heads() -> None:
    flow = small(in_channels=2, drop_pool_2a=True)
    assert flow(torch.zeros(3, 2, 8, 16, 16)).shape == (3, 5)
    flow.replace_logits(7)
    assert flow(torch.zeros(3, 2, 8, 16, 16)).shape == (3, 7)
    narrow = small(width=0.25)
    assert narrow.Conv3d_1a_7x7.conv3d.weight.shape[0] == 16
    assert all(
        value.shape[0] >= 8
        for key, value in narrow.state_dict().items()
        if ".conv3d." in key and "logits" not in key
    )


def test_unknown_networks_and_arguments_are_refused() -> None:
    assert "i3d" in names()
    with pytest.raises(InputError, match=r"unknown network 'i4d'.*i3d"):
        build("i4d")
    with pytest.raises(InputError, match=r"i3d.*colour"):
        build("i3d", classes=2, colour=True)
