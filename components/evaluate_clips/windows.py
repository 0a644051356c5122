"""What of a clip a bundle sees: windows in time, a centred crop, values in its range."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.frame_shards import FrameClip
from components.core.artifacts.frames import FrameReader
from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError

A = TypeVar("A")
B = TypeVar("B")

_STORED = ("T", "H", "W", "C")
"""Axes of what a reader gives."""


@dataclass(frozen=True)
class Window:
    """The input geometry of a clip classifier, from its bundle's `preprocessing`."""

    frames: int
    stride: int
    size: int
    """Side of the centred crop in pixels."""
    layout: str = "C,T,H,W"
    """Order of the axes: frames, rows, columns and colours of one clip."""
    range: tuple[float, float] = (-1.0, 1.0)
    """What black and white become."""

    @classmethod
    def of(cls, bundle: ModelBundle) -> Window:
        """Reads the geometry.

        Raises:
            InputError: the bundle does not say how a clip becomes its input.
        """
        values = bundle.preprocessing
        if missing := [key for key in ("frames", "size") if not values.get(key)]:
            raise InputError(
                f"the model's preprocessing lacks {', '.join(missing)}; it cannot be evaluated on "
                "clips (is it a clip classifier?)"
            )
        sizes = int(values["frames"]), int(values.get("stride") or 1), int(values["size"])
        source = bundle.inputs[0] if bundle.inputs else None
        layout = source.layout.removeprefix("B,") if source and source.layout else cls.layout
        low, high = source.range if source and source.range else cls.range
        if sorted(layout.split(",")) != sorted(_STORED):
            raise InputError(
                f"the model's input has the layout {source.layout if source else ''!r}; expected "
                "B, C, T, H and W in any order, such as B,C,T,H,W"
            )
        return cls(*sizes, layout, (low, high))

    def starts(self, frames: int, views: int) -> list[int]:
        """First frames of `views` windows: the centred one, or evenly spread from end to end."""
        last = max(frames - (self.frames - 1) * self.stride - 1, 0)
        if views == 1:
            return [last // 2]
        return [round(last * view / (views - 1)) for view in range(views)]

    def numbers(self, start: int) -> list[int]:
        """Frame numbers of the window that begins at `start`."""
        return [start + self.stride * step for step in range(self.frames)]

    def crop(self, clip: FrameClip) -> tuple[int, int, int, int]:
        """The centred square as (top, left, height, width)."""
        return ((clip.height - self.size) // 2, (clip.width - self.size) // 2, self.size, self.size)

    def too_small(self, clips: Sequence[FrameClip]) -> list[str]:
        """Ids of the clips whose frames are smaller than the crop."""
        return [clip.id for clip in clips if min(clip.height, clip.width) < self.size]

    def read(self, reader: FrameReader, clip: int, start: int) -> NDArray[np.float32]:
        """One window as the network's input, RGB, in its layout and range."""
        pixels = reader.read(clip, self.numbers(start), self.crop(reader.index.clips[clip]))
        order = [_STORED.index(axis) for axis in self.layout.split(",")]
        planes = np.ascontiguousarray(pixels.transpose(order), dtype=np.float32)
        low, high = self.range
        planes /= np.float32(255 / (high - low))
        planes += np.float32(low)
        return planes


def middle_frames(
    reader: FrameReader, clips: Sequence[int], workers: int
) -> Iterator[NDArray[np.uint8]]:
    """The middle frame `(H, W, 3)` of each clip, in order."""

    def read(clip: int) -> NDArray[np.uint8]:
        frames = reader.read(clip, [reader.index.clips[clip].frames // 2])
        middle: NDArray[np.uint8] = frames[0]
        return middle

    return read_ahead(read, clips, workers, ahead=64)


def read_ahead(
    function: Callable[[A], B], items: Sequence[A], workers: int, ahead: int
) -> Iterator[B]:
    """Results of `function` in order, with up to `ahead` of them computed in advance by threads."""
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(function, item) for item in items[:ahead]]
        try:
            for position in range(len(items)):
                result = waiting[position].result()
                waiting[position] = None  # type: ignore[call-overload]  # frees its memory
                if position + ahead < len(items):
                    waiting.append(pool.submit(function, items[position + ahead]))
                yield result
        finally:
            pool.shutdown(cancel_futures=True)
