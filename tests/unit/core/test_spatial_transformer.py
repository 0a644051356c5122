"""Every frame is transformed by its own map, and by no mixture of frames and channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import InputError
from components.core.models import build
from components.core.models.spatial_transformer import SpatialTransformer, folded, warped


def moved(seed: int = 0, side: int = 16, frames: int = 5) -> SpatialTransformer:
    """A transformer whose maps depend on the frame and are far from the identity."""
    torch.manual_seed(seed)
    network = SpatialTransformer(3, side, frames)
    head = network.affine[-1]
    assert isinstance(head, nn.Linear)
    nn.init.normal_(head.weight, 0, 0.15)
    return network.eval()


def shifted(frame: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """C x H x W, looked at `rows` further down and `columns` further right; zeros outside."""
    _, height, width = frame.shape
    result = np.zeros_like(frame)
    for y in range(height):
        for x in range(width):
            if 0 <= y + rows < height and 0 <= x + columns < width:
                result[:, y, x] = frame[:, y + rows, x + columns]
    return result


def shift(rows: int, columns: int, height: int, width: int) -> list[list[float]]:
    return [[1, 0, 2 * columns / width], [0, 1, 2 * rows / height]]


@pytest.mark.parametrize(("side", "count"), [(28, 18_350), (56, 55_982), (112, 206_510)])
def test_parameter_counts_are_the_studys(side: int, count: int) -> None:
    network = build("spatial_transformer", in_channels=3, in_res=side)
    assert sum(value.numel() for value in network.parameters()) == count


def test_each_frame_of_each_clip_has_its_own_map() -> None:
    """Whole-pixel shifts against plain indexing; a mixed-up axis moves the wrong pictures."""
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(2, 3, 4, 6, 8)).astype(np.float32)
    steps = rng.integers(-3, 4, (2, 4, 2))
    maps = [shift(int(y), int(x), 6, 8) for clip in steps for y, x in clip]
    found = warped(torch.from_numpy(clips), torch.tensor(maps))
    for clip in range(2):
        for frame in range(4):
            rows, columns = steps[clip, frame].tolist()
            expected = shifted(clips[clip, :, frame], rows, columns)
            np.testing.assert_allclose(found[clip, :, frame], expected, atol=1e-5)


def test_a_clip_equals_its_frames_one_at_a_time() -> None:
    network = moved()
    clips = torch.randn(2, 3, 5, 16, 16)
    found = network(clips)
    single = SpatialTransformer(3, 16, 1).eval()
    single.load_state_dict(network.state_dict())
    for frame in range(5):
        expected = single(clips[:, :, frame : frame + 1])
        torch.testing.assert_close(found[:, :, frame : frame + 1], expected, rtol=1e-4, atol=1e-4)
    maps = network.affine(network.localisation(folded(clips))).view(2, 5, 2, 3)
    for frame in range(5):
        grid = functional.affine_grid(maps[:, frame], [2, 3, 16, 16], align_corners=False)
        expected = functional.grid_sample(clips[:, :, frame], grid, align_corners=False)
        torch.testing.assert_close(found[:, :, frame], expected)
    assert (found - clips).abs().max() > 0.5
    assert not torch.allclose(maps[:, 0], maps[:, 1], atol=1e-3)


def test_the_order_in_memory_does_not_matter() -> None:
    network = moved()
    clips = torch.randn(2, 3, 5, 16, 16)
    expected = network(clips)
    last = clips.to(memory_format=torch.channels_last_3d)
    stored = clips.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)
    for other in (last, stored, clips.transpose(3, 4).contiguous().transpose(3, 4)):
        assert not other.is_contiguous()
        torch.testing.assert_close(network(other), expected)


def test_a_new_one_changes_nothing() -> None:
    clips = torch.rand(2, 3, 4, 28, 28) * 2 - 1
    network = SpatialTransformer(3, 28, 4)
    torch.testing.assert_close(network(clips), clips, rtol=0, atol=1e-5)
    assert network.affine[-1].bias.tolist() == [1, 0, 0, 0, 1, 0]


def test_half_precision_does_not_round_the_maps() -> None:
    network = moved()
    head = network.affine[-1]
    assert isinstance(head, nn.Linear)
    nn.init.zeros_(head.weight)
    angle = 0.003  # less than a step of bfloat16 at 1
    head.bias.data = torch.tensor([1 + angle, 0, 0, 0, 1 - angle, 0])
    clips = torch.rand(1, 3, 5, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(clips)
    torch.testing.assert_close(found, network(clips), rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [14, 30, 0, 2])
def test_sides_that_cannot_be_halved_twice_are_refused(side: int) -> None:
    with pytest.raises(InputError, match=rf"in_res: {side} pixels .* multiple of 4"):
        SpatialTransformer(3, side)


@pytest.mark.parametrize("shape", [(1, 3, 5, 20, 20), (1, 3, 4, 16, 16), (1, 4, 5, 16, 16)])
def test_clips_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"batch x 3 x 5 x 16 x 16, but got 1 x"):
        moved()(torch.zeros(shape))


def test_counts_below_one_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"a spatial transformer needs .*: in_time is 0"):
        SpatialTransformer(3, in_res=16, in_time=0)


def test_gradients_reach_every_weight() -> None:
    network = moved().train()
    clips: Tensor = torch.randn(2, 3, 5, 16, 16)
    network(clips).square().mean().backward()
    for name, value in network.named_parameters():
        assert value.grad is not None, name
        assert value.grad.abs().max() > 0, name
