"""Layers for clips with SAME padding: an axis of n cells becomes one of ceil(n / stride).

The zeros are divided by the actual input size, one more behind than in front when their number
is odd, as TensorFlow defined it and as the published I3D weights were trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

Size = tuple[int, int, int]
"""Time, height, width."""


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis so that the output has ceil(size / stride) cells."""
    rest = size % stride
    total = max(kernel - (rest or stride), 0)
    return total // 2, total - total // 2


def same_conv3d(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """The SAME-padded convolution with the weights of `conv`, whose own padding must be 0.

    B x C x T x H x W → ceil(T / stride), and so on.
    """
    pads = _pads(x, conv.kernel_size, conv.stride)
    if all(front == back for front, back in pads):
        padding = [front for front, _ in pads]  # the convolution pads by itself, without a copy
        return functional.conv3d(x, conv.weight, conv.bias, conv.stride, padding)
    return cast(Tensor, conv(_zero_padded(x, pads)))


class Unit3d(nn.Module):
    """SAME-padded convolution without bias, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(in_channels, channels, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(channels, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """B x C x T x H x W → ceil(T / stride), and so on; never negative."""
        return functional.relu(self.bn(same_conv3d(self.conv3d, x)), inplace=True)


class SamePool3d(nn.Module):
    """SAME-padded max pooling of values that are never negative (they come after a ReLU).

    The published network fills with zeros. For such values that equals ignoring what lies
    outside, which the pooling operator does without a padded copy.
    """

    def __init__(self, kernel: Size, stride: Size) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """B x C x T x H x W → ceil(T / stride), and so on."""
        pads = _pads(x, self.kernel, self.stride)
        if any(back - front > 1 or (back != front and front) for front, back in pads):
            x = _zero_padded(x, pads)
            return functional.max_pool3d(x, self.kernel, self.stride)
        uneven = any(front != back for front, back in pads)
        padding = [front for front, _ in pads]
        return functional.max_pool3d(x, self.kernel, self.stride, padding, ceil_mode=uneven)


def _pads(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> list[tuple[int, int]]:
    return [same_padding(int(n), k, s) for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]


def _zero_padded(x: Tensor, pads: list[tuple[int, int]]) -> Tensor:
    # functional.pad starts from the last axis
    return functional.pad(x, [amount for pair in reversed(pads) for amount in pair])
