"""Which part of a stored clip a network sees: a window in time, a crop in space, maybe mirrored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.core.artifacts.frames import FrameDataset
from components.core.training.seeds import EXAMPLE, generator


@dataclass(frozen=True)
class View:
    """One part of one clip."""

    start: int
    """First frame."""
    top: int
    left: int
    mirrored: bool = False
    """Left and right exchanged, in every frame."""


@dataclass(frozen=True)
class Window:
    """The size of what a network sees."""

    frames: int
    stride: int
    """Stored frames from one seen frame to the next."""
    size: int
    """Side of the square crop in pixels."""

    @property
    def span(self) -> int:
        """Stored frames that the window covers."""
        return (self.frames - 1) * self.stride + 1

    def numbers(self, start: int) -> list[int]:
        """The stored frames seen from `start` on; a reader repeats the last frame past the end."""
        return list(range(start, start + self.span, self.stride))

    def preprocessing(self, index: FrameDataset) -> dict[str, Any]:
        """How a clip of these frames becomes the input, as a ModelBundle tells it."""
        return {
            "frames": self.frames,
            "stride": self.stride,
            "size": self.size,
            "resize": index.resize,
            "frame_size": index.frame_size,
            "crop_margin": index.crop_margin,
            "sampling": index.sampling,
        }

    def centred(self, frames: int, height: int, width: int) -> View:
        """The middle of a clip of this size; shorter clips start at their first frame."""
        return View(
            max(frames - self.span, 0) // 2, (height - self.size) // 2, (width - self.size) // 2
        )


@dataclass(frozen=True)
class Augmentation:
    """Random views: the start, the crop within what is stored, and mirroring if wanted."""

    seed: int
    mirror: bool = False
    """Mirror half of the clips."""
    swaps: Mapping[int, int] = field(default_factory=dict)
    """Class → what it becomes in the mirror."""

    def view(self, window: Window, epoch: int, example: int, size: tuple[int, int, int]) -> View:
        """The view of an example in an epoch; `size` is the clip's frames, height and width."""
        frames, height, width = size
        draw = generator(self.seed, EXAMPLE, epoch, example)
        return View(
            start=int(draw.integers(max(frames - window.span, 0) + 1)),
            top=int(draw.integers(height - window.size + 1)),
            left=int(draw.integers(width - window.size + 1)),
            mirrored=self.mirror and bool(draw.integers(2)),
        )

    def order(self, classes: int) -> np.ndarray:
        """For each class the one it becomes in the mirror."""
        return np.array([self.swaps.get(number, number) for number in range(classes)])


def swap_pairs(pairs: Sequence[str], classes: Sequence[str]) -> dict[int, int]:
    """The classes that mirroring exchanges, from texts like `turning_left=turning_right`.

    Raises:
        ValueError: with every text that is not two known, different classes, used once.
    """
    swaps: dict[int, int] = {}
    problems = []
    for pair in pairs:
        left, _, right = (part.strip() for part in pair.partition("="))
        unknown = [name for name in (left, right) if name not in classes]
        if unknown:
            named = ", ".join(repr(name) for name in unknown)
            problems.append(f"{pair!r}: no class {named} (classes: {', '.join(classes)})")
            continue
        first, second = classes.index(left), classes.index(right)
        if first == second or first in swaps or second in swaps:
            problems.append(f"{pair!r}: a class can be exchanged with one other class only")
            continue
        swaps[first], swaps[second] = second, first
    if problems:
        raise ValueError("; ".join(problems))
    return swaps


def mirrored_names(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of classes whose names differ in left and right only; mirroring may exchange them."""
    pairs = []
    for name in classes:
        other = name.replace("left", "right").replace("Left", "Right").replace("LEFT", "RIGHT")
        if other != name and other in classes:
            pairs.append((name, other))
    return pairs
