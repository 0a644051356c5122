"""The reconstruction of the renderer INOVIS: a U-Net that takes images at several resolutions.

After Neural Point-Based Graphics (Aliev et al., ECCV 2020). Modules are named as in the published
networks, so that their weights load.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from components.core.models.inovis_blocks import Norm, no_normalization


class NormalizedBlock(Protocol):
    """Makes a convolution block with a normalisation: GatedBlock or BasicBlock."""

    def __call__(self, in_channels: int, out_channels: int, norm: Norm) -> nn.Module:
        """A block from so many channels to so many."""


class Reconstruction(nn.Module):
    """From features at up to five resolutions to an image.

    Args:
        injected: channels that enter at each of the five levels; 0 where none do.
        down_filters: channels of each level on the way down, injected ones included.
        up_filters: channels of each level on the way up.
        out_channels: of the image.
        block: makes the convolution blocks.
        norm: of the blocks on the way down; those on the way up have none.
        upsampling: `deconv` or `bilinear`.
        pooling: `avg` or `max`.
    """

    def __init__(
        self,
        injected: Sequence[int],
        down_filters: Sequence[int],
        up_filters: Sequence[int],
        out_channels: int,
        *,
        block: NormalizedBlock,
        norm: Norm,
        upsampling: str,
        pooling: str,
    ) -> None:
        super().__init__()
        self.injected = tuple(injected)
        pool = nn.AvgPool2d(2, 2) if pooling == "avg" else nn.MaxPool2d(2, 2)
        self.start = block(injected[0], down_filters[0], norm)
        levels = range(1, len(down_filters))
        for level in levels:
            made = down_filters[level] - injected[level]
            down = DownBlock(block(down_filters[level - 1], made, norm), pool)
            self.add_module(f"down{level}", down)
        for level in reversed(levels):
            below, here = up_filters[level], up_filters[level - 1]
            skipped = down_filters[level - 1]
            merge = block(here + skipped, here, no_normalization)
            self.add_module(f"up{level}", UpBlock(below, here, merge, upsampling))
        self.final = nn.Sequential(
            nn.Sequential(nn.Conv2d(up_filters[0], out_channels, 1)), nn.Sigmoid()
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Level k: B x injected[k] x H/2**k x W/2**k → B x out_channels x H x W, in (0, 1)."""
        kept = [cast(Tensor, self.start(features[0]))]
        for level in range(1, len(self.injected)):
            x = self.get_submodule(f"down{level}")(kept[-1])
            kept.append(torch.cat([x, features[level]], 1) if self.injected[level] else x)
        x = kept.pop()
        for level in reversed(range(1, len(self.injected))):
            x = self.get_submodule(f"up{level}")(x, kept.pop())
        return cast(Tensor, self.final(x))


class DownBlock(nn.Module):
    """Halves the size, then convolves."""

    def __init__(self, conv: nn.Module, pool: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.down = pool

    def forward(self, x: Tensor) -> Tensor:
        """B x C x H x W → B x C' x H/2 x W/2."""
        return cast(Tensor, self.conv(self.down(x)))


class UpBlock(nn.Module):
    """Doubles the size and joins what was kept of that size on the way down."""

    def __init__(self, below: int, here: int, conv: nn.Module, upsampling: str) -> None:
        super().__init__()
        self.up: nn.Module
        if upsampling == "deconv":
            self.up = nn.ConvTranspose2d(below, here, 4, stride=2, padding=1)
        else:
            self.up = nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear"),
                nn.Sequential(nn.Conv2d(below, here, 3, padding=1)),
            )
        self.conv = conv

    def forward(self, x: Tensor, kept: Tensor) -> Tensor:
        """B x below x H/2 x W/2 and B x … x H x W → B x here x H x W."""
        return cast(Tensor, self.conv(torch.cat([self.up(x), kept], 1)))
