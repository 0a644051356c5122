"""Transformations read at one point of a resizer network and applied at another."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from resizer_reference import body, shaken
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import InputError
from components.core.models import build
from components.core.models.resizer import Resizer
from components.core.models.transformer_resizer import (
    TransformerWithResizer,
    TransformerWithResizer3D,
)

PAIRS = [(read, apply) for read in range(9) for apply in range(read, 9)]
SOME = [(0, 0), (0, 7), (1, 2), (1, 6), (2, 2), (2, 5), (3, 3), (3, 8), (4, 6), (5, 5), (7, 8)]


def small(read_at: int, apply_at: int, **changes: Any) -> TransformerWithResizer:
    torch.manual_seed(0)
    arguments = {"in_channels": 3, "n_frames": 4, "scale_shape": (16, 16), "in_res": 8}
    network = TransformerWithResizer(
        **{**arguments, "num_resblocks": 2, "read_at": read_at, "apply_at": apply_at, **changes}
    )
    shaken(network)
    return network


def frames_of(clips: Tensor) -> list[Tensor]:
    """The frames, clip by clip, each 1 x C x H x W."""
    return [clips[b : b + 1, :, t] for b in range(len(clips)) for t in range(clips.shape[2])]


def seen_through(clips: Tensor, maps: list[Tensor]) -> Tensor:
    """Each frame alone through its own 2 x 3 map, with torch's own operators."""
    seen = []
    for frame, affine in zip(frames_of(clips), maps, strict=True):
        grid = functional.affine_grid(affine[None], list(frame.shape), align_corners=False)
        seen.append(functional.grid_sample(frame, grid, align_corners=False))
    batch, channels, times, height, width = clips.shape
    return torch.stack(seen).view(batch, times, channels, height, width).transpose(1, 2)


def heads(network: nn.Module, weight: float) -> None:
    """Gives both heads something to say."""
    for name in ("affine", "scale"):
        if hasattr(network, name):
            nn.init.normal_(getattr(network, name)[-1].weight, 0, weight)


@pytest.mark.parametrize(
    ("read_at", "count"),
    [
        (0, 127_119),
        (1, 138_719),
        (2, 132_319),
        *((point, 433_375) for point in (3, 4, 5, 6)),
        (7, 428_175),
        (8, 428_175),
    ],
)
def test_parameter_counts_are_the_studys(read_at: int, count: int) -> None:
    network = build(
        "transformer_resizer",
        in_channels=3,
        n_frames=32,
        scale_shape=(112, 112),
        in_res=56,
        num_resblocks=3,
        read_at=read_at,
        apply_at=8,
    )
    assert sum(value.numel() for value in network.parameters()) == count


def test_all_45_pairs_run_and_the_others_are_refused() -> None:
    assert len(PAIRS) == 45
    clips = torch.randn(1, 3, 4, 8, 8)
    for pair in PAIRS:
        assert small(*pair)(clips).shape == (1, 3, 4, 16, 16)
    for read in range(9):
        for apply in range(read):
            with pytest.raises(InputError, match=rf"read_at: {read} .* use read_at 0 to {apply}"):
                small(read, apply)
    with pytest.raises(InputError, match=r"read_at: -1 is no point; .*apply_at: 9 is no point"):
        small(-1, 9)


@pytest.mark.parametrize(("read_at", "apply_at"), SOME)
def test_a_new_network_equals_the_one_without_transformation(read_at: int, apply_at: int) -> None:
    network = small(read_at, apply_at).double()
    clips = torch.randn(2, 3, 4, 8, 8, dtype=torch.float64)
    expected = body(dict(network.state_dict()), clips, (4, 16, 16), blocks=2)
    torch.testing.assert_close(network(clips), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("read_at", "apply_at"), SOME)
def test_the_maps_are_read_and_applied_at_their_points(read_at: int, apply_at: int) -> None:
    network = small(read_at, apply_at).double()
    heads(network, 0.1)
    maps: list[Tensor] = []

    def at(point: int, value: Tensor) -> Tensor:
        if point == read_at:
            for frame in frames_of(value):
                features = network.localisation(frame)
                theta = network.affine(features).view(2, 3)
                factor = 2 / (1 + math.exp(-float(network.scale(features))))
                # a zoom about the middle: the translation is not scaled
                maps.append(torch.cat([theta[:, :2] * factor, theta[:, 2:]], 1))
        return seen_through(value, maps) if point == apply_at else value

    with torch.no_grad():
        clips = torch.randn(2, 3, 4, 8, 8, dtype=torch.float64)
        expected = body(dict(network.state_dict()), clips, (4, 16, 16), blocks=2, at=at)
        found = network(clips)
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
        plain = body(dict(network.state_dict()), clips, (4, 16, 16), blocks=2)
    assert (found - plain).abs().max() > 0.01


