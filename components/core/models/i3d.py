"""I3D: Inception-V1 inflated to three dimensions, for clips.

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset",
CVPR 2017 (arXiv:1705.07750). Module names follow the published PyTorch weights (`rgb_imagenet.pt`,
`rgb_charades.pt`), so that these load; see `components.core.models.pretrained`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import InputError
from components.core.models.dropout import Dropout
from components.core.models.same3d import SamePool3d, Size, Unit3d
from components.core.models.sizes import SMALL, i3d_problems

MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
"""Inception block → channels of b0, b1a, b1b, b2a, b2b, b3b."""

POOLS: dict[str, tuple[Size, Size]] = {
    "MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2)),
}
"""Max pool → kernel and stride (time, height, width)."""

ENDPOINTS = (
    "Conv3d_1a_7x7",
    "MaxPool3d_2a_3x3",
    "Conv3d_2b_1x1",
    "Conv3d_2c_3x3",
    "MaxPool3d_3a_3x3",
    "Mixed_3b",
    "Mixed_3c",
    "MaxPool3d_4a_3x3",
    "Mixed_4b",
    "Mixed_4c",
    "Mixed_4d",
    "Mixed_4e",
    "Mixed_4f",
    "MaxPool3d_5a_2x2",
    "Mixed_5b",
    "Mixed_5c",
)
"""The layers in order; what lies before `logits`."""


class I3D(nn.Module):
    """The clip classifier; input B, C, T, H, W, float32 in [-1, 1] (RGB), output logits.

    The published head averages the last map over windows of 2 steps in time and all of its space
    (AvgPool3d 2x7x7 with stride 1 on the 7x7 map of a 224-pixel clip), applies dropout and a
    1x1x1 convolution, and a clip's logits are the mean over the windows. `forward` gives exactly
    that, on maps of any size. With `time_window=0` one window spans the whole clip: the plain
    mean, the head of the low-resolution study that fixed the pool to the clip's length. Both
    agree on maps of one or two steps (clips of up to 16 frames). With `over_time="max"` a clip's
    logits are the largest over the windows instead, as in the published training on time segments.

    Args:
        classes: number of outputs.
        in_channels: 3 for RGB, 2 for optical flow.
        width: factor on every layer's channels, rounded to multiples of 8; 1 is the published one.
        dropout: probability in the head.
        drop_pool_2a: leave out MaxPool3d_2a, so that clips of half the published size (112
            instead of 224 pixels) have the published map sizes from there on.
        time_window: steps of the last map that the head averages at once; 0 means all of them.
        over_time: how a clip's logits come from those of its windows: "mean" or "max".

    Raises:
        InputError: another `over_time`.
    """

    def __init__(
        self,
        classes: int,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.5,
        drop_pool_2a: bool = False,
        time_window: int = 2,
        over_time: str = "mean",
    ) -> None:
        super().__init__()
        if over_time not in ("mean", "max"):
            raise InputError(f"over_time: {over_time!r} is not one of mean, max")
        self.over_time = over_time
        self.drop_pool_2a = drop_pool_2a
        self.time_window = time_window
        self.in_channels = in_channels
        stem = {
            "Conv3d_1a_7x7": (64, 7, 2),
            "Conv3d_2b_1x1": (64, 1, 1),
            "Conv3d_2c_3x3": (192, 3, 1),
        }
        channels = in_channels
        for name in ENDPOINTS:
            if name in POOLS:
                if not (name == "MaxPool3d_2a_3x3" and drop_pool_2a):
                    self.add_module(name, SamePool3d(*POOLS[name]))
            elif name in MIXED:
                block = Inception(channels, [scaled(c, width) for c in MIXED[name]])
                self.add_module(name, block)
                channels = block.channels
            else:
                out, kernel, stride = stem[name]
                out = scaled(out, width)
                self.add_module(name, Unit3d(channels, out, kernel, stride))
                channels = out
        self.features = channels
        self.dropout = Dropout(dropout)
        self.logits = Head(channels, classes)

    def forward(self, clips: Tensor, along_time: bool = False) -> Tensor:
        """Logits of each clip, B x classes; or `time_logits`, for wrappers that call only this."""
        logits = self.time_logits(clips)
        if along_time:
            return logits
        return logits.mean(2) if self.over_time == "mean" else logits.amax(2)

    def time_logits(self, clips: Tensor) -> Tensor:
        """Logits along time, B x classes x T'; T' = ceil(T / 8) - 1 (at least 1) by default.

        To get logits per frame, interpolate linearly to T steps, as the published training does.
        """
        return cast(Tensor, self.logits(self.dropout(self.extract_features(clips))))

    def extract_features(self, clips: Tensor) -> Tensor:
        """Pooled features before dropout and head, B x features x T' (features: 1024 x width)."""
        return self._pooled(self.feature_map(clips))

    def feature_map(self, clips: Tensor) -> Tensor:
        """The last map, B x features x ceil(T / 8) x ceil(H / 32) x ceil(W / 32).

        Without MaxPool3d_2a the map has ceil(H / 16) x ceil(W / 16) cells in space.
        """
        self._refuse(clips)
        for name in ENDPOINTS:
            if hasattr(self, name):
                clips = getattr(self, name)(clips)
        return clips

    def replace_logits(self, classes: int) -> None:
        """Puts a new, untrained head for `classes` outputs in place."""
        weight = self.logits.conv3d.weight
        self.logits = Head(self.features, classes).to(weight.device, weight.dtype)

    def _pooled(self, maps: Tensor) -> Tensor:
        steps = maps.mean((3, 4))
        window = min(self.time_window or steps.shape[2], steps.shape[2])
        if window == steps.shape[2]:
            return steps.mean(2, keepdim=True)
        return functional.avg_pool1d(steps, window, stride=1)

    def _refuse(self, clips: Tensor) -> None:
        if clips.ndim != 5 or clips.shape[1] != self.in_channels:
            raise InputError(
                f"I3D takes clips of shape batch x {self.in_channels} channels x frames x height x "
                f"width, but got {' x '.join(str(n) for n in clips.shape)}"
            )
        _, _, frames, height, width = clips.shape
        if problems := i3d_problems(frames, height, width, self.drop_pool_2a):
            raise InputError(f"I3D cannot take this clip: {'; '.join(problems)}")


