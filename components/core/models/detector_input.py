"""The first step of a detector: normalisation and padding, and no resizing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the channels red, green and blue in ImageNet."""

DIVISOR = 32
"""Sides that the features of every level divide; images are padded to a multiple of it."""

Targets = list[dict[str, Tensor]]


class Normalised(nn.Module):
    """Stands in for torchvision's transform, which would resize as well.

    Images are brought to their size once, where they are read.
    """

    def forward(
        self, images: Sequence[Tensor], targets: Targets | None = None
    ) -> tuple[ImageList, Targets | None]:
        """One padded batch of images that were normalised, with their own sizes.

        Args:
            images: each 3, H, W, float32, [0, 1], RGB.
            targets: passed on as they are.
        """
        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        height, width = (-(-max(side) // DIVISOR) * DIVISOR for side in zip(*sizes, strict=True))
        batch = images[0].new_zeros(len(images), 3, height, width)
        for place, image in zip(batch, images, strict=True):
            place[:, : image.shape[-2], : image.shape[-1]] = normalised(image)
        return ImageList(batch, sizes), targets

    def postprocess(
        self,
        found: list[dict[str, Tensor]],
        _sizes: list[tuple[int, int]],
        _original: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        """Detections as they are: nothing was resized."""
        return found


def normalised(images: Tensor) -> Tensor:
    """Images (…, 3, H, W, [0, 1], RGB) minus the mean, in units of the deviation."""
    mean, deviation = (
        torch.tensor(v, dtype=images.dtype, device=images.device)[:, None, None]
        for v in (MEAN, DEVIATION)
    )
    return (images - mean) / deviation
