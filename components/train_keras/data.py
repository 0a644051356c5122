"""tf.data from a FrameDataset.

The FrameDataset is the cache: decoded once, on disk, its key made from data set and settings. The
order is shuffled before it is read, so each epoch has another one, and other random views. What an
epoch consists of depends on the seed and its number alone, however often training was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from components.core.training.clip_views import ClipViews
from components.core.training.plan import BatchPlan
from components.core.training.seeds import ORDER, generator

PREFETCHED = 2
"""Batches that wait for the network."""

Item = tuple[int, list[int]]
"""Epoch, and positions of the clips of one batch."""


@dataclass(frozen=True)
class ShuffledPlan(BatchPlan):
    """Batches whose order comes out of a buffer of so many clips; 0 for all of them."""

    buffer: int = 0

    def order(self, epoch: int) -> np.ndarray:
        """All example numbers in the order of an epoch."""
        if not 0 < self.buffer < self.count:
            return super().order(epoch)
        draw = generator(self.seed, ORDER, epoch)
        buffer, order = list(range(self.buffer)), []
        for waiting in range(self.buffer, self.count):
            place = int(draw.integers(self.buffer))
            order.append(buffer[place])
            buffer[place] = waiting
        return np.array([*order, *draw.permutation(buffer)])


class ClipBatches:
    """Batches of clips for Keras.

    Args:
        views: the clips.
        classes: number of them.
        weights: (classes,) of each class in the loss; None for 1.
        workers: threads that read ahead.
    """

    def __init__(
        self, views: ClipViews, classes: int, weights: np.ndarray | None, workers: int
    ) -> None:
        self._views = views
        self._classes = classes
        self._weights = np.ones(classes, np.float32) if weights is None else weights
        self._workers = workers
        self.failure: Exception | None = None
        """Why reading failed; TensorFlow only tells that it did."""

    def __len__(self) -> int:
        """Number of clips."""
        return len(self._views)

    @property
    def targets(self) -> np.ndarray:
        """Class numbers (N,)."""
        return self._views.targets

    def dataset(self, items: Sequence[Item]) -> Any:
        """A tf.data.Dataset of these batches, in order.

        Returns:
            Of (frames, labels, weights): frames (B, T, H, W, 3) float32 in [0, 1], RGB; labels
            (B, classes) of 0 and 1; weights (B,).
        """

        def load(number: Any) -> tuple[Any, Any, Any]:
            kinds = (tf.uint8, tf.float32, tf.float32)
            read = partial(self._read, items)
            frames, labels, weights = tf.numpy_function(read, [number], kinds)
            frames.set_shape((None, *self._views.shape(1)[1:]))
            labels.set_shape((None, self._classes))
            weights.set_shape((None,))
            return tf.cast(frames, tf.float32) / 255.0, labels, weights

        numbers = tf.data.Dataset.range(len(items))
        ahead = numbers.map(load, num_parallel_calls=self._workers, deterministic=True)
        return ahead.prefetch(PREFETCHED)

    def _read(
        self, items: Sequence[Item], number: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        epoch, indices = items[int(number)]
        frames = np.empty(self._views.shape(len(indices)), np.uint8)
        try:
            labels, _ = self._views.fill(epoch, indices, frames)
        except Exception as error:
            self.failure = error
            raise
        hot = np.eye(self._classes, dtype=np.float32)[labels]
        return frames, hot, self._weights[labels].astype(np.float32)
