"""Networks that enlarge small clips for a classifier, trained together with it.

The low-resolution study's fourth main network, with convolutions over time and space
(ResizerMainNetworkV4_3D) or over space alone (ResizerMainNetworkV4_2D). The idea is that of Talebi
and Milanfar, "Learning to Resize Images for Computer Vision Tasks", ICCV 2021 (arXiv:2103.09950).
Module names follow the study's, so that its weights load.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import InputError
from components.core.models.same3d import Size, same_conv3d
from components.core.models.sizes import refuse_below_one

SLOPE = 0.2
"""Of every LeakyReLU, below zero."""


_NAME = "a resizer network"


class Resizer(nn.Module):
    """Enlarges clips to a fixed number of frames and pixels.

    A trilinear enlargement plus what convolutions before and after another enlargement add to
    it. The result is not limited to the range of the input.

    Args:
        in_channels: channels of the clips, and of the result.
        n_frames: frames of the result; the study keeps the clip's own number.
        scale_shape: height and width of the result in pixels.
        num_resblocks: residual blocks after the enlargement; the study used 1 to 4.
        skip: leave everything but the trilinear enlargement out.
        temporal: convolve over time too (V4_3D); otherwise each frame by itself (V4_2D).

    Raises:
        InputError: a size or number below 1.
    """

    def __init__(
        self,
        in_channels: int,
        n_frames: int,
        scale_shape: tuple[int, int],
        num_resblocks: int = 1,
        skip: bool = False,
        temporal: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.skip = skip
        self.resize = Resize(n_frames, scale_shape)
        refuse_below_one(_NAME, in_channels=in_channels, num_resblocks=num_resblocks)
        if skip:
            return

        def kernel(side: int) -> Size:
            return side if temporal else 1, side, side

        self.c1 = ConvUnit(in_channels, 16, kernel(7), activation=True)
        self.c2 = ConvUnit(16, 16, (1, 1, 1), activation=True, norm=True)
        self.residual_blocks = nn.Sequential(
            *(ResidualBlock(16, kernel(3)) for _ in range(num_resblocks))
        )
        self.c3 = ConvUnit(16, 16, kernel(3), norm=True)
        self.c4 = ConvUnit(16, in_channels, (3, 3, 3) if temporal else (1, 7, 7))

    def forward(self, clips: Tensor) -> Tensor:
        """B x in_channels x T x h x w → B x in_channels x n_frames x H x W, float32."""
        refuse_other_clips(clips, self.in_channels)
        plain: Tensor = self.resize(clips)
        if self.skip:
            return plain
        enlarged = self.resize(self.c2(self.c1(clips)))
        added = self.c4(self.c3(self.residual_blocks(enlarged)) + enlarged)
        return cast(Tensor, added + plain)


ResizerMainNetworkV4_3D = partial(Resizer, temporal=True)
"""The study's resizer whose convolutions span time: 38,912 parameters with one residual block."""

ResizerMainNetworkV4_2D = partial(Resizer, temporal=False)
"""The study's resizer that convolves each frame: 12,032 parameters with one residual block."""


class Resize(nn.Module):
    """Trilinear interpolation to a fixed size; corners stay corners (`align_corners=True`).

    Args:
        n_frames: frames of the result.
        scale_shape: its height and width in pixels.

    Raises:
        InputError: a size below 1.
    """

    def __init__(self, n_frames: int, scale_shape: tuple[int, int]) -> None:
        super().__init__()
        height, width = scale_shape
        refuse_below_one(_NAME, n_frames=n_frames, height=height, width=width)
        self.size: Size = n_frames, height, width

    def forward(self, clips: Tensor) -> Tensor:
        """B x C x T x h x w → B x C x n_frames x H x W."""
        return functional.interpolate(clips, self.size, mode="trilinear", align_corners=True)


class ConvUnit(nn.Module):
    """SAME-padded convolution without bias, then LeakyReLU, then batch normalisation.

    The activation comes before the norm; each of the two may be left out.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: Size,
        activation: bool = False,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(in_channels, channels, kernel, bias=False)
        self.activation = activation
        self.bn = nn.BatchNorm3d(channels, eps=1e-3, momentum=0.01) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """B x in_channels x T x H x W → B x channels x T x H x W."""
        x = same_conv3d(self.conv3d, x)
        if self.activation:
            x = functional.leaky_relu(x, SLOPE)
        return x if self.bn is None else cast(Tensor, self.bn(x))


class ResidualBlock(nn.Module):
    """Two convolutions with batch normalisation, added to the input; no activation after that."""

    def __init__(self, channels: int, kernel: Size) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, kernel, padding="same")
        self.bn1 = nn.BatchNorm3d(channels)
        self.conv2 = nn.Conv3d(channels, channels, kernel, padding="same")
        self.bn2 = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """B x channels x T x H x W, unchanged in shape."""
        inner = functional.leaky_relu(self.bn1(self.conv1(x)), SLOPE)
        return cast(Tensor, x + self.bn2(self.conv2(inner)))


def refuse_other_clips(clips: Tensor, channels: int) -> None:
    """Refuses what is not B x channels x T x H x W.

    Raises:
        InputError: with the shape that was given.
    """
    if clips.ndim != 5 or clips.shape[1] != channels:
        raise InputError(
            f"a resizer network takes clips of shape batch x {channels} channels x frames x height "
            f"x width, but got {' x '.join(str(n) for n in clips.shape)}"
        )
