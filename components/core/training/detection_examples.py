"""Annotated images, or tiles of them, as batches for training and validation of detectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.core.detection.preprocessing import read_rgb, resized, scale_for, tiles
from components.core.formats.boxes import box_on
from components.core.formats.shapes import AnnotatedImage
from components.core.training.detection_augmentation import SMALLEST, DetectionAugmentation

VISIBLE = 0.3
"""Share of a box that must be in a tile for the tile to show it."""


@dataclass(frozen=True)
class InputSize:
    """How an image becomes the network's input; as in a detector bundle's preprocessing."""

    min_size: int
    """Pixels of the short side; 0 leaves images as they are."""
    max_size: int
    """Most pixels of the long side."""
    tile_size: int = 0
    """Pixels of the side of the tiles that images are cut into, as they are and without resizing;
    0 looks at whole images."""
    tile_overlap: int = 0
    """Pixels that neighbouring tiles share."""


@dataclass(frozen=True)
class Labelled:
    """An image, or a tile of one, with its boxes."""

    path: Path
    boxes: NDArray[np.float32]
    """(N, 4) left, top, right, bottom in pixels of the image as stored, or of the tile."""
    classes: NDArray[np.int64]
    """(N,) positions in the class list, from 0."""
    crowd: NDArray[np.bool_]
    """(N,) boxes around many objects: not learned, and not judged."""
    tile: tuple[int, int, int, int] | None = None
    """Left, top, right, bottom in pixels of the image; None for all of it."""

    @property
    def taught(self) -> int:
        """Boxes to learn from."""
        return int((~self.crowd).sum())


class DetectionBatch(TypedDict):
    """Some images."""

    images: list[Tensor]
    """Each 3, H, W; uint8, RGB, of its own size."""
    boxes: list[Tensor]
    """Each (N, 4) float32: left, top, right, bottom in pixels of the input."""
    labels: list[Tensor]
    """Each (N,) int64: positions in the class list, from 0."""
    crowd: list[Tensor]
    """Each (N,) bool."""
    numbers: list[int]
    """Positions of the examples."""
    scales: list[float]
    """Pixels of the input per pixel of the image as stored, or of the tile."""


def labelled(
    images: Sequence[AnnotatedImage], classes: Sequence[str], size: InputSize
) -> list[Labelled]:
    """What there is to see on images, tile by tile where `size` says so.

    Args:
        images: of a DetectionDataset, with `path` set.
        classes: names, without the background.
        size: of the input.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    found = []
    for image in images:
        assert image.path is not None
        boxes, labels, crowd = [], [], []
        for shape in image.shapes:
            if (box := box_on(shape, image)) is not None:
                boxes.append(box)
                labels.append(numbers[shape.label])
                crowd.append(shape.crowd)
        whole = Labelled(
            image.path,
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(labels, np.int64),
            np.array(crowd, np.bool_),
        )
        found += _tiled(whole, image.width, image.height, size) if size.tile_size else [whole]
    return found


class DetectionExamples:
    """Images as finished batches; picklable.

    Args:
        examples: the images or tiles.
        size: of the input.
        augmentation: random changes; none for validation.
    """

    def __init__(
        self,
        examples: Sequence[Labelled],
        size: InputSize,
        augmentation: DetectionAugmentation | None = None,
    ) -> None:
        self.examples = list(examples)
        self._size = size
        self._augmentation = augmentation

    def __len__(self) -> int:
        """Number of images or tiles."""
        return len(self.examples)

    def batch(self, epoch: int, indices: list[int]) -> DetectionBatch:
        """The examples at these positions; the epoch only matters to the augmentation."""
        batch: DetectionBatch = {
            "images": [],
            "boxes": [],
            "labels": [],
            "crowd": [],
            "numbers": list(indices),
            "scales": [],
        }
        for index in indices:
            self._add(batch, epoch, index)
        return batch

    def _add(self, batch: DetectionBatch, epoch: int, index: int) -> None:
        example, change = self.examples[index], self._augmentation
        image, boxes = read_rgb(example.path), example.boxes
        if example.tile:
            left, top, right, bottom = example.tile
            image = image[top:bottom, left:right]
        kept = np.ones(len(boxes), np.bool_)
        factor = 1.0
        if change:
            image, boxes, kept = change.cropped(epoch, index, image, boxes)
            factor = change.factor(epoch, index)
        image, scale = self._resized(image, factor, bool(example.tile))
        boxes = boxes * np.float32(scale)
        if change:
            picture, boxes = change.changed(epoch, index, image, boxes)
        else:
            picture = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        if change:  # what is validated is judged by all that was annotated
            kept &= (boxes[:, 2:] - boxes[:, :2] >= SMALLEST).all(1)
        batch["images"].append(picture)
        batch["boxes"].append(torch.from_numpy(boxes[kept].astype(np.float32)))
        batch["labels"].append(torch.from_numpy(example.classes[kept]))
        batch["crowd"].append(torch.from_numpy(example.crowd[kept]))
        batch["scales"].append(scale)

    def _resized(
        self, image: NDArray[np.uint8], factor: float, tile: bool
    ) -> tuple[NDArray[np.uint8], float]:
        low, high = (0, 0) if tile else (self._size.min_size, self._size.max_size)
        if factor == 1.0:
            return resized(image, low, high)
        short, long = min(image.shape[:2]), max(image.shape[:2])
        wanted = scale_for(short, long, low, high) * factor
        return resized(image, max(round(short * wanted), 1), 0)


def _tiled(whole: Labelled, width: int, height: int, size: InputSize) -> list[Labelled]:
    found = []
    for tile in tiles(width, height, size.tile_size, size.tile_overlap):
        left, top, right, bottom = (round(value) for value in tile)
        low, high = np.array([left, top], np.float32), np.array([right, bottom], np.float32)
        corners = np.clip(whole.boxes.reshape(-1, 2, 2), low, high) - low
        cut = corners.reshape(-1, 4).astype(np.float32)
        share = _areas(cut) / np.maximum(_areas(whole.boxes), 1e-6)
        kept = share >= VISIBLE
        place = (left, top, right, bottom)
        found.append(Labelled(whole.path, cut[kept], whole.classes[kept], whole.crowd[kept], place))
    return found


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    areas: NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return areas
