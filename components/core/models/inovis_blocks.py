"""The parts of the renderer INOVIS: convolution blocks, feature extraction and reweighting.

Modules are named as in the published networks, so that their weights load.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

Norm = Callable[[int], nn.Module]
"""Makes a normalisation of so many channels."""

Block = Callable[[int, int], nn.Module]
"""Makes a convolution block from so many channels to so many."""

GROUPS = 8
"""Of group normalisation, at most."""

REWEIGHTING_WIDTH = 32
REWEIGHTING_SCALE = 5.0
"""Weights lie between 0 and twice this (Xiao et al., Neural Supersampling, SIGGRAPH 2020)."""


def normalization(kind: str) -> Norm:
    """`batch`, or `group`: up to 8 groups of channels, the same in training and evaluation."""
    if kind == "batch":
        return nn.BatchNorm2d
    return lambda channels: nn.GroupNorm(math.gcd(channels, GROUPS), channels)


def no_normalization(channels: int) -> nn.Module:
    """The normalisation that is none."""
    return nn.Identity()


def plain_convolution(in_channels: int, out_channels: int) -> nn.Module:
    """3x3 that keeps the size: the `basic` block of extraction and reweighting."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


class GatedBlock(nn.Module):
    """A convolution whose every value is scaled by another one's sigmoid, then normalised.

    Gated convolutions as of Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV
    2019, in the form of Neural Point-Based Graphics (Aliev et al., ECCV 2020).
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.block = nn.ModuleDict(
            {
                "conv_f": plain_convolution(in_channels, out_channels),
                "conv_m": plain_convolution(in_channels, out_channels),
                "norm": norm(out_channels),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """B x in_channels x H x W → B x out_channels x H x W."""
        gated = functional.elu(self.block["conv_f"](x)) * torch.sigmoid(self.block["conv_m"](x))
        return cast(Tensor, self.block["norm"](gated))


class BasicBlock(nn.Module):
    """Two convolutions, each normalised and rectified: the reconstruction's `basic` block."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, out_channels, norm)
        self.conv2 = _convolution(out_channels, out_channels, norm)

    def forward(self, x: Tensor) -> Tensor:
        """B x in_channels x H x W → B x out_channels x H x W."""
        return cast(Tensor, self.conv2(self.conv1(x)))


class FeatureExtraction(nn.Module):
    """Features of a rendering, behind the rendering itself.

    Args:
        in_channels: of the rendering.
        features: channels that are added.
        block: makes the three convolution blocks.
        width: channels between them.
    """

    def __init__(self, in_channels: int, features: int, block: Block, width: int) -> None:
        super().__init__()
        self.conv_inx32 = block(in_channels, width)
        self.conv_32x32 = block(width, width)
        self.conv_32xout = block(width, features)

    def forward(self, rendering: Tensor) -> Tensor:
        """B x in_channels x H x W → B x (in_channels + features) x H x W."""
        x = functional.relu(self.conv_inx32(rendering))
        x = functional.relu(self.conv_32x32(x))
        return torch.cat([rendering, functional.relu(self.conv_32xout(x))], 1)


class PhotoExtraction(nn.Module):
    """Features of a photograph, at 1/2**depth of its size.

    Args:
        in_channels: of the photograph and its depth.
        features: channels of the result.
        block: makes the convolution blocks.
        width: channels at full size; each halving of the size doubles them.
        depth: how often the size is halved, 0 to 3.
    """

    def __init__(
        self, in_channels: int, features: int, block: Block, width: int, depth: int = 0
    ) -> None:
        super().__init__()
        self.depth = depth
        self.conv_inx16 = block(in_channels, width)
        self.conv_16x16 = block(width, width)
        for _, first, second, wide in self._halvings(width):
            self.add_module(first, block(wide // 2, wide))
            self.add_module(second, block(wide, wide))
        self.conv_out = block(width * 2**depth, features)

    def forward(self, photo: Tensor) -> Tensor:
        """B x in_channels x h x w → B x features x h/2**depth x w/2**depth."""
        x = functional.relu(self.conv_inx16(photo))
        x = functional.relu(self.conv_16x16(x))
        for _, first, second, _ in self._halvings(16):
            x = functional.avg_pool2d(x, 2)
            x = functional.relu(self.get_submodule(first)(x))
            x = functional.relu(self.get_submodule(second)(x))
        return functional.relu(self.conv_out(x))

    def _halvings(self, width: int) -> list[tuple[int, str, str, int]]:
        """Number, names of the two blocks, and channels; the published names say 16, 32 …"""
        return [
            (n, f"conv_{8 * 2**n}x{16 * 2**n}", f"conv_{16 * 2**n}x{16 * 2**n}", width * 2**n)
            for n in range(1, self.depth + 1)
        ]


class FeatureReweighting(nn.Module):
    """One map of weights in (0, 10) for each warped photograph.

    Args:
        in_channels: of everything that the weights depend on.
        photos: number of maps.
        block: makes the three convolution blocks.
    """

    def __init__(self, in_channels: int, photos: int, block: Block) -> None:
        super().__init__()
        self.conv_inx32 = block(in_channels, REWEIGHTING_WIDTH)
        self.conv_32x32 = block(REWEIGHTING_WIDTH, REWEIGHTING_WIDTH)
        self.conv_32xpreviousframes = block(REWEIGHTING_WIDTH, photos)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """B x … x H x W, in_channels in all → B x photos x H x W."""
        x = functional.relu(self.conv_inx32(torch.cat(list(inputs), 1)))
        x = functional.relu(self.conv_32x32(x))
        return (torch.tanh(self.conv_32xpreviousframes(x)) + 1) * REWEIGHTING_SCALE


def _convolution(in_channels: int, out_channels: int, norm: Norm) -> nn.Sequential:
    convolution = plain_convolution(in_channels, out_channels)
    return nn.Sequential(convolution, norm(out_channels), nn.ReLU())
