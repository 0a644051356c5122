"""Random changes of annotated images, each a pure function of the seed, the epoch and the image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.core.training.seeds import EXAMPLE, generator

SMALLEST = 1.0
"""Pixels of width and height below which nothing is left of a box."""


@dataclass(frozen=True)
class DetectionAugmentation:
    """What is changed at random; by torchvision's transforms (v2)."""

    seed: int
    flip: bool = False
    """Mirror half of the images."""
    flip_vertical: bool = False
    """Turn half of the images upside down, as is right for what is seen from above."""
    photometric: bool = False
    """Change brightness, contrast, saturation and hue of half of the images."""
    scale_jitter: float = 0.0
    """Images are scaled by a further factor from 1 - it to 1 + it."""
    crop: bool = False
    """Cut out a part that a box is in: the sampling of SSD, Liu et al., arXiv:1512.02325."""

    def factor(self, epoch: int, example: int) -> float:
        """The further factor on an image's size."""
        if not self.scale_jitter:
            return 1.0
        draw = generator(self.seed, EXAMPLE, epoch, example, 1)
        return float(draw.uniform(1 - self.scale_jitter, 1 + self.scale_jitter))

    def cropped(
        self, epoch: int, example: int, image: NDArray[np.uint8], boxes: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
        """A part of the image.

        Args:
            epoch: from 0.
            example: number of the image.
            image: (H, W, 3) uint8.
            boxes: (N, 4) left, top, right, bottom in pixels.

        Returns:
            The part; all boxes in its pixels, cut to it; and which of them are left: those whose
            centre is in the part.
        """
        kept: NDArray[np.bool_] = np.ones(len(boxes), np.bool_)
        if not self.crop or not len(boxes):
            return image, boxes, kept
        from torchvision.transforms import v2

        with _seeded(self.seed, epoch, example, 2):
            part, moved = v2.RandomIoUCrop()(*_tensors(image.transpose(2, 0, 1), boxes))
        found = np.asarray(moved, np.float32).reshape(-1, 4)
        kept = np.all(found[:, 2:] - found[:, :2] >= SMALLEST, axis=1)
        return np.ascontiguousarray(part.numpy().transpose(1, 2, 0)), found, kept

    def changed(
        self, epoch: int, example: int, image: NDArray[np.uint8], boxes: NDArray[np.float32]
    ) -> tuple[Tensor, NDArray[np.float32]]:
        """The image mirrored and with other colours, as they may be; the boxes mirrored with it.

        Args:
            epoch: from 0.
            example: number of the image.
            image: (H, W, 3) uint8.
            boxes: (N, 4) left, top, right, bottom in pixels.

        Returns:
            (3, H, W) uint8, and the boxes.
        """
        from torchvision.transforms import v2

        chosen: list[Any] = []
        if self.flip:
            chosen.append(v2.RandomHorizontalFlip())
        if self.flip_vertical:
            chosen.append(v2.RandomVerticalFlip())
        if self.photometric:
            chosen.append(v2.RandomApply([v2.ColorJitter(0.25, 0.4, 0.4, 0.03)]))
        given, corners = _tensors(image.transpose(2, 0, 1), boxes)
        if not chosen:
            return given.as_subclass(Tensor).contiguous(), boxes
        with _seeded(self.seed, epoch, example, 3):
            picture, moved = v2.Compose(chosen)(given, corners)
        found = np.asarray(moved, np.float32).reshape(-1, 4)
        return picture.as_subclass(Tensor).contiguous(), found


def _tensors(image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    from torchvision import tv_tensors

    height, width = image.shape[1:]
    corners = tv_tensors.BoundingBoxes(
        torch.from_numpy(boxes.reshape(-1, 4)), format="XYXY", canvas_size=(height, width)
    )
    return tv_tensors.Image(torch.from_numpy(np.ascontiguousarray(image))), corners


@contextmanager
def _seeded(*position: int) -> Iterator[None]:
    """Inside, torch draws what belongs to a position; outside, what it would have drawn anyway."""
    seed, *where = position
    draw = generator(seed, EXAMPLE, *where)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(draw.integers(2**62)))
        yield
