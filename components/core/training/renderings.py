"""Frames of a RenderingDataset as batches of tensors for training, validation and testing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from components.core.errors import InputError
from components.core.rendering import lookup
from components.core.rendering.layout import ALIGNMENT
from components.core.rendering.lookup import Window
from components.core.rendering.reader import RenderingCrop, RenderingReader
from components.core.training.rendering_augmentation import RenderingAugmentation


class RenderingBatch(TypedDict):
    """Some target views; float32 but for `frames`."""

    levels: list[Tensor]
    """4 x (B, 4, H >> k, W >> k): RGB and depth in [0, 1], as rendered; 0 where no point is."""
    aux: list[Tensor]
    """N x (B, 4, h, w): RGB and depth in [0, 1] of what is looked up in each aux photo; the sizes
    differ among aux views and batches."""
    coordinates: list[Tensor]
    """N x (B, 3, H, W): x and y (up) in [-1, 1] on these crops, and 1 where they are valid;
    elsewhere x and y are far outside."""
    target: Tensor
    """(B, 3, H, W): RGB in [0, 1], the photo."""
    valid: Tensor
    """(B, 1, H, W): weight of each pixel in losses and metrics, in [0, 1]."""
    frames: list[int]
    """Positions in the data set's index."""


class RenderingExamples:
    """Crops of frames, or whole frames, as finished batches; picklable.

    Args:
        reader: of the data set.
        frames: positions in the reader's index.
        size: height and width of the crops, multiples of 16; (0, 0) for whole frames.
        aux: aux views of each frame, the most similar first; 0 for all there are.
        augmentation: crops anywhere and random changes; without it the middle is seen unchanged.
        whole_aux: whole aux photos instead of what is looked up in them.

    Raises:
        InputError: a size that is no multiple of 16 or larger than a frame, or too many aux views.
    """

    def __init__(
        self,
        reader: RenderingReader,
        frames: Sequence[int],
        size: tuple[int, int] = (0, 0),
        aux: int = 0,
        augmentation: RenderingAugmentation | None = None,
        whole_aux: bool = False,
    ) -> None:
        if problems := size_problems(reader, frames, size, aux):
            raise InputError("; ".join(problems))
        self._reader, self._frames, self._size = reader, list(frames), size
        self._aux = aux or reader.index.aux
        self._augmentation, self._whole_aux = augmentation, whole_aux

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._frames)

    def batch(self, epoch: int, indices: list[int]) -> RenderingBatch:
        """The frames at these positions; the epoch only matters to the augmentation."""
        crops = self._crops(epoch, indices)
        if self._augmentation:
            for index, crop in zip(indices, crops, strict=True):
                self._augmentation.change(epoch, index, crop)
        views = range(self._aux)
        return {
            "levels": [_stacked([c.levels[k] for c in crops]) for k in range(len(crops[0].levels))],
            "aux": [_stacked([crop.aux[view] for crop in crops]) for view in views],
            "coordinates": [_stacked([crop.coordinates[view] for crop in crops]) for view in views],
            "target": _stacked([crop.target for crop in crops]),
            "valid": _stacked([crop.valid for crop in crops]),
            "frames": [self._frames[index] for index in indices],
        }

    def _crops(self, epoch: int, indices: list[int]) -> list[RenderingCrop]:
        """The crops of a batch; the parts of their aux photos have the same sizes."""
        reader, chosen = self._reader, [self._chosen(epoch, index) for index in indices]
        found = [reader.coordinates(*place, views) for place, views in chosen]
        crops = [
            RenderingCrop(
                reader.levels(*place), [], [], reader.target(*place), reader.valid(*place)
            )
            for place, _ in chosen
        ]
        for view in range(self._aux):
            sizes, windows = [], []
            for (place, views), places in zip(chosen, found, strict=True):
                about = reader.index.frames[place[0]].aux[views[view]]
                sizes.append((about.height, about.width))
                whole = Window(0, 0, *sizes[-1])
                windows.append(
                    whole if self._whole_aux else lookup.aux_window(places[view], *sizes[-1])
                )
            common = lookup.common_size(list(zip(windows, sizes, strict=True)))
            for number, (place, views) in enumerate(chosen):
                window = lookup.grown(windows[number], *common, sizes[number])
                crops[number].aux.append(reader.aux(place[0], views[view], window))
                moved = lookup.remapped(found[number][view], window, *sizes[number])
                crops[number].coordinates.append(moved)
        return crops

    def _chosen(
        self, epoch: int, index: int
    ) -> tuple[tuple[int, int, int, tuple[int, int]], list[int]]:
        """Frame, first row and column, and size of a crop; its aux views."""
        frame = self._frames[index]
        entry = self._reader.index.frames[frame]
        size = self._size if any(self._size) else (entry.height, entry.width)
        room = entry.height - size[0], entry.width - size[1]
        if self._augmentation:
            top, left = self._augmentation.place(epoch, index, room, ALIGNMENT)
            views = self._augmentation.views(epoch, index, len(entry.aux), self._aux)
        else:
            top, left = (end // 2 // ALIGNMENT * ALIGNMENT for end in room)
            views = list(range(self._aux))
        return (frame, top, left, size), views


def size_problems(
    reader: RenderingReader, frames: Sequence[int], size: tuple[int, int], aux: int
) -> list[str]:
    """What is wrong with a size of crops and a number of aux views; empty when nothing is.

    Arguments as of RenderingExamples.
    """
    problems = []
    if any(side % ALIGNMENT or side < 0 for side in size) or (any(size) and not all(size)):
        problems.append(
            f"crops of {size[0]} x {size[1]} (height x width): both sides must be multiples of "
            f"{ALIGNMENT}"
        )
    listed = [reader.index.frames[frame] for frame in frames]
    small = [entry for entry in listed if entry.height < size[0] or entry.width < size[1]]
    if small:
        height, width = (min(getattr(e, name) for e in listed) for name in ("height", "width"))
        problems.append(
            f"crops of {size[0]} x {size[1]} (height x width) do not fit into {len(small)} of "
            f"{len(listed)} frames, such as {small[0].id}; use at most {height} x {width}"
        )
    if not 0 <= aux <= reader.index.aux:
        problems.append(f"{aux} aux views: the data set has {reader.index.aux} for each frame")
    return problems


def _stacked(arrays: Sequence[np.ndarray]) -> Tensor:
    if len({array.shape for array in arrays}) > 1:
        raise InputError("frames of different sizes make no batch; use crops, or batches of one")
    return torch.from_numpy(np.stack(arrays))
