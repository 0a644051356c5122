"""The resizer networks against a literal reading of their table, and against known counts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from resizer_reference import body, enlarged, shaken

from components.core.errors import InputError
from components.core.models import build
from components.core.models.pretrained import load_pretrained
from components.core.models.resizer import (
    Resizer,
    ResizerMainNetworkV4_2D,
    ResizerMainNetworkV4_3D,
)

BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
KEYS = {
    "c1.conv3d.weight",
    "c2.conv3d.weight",
    *(f"c2.bn.{name}" for name in BN),
    "residual_blocks.0.conv1.weight",
    "residual_blocks.0.conv1.bias",
    "residual_blocks.0.conv2.weight",
    "residual_blocks.0.conv2.bias",
    *(f"residual_blocks.0.bn1.{name}" for name in BN),
    *(f"residual_blocks.0.bn2.{name}" for name in BN),
    "c3.conv3d.weight",
    *(f"c3.bn.{name}" for name in BN),
    "c4.conv3d.weight",
}
"""Of the study's weights for one residual block."""


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("resizer_3d", [38_912, 52_832, 66_752, 80_672]),
        ("resizer_2d", [12_032, 16_736, 21_440, 26_144]),
    ],
)
def test_parameter_counts_are_the_studys(name: str, counts: list[int]) -> None:
    found = [
        sum(
            value.numel()
            for value in build(
                name, in_channels=3, n_frames=32, scale_shape=(112, 112), num_resblocks=blocks
            ).parameters()
        )
        for blocks in (1, 2, 3, 4)
    ]
    assert found == counts


@pytest.mark.parametrize("make", [ResizerMainNetworkV4_3D, ResizerMainNetworkV4_2D])
def test_the_studys_weights_load_by_their_names(make: type[Resizer], tmp_path: Path) -> None:
    network = make(3, 8, (16, 16))
    assert set(network.state_dict()) == KEYS
    torch.save({f"module.{k}": v + 1 for k, v in network.state_dict().items()}, tmp_path / "w.pt")
    other = make(3, 8, (16, 16))
    assert load_pretrained(other, tmp_path / "w.pt") == []
    for key, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[key], value + 1)
    assert "residual_blocks.3.bn2.running_var" in make(3, 8, (16, 16), 4).state_dict()


@pytest.mark.parametrize("name", ["resizer_3d", "resizer_2d"])
@pytest.mark.parametrize("size", [(6, 20, 14), (9, 11, 23), (4, 5, 7)])
def test_it_computes_what_the_table_says(name: str, size: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    frames, height, width = size
    network = shaken(
        build(name, in_channels=3, n_frames=frames, scale_shape=(height, width), num_resblocks=2)
    ).double()
    clips = torch.randn(2, 3, 6, 10, 11, dtype=torch.float64)
    found = network(clips)
    assert found.shape == (2, 3, *size)
    expected = body(dict(network.state_dict()), clips, size, blocks=2)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_the_2d_form_treats_each_frame_by_itself_and_the_3d_form_does_not() -> None:
    torch.manual_seed(0)
    clips = torch.randn(1, 3, 6, 8, 8)
    changed = clips.clone()
    changed[:, :, 3] += 1
    for make, alone in ((ResizerMainNetworkV4_2D, True), (ResizerMainNetworkV4_3D, False)):
        network = shaken(make(3, 6, (16, 16)))
        difference = (network(clips) - network(changed)).abs().amax((0, 1, 3, 4))
        assert bool((difference[[0, 1, 2, 4, 5]] < 1e-6).all()) is alone
        assert difference[3] > 0.1


def test_skip_is_the_plain_enlargement() -> None:
    network = ResizerMainNetworkV4_3D(3, 5, (12, 9), skip=True)
    assert not list(network.parameters())
    clips = torch.randn(2, 3, 4, 6, 6)
    torch.testing.assert_close(network(clips), enlarged(clips, (5, 12, 9)), rtol=1e-5, atol=1e-5)


def test_wrong_sizes_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"n_frames is 0, width is -1"):
        build("resizer_3d", in_channels=3, n_frames=0, scale_shape=(8, -1))
    with pytest.raises(InputError, match=r"num_resblocks is 0"):
        build("resizer_2d", in_channels=3, n_frames=8, scale_shape=(8, 8), num_resblocks=0)
    network = build("resizer_2d", in_channels=3, n_frames=8, scale_shape=(8, 8))
    with pytest.raises(InputError, match=r"3 channels.*but got 2 x 4 x 8 x 6 x 6"):
        network(torch.zeros(2, 4, 8, 6, 6))
    with pytest.raises(InputError, match=r"but got 3 x 8 x 6 x 6"):
        network(torch.zeros(3, 8, 6, 6))
