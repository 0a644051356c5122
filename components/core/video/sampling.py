"""Which frames of a clip are taken: by presentation time, so that variable rates come out right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MODES = ("uniform", "fps", "all")

_EXACT = 1e-6
"""Seconds that floating-point times may be off."""

_ROUNDED = 0.0015
"""Seconds that the times of Matroska, FLV and ASF may be off, which know milliseconds only."""


@dataclass(frozen=True)
class Timeline:
    """When each frame of a clip is on display, in presentation order."""

    times: npt.NDArray[np.float64]
    """(frames,): seconds from the first frame, ascending."""
    end: float
    """Seconds at which the last frame leaves the display."""


@dataclass(frozen=True)
class Sampling:
    """How frames are chosen from a timeline.

    - `uniform`: `frames` instants, each in the middle of an equal part of the clip. A clip with
      no more frames than that gives all of them, once.
    - `fps`: an instant every 1/`fps` seconds from the first frame on.
    - `all`: every frame.

    At each instant the frame on display is taken; with `fps` above the clip's own rate, and where
    a variable rate slows down, one frame is taken several times.
    """

    mode: str
    frames: int = 0
    fps: float = 0.0

    def positions(self, timeline: Timeline) -> npt.NDArray[np.int64]:
        """Positions of the chosen frames, ascending, with repetitions; shape (samples,)."""
        count = len(timeline.times)
        if self.mode == "all" or (self.mode == "uniform" and count <= self.frames):
            return np.arange(count, dtype=np.int64)
        if self.mode == "uniform":
            instants = (np.arange(self.frames) + 0.5) * (timeline.end / self.frames) + _EXACT
        else:
            samples = max(1, int(np.ceil(round((timeline.end - _ROUNDED) * self.fps, 6))))
            instants = np.arange(samples) / self.fps + _ROUNDED
        shown = np.searchsorted(timeline.times, instants, side="right") - 1
        return np.clip(shown, 0, count - 1).astype(np.int64)

    def record(self) -> dict[str, Any]:
        """The sampling as it is noted in a FrameDataset and in a model's preprocessing."""
        record: dict[str, Any] = {"mode": self.mode}
        if self.mode == "uniform":
            record["frames"] = self.frames
        elif self.mode == "fps":
            record["fps"] = self.fps
        return record

    def expected(self, frames: int, duration: float) -> int:
        """Roughly how many frames a clip of so many frames and seconds gives."""
        if self.mode == "uniform":
            return min(frames, self.frames)
        return frames if self.mode == "all" else max(1, int(np.ceil(duration * self.fps)))
