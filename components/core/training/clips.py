"""Clips of a FrameDataset as batches of tensors for training, validation and testing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from components.core.artifacts.frames import FrameReader
from components.core.training.clip_views import ClipViews
from components.core.training.views import Augmentation, Window


class ClipBatch(TypedDict):
    """Some clips."""

    frames: Tensor
    """B, T, H, W, 3; uint8, RGB. See `network_input`."""
    labels: Tensor
    """B class numbers (int64), or B x classes of 0 and 1 (float32) for several labels a clip."""
    frame_labels: NotRequired[Tensor]
    """B x T x classes of 0 and 1 (float32): the labels of each frame; only where asked for."""


class ClipExamples(ClipViews):
    """`ClipViews` as tensors, so that loader processes can have it.

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
        super().__init__(reader, clips, window, multi_label, augmentation)
        self._per_frame = per_frame

    def batch(self, epoch: int, indices: list[int]) -> ClipBatch:
        """The clips at these positions; the epoch only matters to the augmentation."""
        frames = _empty(self.shape(len(indices)))
        labels, views = self.fill(epoch, indices, frames.numpy())
        batch: ClipBatch = {"frames": frames, "labels": torch.from_numpy(labels)}
        if self._per_frame:
            along = [self.frame_labels(i, view) for i, view in zip(indices, views, strict=True)]
            batch["frame_labels"] = torch.from_numpy(np.stack(along))
        return batch


def _empty(shape: tuple[int, ...]) -> Tensor:
    """An uint8 tensor to fill; in a loader process in shared memory.

    Handing the batch over then copies nothing, as with PyTorch's own collation.
    """
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    storage: Any = torch.UntypedStorage
    return torch.empty(0, dtype=torch.uint8).set_(storage._new_shared(math.prod(shape))).view(shape)


def network_input(frames: Tensor) -> Tensor:
    """Stored frames (B, T, H, W, 3; uint8) as network input: B, 3, T, H, W, float32 in [-1, 1].

    The result keeps the stored order in memory, which is the channels-last format.
    """
    return frames.permute(0, 4, 1, 2, 3).float().div_(127.5).sub_(1)