def test_the_scale_zooms_between_0_and_2() -> None:
    network = small(0, 0).double()
    clips = torch.rand(1, 3, 4, 8, 8, dtype=torch.float64)
    state = dict(network.state_dict())
    for bias, factor in ((-60.0, 0.0), (0.0, 1.0), (math.log(3), 1.5), (60.0, 2.0)):
        nn.init.constant_(network.scale[-1].bias, bias)  # type: ignore[arg-type]
        zoom = torch.tensor([[factor, 0, 0], [0, factor, 0]], dtype=torch.float64)
        expected = body(state, seen_through(clips, [zoom] * 4), (4, 16, 16), blocks=2)
        torch.testing.assert_close(network(clips), expected, rtol=1e-7, atol=1e-7)


def test_the_earlier_form_is_the_3d_network_with_a_transformed_result() -> None:
    full = build("transformer_resizer_3d", in_channels=3, n_frames=32, scale_shape=(112, 112))
    assert sum(value.numel() for value in full.parameters()) == 242_270
    torch.manual_seed(0)
    network = TransformerWithResizer3D(3, 4, (16, 16), in_res=16, num_resblocks=2)
    shaken(network)
    network.double()
    resizer = Resizer(3, 4, (16, 16), num_resblocks=2)
    own = network.state_dict()
    resizer.load_state_dict({key: own[key] for key in resizer.state_dict()})  # the study's names
    clips = torch.randn(2, 3, 4, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        plain = resizer.double().eval()(clips)
        torch.testing.assert_close(network(clips), plain, rtol=1e-9, atol=1e-9)
        heads(network, 0.1)
        maps = [network.affine(network.localisation(f)).view(2, 3) for f in frames_of(plain)]
        torch.testing.assert_close(network(clips), seen_through(plain, maps), rtol=1e-7, atol=1e-7)


def test_sizes_that_do_not_fit_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"in_channels is 0, num_resblocks is -1"):
        small(0, 7, in_channels=0, num_resblocks=-1)
    with pytest.raises(InputError, match=r"in_res: 14 pixels"):
        small(2, 7, in_res=14)
    with pytest.raises(InputError, match=r"scale_shape: 18 pixels"):
        small(3, 7, scale_shape=(18, 18))
    with pytest.raises(InputError, match=r"scale_shape: 16x20 is no square"):
        small(3, 7, scale_shape=(16, 20))
    assert small(0, 7, scale_shape=(18, 20))(torch.zeros(1, 3, 4, 8, 8)).shape[3:] == (18, 20)
    assert small(3, 7, in_res=7)(torch.zeros(1, 3, 4, 7, 7)).shape[3:] == (16, 16)
    with pytest.raises(InputError, match=r"in_res: 56 must be the size of the result.*112x112"):
        TransformerWithResizer3D(3, 32, (112, 112), in_res=56)
    with pytest.raises(InputError, match=r"frames of 8x8 pixels, but got 12x12"):
        small(0, 7)(torch.zeros(1, 3, 4, 12, 12))
    with pytest.raises(InputError, match=r"each of 6 frames .* clips of 4 frames"):
        small(0, 7)(torch.zeros(1, 3, 6, 8, 8))
    assert small(0, 2)(torch.zeros(1, 3, 6, 8, 8)).shape[2] == 4


def test_skip_is_the_plain_enlargement() -> None:
    clips = torch.rand(1, 3, 4, 8, 8)
    plain = Resizer(3, 4, (16, 16), skip=True)(clips)
    for network in (
        small(0, 7, skip=True),
        TransformerWithResizer3D(3, 4, (16, 16), 16, skip=True),
    ):
        assert not list(network.parameters())
        assert torch.equal(network(clips), plain)


@pytest.mark.parametrize(("read_at", "apply_at"), [(0, 7), (3, 3), (2, 8)])
def test_gradients_reach_every_weight(read_at: int, apply_at: int) -> None:
    network = small(read_at, apply_at).train()
    heads(network, 0.1)
    network(torch.randn(2, 3, 4, 8, 8)).square().mean().backward()
    for name, value in network.named_parameters():
        assert value.grad is not None, name
        # a bias before a norm has none
        assert value.grad.abs().max() > 0 or name.endswith("bias"), name