def arguments_for(size: int, classes: int, width: float, dropout: float) -> dict[str, object]:
    """The arguments to build an I3D for square clips of `size` pixels.

    Below 160 pixels MaxPool3d_2a is left out: the last map would be too small to tell things
    apart (3x3 instead of 7x7 at 112 pixels).
    """
    return {
        "classes": classes,
        "width": width,
        "dropout": dropout,
        "drop_pool_2a": size < SMALL,
    }


def scaled(channels: int, width: float) -> int:
    """`channels * width`, rounded to a multiple of 8, at least 8 (vector units like these)."""
    return max(8, int(channels * width / 8 + 0.5) * 8)


class Inception(nn.Module):
    """Four parallel branches, joined on the channel axis in the order b0, b1, b2, b3."""

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        c0, c1, c2, c3, c4, c5 = widths
        self.b0 = Unit3d(in_channels, c0, 1)
        self.b1a = Unit3d(in_channels, c1, 1)
        self.b1b = Unit3d(c1, c2, 3)
        self.b2a = Unit3d(in_channels, c3, 1)
        self.b2b = Unit3d(c3, c4, 3)
        self.b3a = SamePool3d((3, 3, 3), (1, 1, 1))
        self.b3b = Unit3d(in_channels, c5, 1)
        self.channels = c0 + c2 + c4 + c5

    def forward(self, x: Tensor) -> Tensor:
        """The branches' maps side by side; time, height and width stay."""
        branches = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))]
        return torch.cat(branches, 1)


class Head(nn.Module):
    """A linear map at each step of time, kept as the published 1x1x1 convolution with bias."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(in_channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """B x features x T' → B x classes x T'."""
        return cast(Tensor, self.conv3d(x[..., None, None]))[..., 0, 0]
