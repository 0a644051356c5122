"""Clips of a FrameDataset as a network sees them, in numpy; what every trainer reads through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.core.artifacts.frames import FrameReader
from components.core.training.views import Augmentation, View, Window

LARGEST_WEIGHT = 100.0
"""Of the positives of a class; a handful of clips must not outweigh everything else."""


class ClipViews:
    """The clips of one part of a split, one view of each per epoch; picklable.

    Args:
        reader: the stored frames.
        clips: positions in the reader's index.
        window: what the network sees of each.
        multi_label: whether clips may have several labels, or none.
        augmentation: random views; without it every clip is seen in the middle.
    """

    def __init__(
        self,
        reader: FrameReader,
        clips: Sequence[int],
        window: Window,
        multi_label: bool = False,
        augmentation: Augmentation | None = None,
    ) -> None:
        self._reader = reader
        self._clips = list(clips)
        self._window = window
        self._augmentation = augmentation
        self.targets = targets(reader, clips, multi_label)
        """Class numbers (N,), or 0 and 1 (N, classes); of the clips as they are, unmirrored."""

    def __len__(self) -> int:
        """Number of clips."""
        return len(self._clips)

    def shape(self, count: int) -> tuple[int, int, int, int, int]:
        """Of the frames of so many clips: B, T, H, W, 3."""
        window = self._window
        return count, window.frames, window.size, window.size, 3

    def fill(
        self, epoch: int, indices: Sequence[int], frames: np.ndarray
    ) -> tuple[np.ndarray, list[View]]:
        """Reads the clips at these positions; the epoch only matters to the augmentation.

        Args:
            epoch: from 0.
            indices: positions among these clips.
            frames: (B, T, H, W, 3) uint8 to fill, RGB.

        Returns:
            Labels (B,) or (B, classes), and the view of each clip.
        """
        labels = self.targets[indices]  # a copy
        views = []
        for row, index in enumerate(indices):
            view = self._read(epoch, index, frames[row])
            if view.mirrored:
                labels[row] = self._in_mirror(labels[row])
            views.append(view)
        return labels, views

    def frame_labels(self, index: int, view: View) -> np.ndarray:
        """The labels of each frame of a view: T x classes of 0 and 1 (float32)."""
        numbers = self._window.numbers(view.start)
        labels = self._reader.frame_labels(self._clips[index], numbers)
        return self._in_mirror(labels) if view.mirrored else labels

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

    def _in_mirror(self, label: np.ndarray) -> np.ndarray:
        assert self._augmentation is not None
        order = self._augmentation.order(len(self._reader.index.classes))
        swapped: np.ndarray = label[..., order] if label.ndim else order[label]
        return swapped


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


def balanced_weights(targets: np.ndarray, classes: int) -> np.ndarray:
    """Weights that make up for classes of different frequency, shape (classes,).

    One label a clip: clips / (classes * clips of the class), so that the weights average 1 over
    the clips. Several labels: clips without the class per clip with it, from 1 to 100.

    Args:
        targets: class numbers (N,), or 0 and 1 (N, classes).
        classes: number of classes.
    """
    count = len(targets)
    if targets.ndim == 1:
        have = np.bincount(targets, minlength=classes)
        return np.asarray(count / (classes * np.maximum(have, 1)))
    positive = np.maximum(targets.sum(0), 1)
    return np.asarray(np.clip((count - positive) / positive, 1.0, LARGEST_WEIGHT))
