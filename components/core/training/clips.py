"""Clips of a FrameDataset as batches for training, validation and testing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from components.core.artifacts.frames import FrameReader
from components.core.training.views import Augmentation, View, Window


class ClipBatch(TypedDict):
    """Some clips."""

    frames: Tensor
    """B, T, H, W, 3; uint8, RGB. See `network_input`."""
    labels: Tensor
    """B class numbers (int64), or B x classes of 0 and 1 (float32) for several labels a clip."""
    frame_labels: NotRequired[Tensor]
    """B x T x classes of 0 and 1 (float32): the labels of each frame; only where asked for."""


class ClipExamples:
    """The clips of one part of a split; picklable, so that loader processes can have it.

    Args:
        reader: the stored frames.
        clips: positions in the reader's index.
        window: what the network sees of each.
        multi_label: whether clips may have several labels, or none.
        augmentation: random views; without it every clip is seen in the middle.
        per_frame: give the labels of each frame too; only with `multi_label`.
    """

    def __init__(
        self,
        reader: FrameReader,
        clips: Sequence[int],
        window: Window,
        multi_label: bool = False,
        augmentation: Augmentation | None = None,
        per_frame: bool = False,
    ) -> None:
        self._reader = reader
        self._clips = list(clips)
        self._window = window
        self._augmentation = augmentation
        self._per_frame = per_frame
        self.targets = targets(reader, clips, multi_label)

    def __len__(self) -> int:
        """Number of clips."""
        return len(self._clips)

    def batch(self, epoch: int, indices: list[int]) -> ClipBatch:
        """The clips at these positions; the epoch only matters to the augmentation."""
        window = self._window
        shape = (len(indices), window.frames, window.size, window.size, 3)
        frames = _empty(shape)
        labels = self.targets[indices]  # a copy
        along = []
        for row, index in enumerate(indices):
            view = self._read(epoch, index, frames[row].numpy())
            if view.mirrored:
                labels[row] = self._in_mirror(labels[row])
            if self._per_frame:
                along.append(self._along_time(index, view))
        batch: ClipBatch = {"frames": frames, "labels": torch.from_numpy(labels)}
        if self._per_frame:
            batch["frame_labels"] = torch.from_numpy(np.stack(along))
        return batch

    def _read(self, epoch: int, index: int, out: np.ndarray) -> View:
        """Fills `out` with the example's view."""
        window = self._window
        clip = self._clips[index]
        entry = self._reader.index.clips[clip]
        size = entry.frames, entry.height, entry.width
        if self._augmentation is None:
            view = window.centred(*size)
        else:
            view = self._augmentation.view(window, epoch, index, size)
        crop = view.top, view.left, window.size, window.size
        self._reader.read(clip, window.numbers(view.start), crop, out=out)
        if view.mirrored:
            out[:] = out[:, :, ::-1].copy()
        return view

    def _along_time(self, index: int, view: View) -> np.ndarray:
        numbers = self._window.numbers(view.start)
        labels = self._reader.frame_labels(self._clips[index], numbers)
        return self._in_mirror(labels) if view.mirrored else labels

    def _in_mirror(self, label: np.ndarray) -> np.ndarray:
        assert self._augmentation is not None
        order = self._augmentation.order(len(self._reader.index.classes))
        swapped: np.ndarray = label[..., order] if label.ndim else order[label]
        return swapped


def _empty(shape: tuple[int, ...]) -> Tensor:
    """An uint8 tensor to fill; in a loader process in shared memory.

    Handing the batch over then copies nothing, as with PyTorch's own collation.
    """
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    storage: Any = torch.UntypedStorage
    return torch.empty(0, dtype=torch.uint8).set_(storage._new_shared(math.prod(shape))).view(shape)


def targets(reader: FrameReader, clips: Sequence[int], multi_label: bool) -> np.ndarray:
    """Labels of clips: class numbers (int64), or 0 and 1 per class (float32) for several labels."""
    numbers = {name: number for number, name in enumerate(reader.index.classes)}
    labels = [[numbers[name] for name in reader.index.clips[clip].labels] for clip in clips]
    if not multi_label:
        return np.array([own[0] for own in labels], np.int64)
    hot = np.zeros((len(labels), len(numbers)), np.float32)
    for row, own in enumerate(labels):
        hot[row, own] = 1
    return hot


def network_input(frames: Tensor) -> Tensor:
    """Stored frames (B, T, H, W, 3; uint8) as network input: B, 3, T, H, W, float32 in [-1, 1].

    The result keeps the stored order in memory, which is the channels-last format.
    """
    return frames.permute(0, 4, 1, 2, 3).float().div_(127.5).sub_(1)
