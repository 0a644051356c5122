"""Turns, moves and zooms each frame of a clip as a small network sees fit.

Jaderberg et al., "Spatial Transformer Networks", NeurIPS 2015 (arXiv:1506.02025), for clips: the
frames share the weights, and each has a transformation of its own.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import InputError
from components.core.models.sizes import refuse_below_one, side_problem

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""The affine map, row by row, that leaves every frame as it is."""

HIDDEN = 32


class SpatialTransformer(nn.Module):
    """Applies to each frame of a clip the affine map that its localisation network gives.

    A new one changes nothing: its maps are the identity.

    Args:
        in_channels: channels of the clips.
        in_res: height and width of the clips in pixels; a multiple of 4.
        in_time: frames of the clips.

    Raises:
        InputError: `in_res` is no multiple of 4.
    """

    def __init__(self, in_channels: int, in_res: int = 112, in_time: int = 32) -> None:
        super().__init__()
        refuse_below_one("a spatial transformer", in_channels=in_channels, in_time=in_time)
        self.shape = in_channels, in_time, in_res, in_res
        self.localisation = Localisation(in_channels, in_res, kernels=(7, 5))
        self.affine = affine_head(self.localisation.features)

    def forward(self, clips: Tensor) -> Tensor:
        """B x in_channels x in_time x in_res x in_res, unchanged in shape."""
        if tuple(clips.shape[1:]) != self.shape:
            raise InputError(
                f"this spatial transformer takes clips of shape batch x {_by(self.shape)}, "
                f"but got {_by(tuple(clips.shape))}; build it with the clips' own size"
            )
        theta = predict(self.affine, self.localisation(folded(clips)))
        return warped(clips, theta.view(-1, 2, 3))


class Localisation(nn.Module):
    """Features of each frame that say how to transform it.

    Two convolutions, each followed by a halving max pool, batch normalisation if wanted, and tanh.

    Args:
        in_channels: channels of the frames.
        in_res: height and width of the frames in pixels.
        kernels: sides of the two convolutions.
        norm: normalise before each tanh.

    Raises:
        InputError: `in_res` is no positive multiple of 4.
    """

    def __init__(
        self, in_channels: int, in_res: int, kernels: tuple[int, int], norm: bool = False
    ) -> None:
        super().__init__()
        if problem := side_problem(in_res):
            raise InputError(f"in_res: {problem}")
        first, second = kernels
        self.in_res = in_res
        self.conv1 = nn.Conv2d(in_channels, 16, first, padding=first // 2)
        self.bn1 = nn.BatchNorm2d(16) if norm else None
        self.conv2 = nn.Conv2d(16, 8, second, padding=second // 2)
        self.bn2 = nn.BatchNorm2d(8) if norm else None
        self.features = 8 * (in_res // 4) ** 2

    def forward(self, frames: Tensor) -> Tensor:
        """N x in_channels x in_res x in_res → N x features."""
        if tuple(frames.shape[2:]) != (self.in_res, self.in_res):
            raise InputError(
                f"this localisation network takes frames of {self.in_res}x{self.in_res} pixels, "
                f"but got {frames.shape[2]}x{frames.shape[3]}; build it with the frames' own size"
            )
        x = functional.max_pool2d(self.conv1(frames), 3, stride=2, padding=1)
        x = torch.tanh(x if self.bn1 is None else self.bn1(x))
        x = functional.max_pool2d(self.conv2(x), 2)
        x = torch.tanh(x if self.bn2 is None else self.bn2(x))
        return x.flatten(1)


def affine_head(features: int) -> nn.Sequential:
    """Features of a frame → the 6 numbers of its affine map; at first the identity's."""
    head = _head(features, len(IDENTITY))
    with torch.no_grad():
        cast(nn.Linear, head[-1]).bias.copy_(torch.tensor(IDENTITY))
    return head


def scale_head(features: int) -> nn.Sequential:
    """Features of a frame → one number, at first 0."""
    return _head(features, 1)


def predict(head: nn.Sequential, features: Tensor) -> Tensor:
    """What a head says of each frame, in the weights' own precision.

    In half precision the steps between maps would be a good part of a pixel.
    """
    inner, last = head[:-1](features), cast(nn.Linear, head[-1])
    with torch.autocast(features.device.type, enabled=False):
        return cast(Tensor, last(inner.to(last.weight.dtype)))


def folded(clips: Tensor) -> Tensor:
    """The frames of B x C x T x H x W clips one after another, (B*T) x C x H x W.

    Time is moved before the channels first; a frame keeps its own channels.
    """
    return clips.transpose(1, 2).flatten(0, 1)


def warped(clips: Tensor, maps: Tensor) -> Tensor:
    """Each frame seen through its own affine map, bilinear, with zeros outside.

    Args:
        clips: B x C x T x H x W.
        maps: (B*T) x 2 x 3, in the order of `folded`: where, between -1 and 1, each pixel of the
            result looks in the frame. The range ends at the outer edges of the outer pixels.
    """
    frames = folded(clips)
    with torch.autocast(clips.device.type, enabled=False):
        grid = functional.affine_grid(maps, list(frames.shape), align_corners=False)
        seen = functional.grid_sample(frames.to(maps.dtype), grid, align_corners=False)
    return seen.to(clips.dtype).view(-1, clips.shape[2], *seen.shape[1:]).transpose(1, 2)


def _head(features: int, outputs: int) -> nn.Sequential:
    head = nn.Sequential(nn.Linear(features, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, outputs))
    nn.init.zeros_(cast(nn.Linear, head[-1]).weight)
    nn.init.zeros_(cast(nn.Linear, head[-1]).bias)
    return head


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
