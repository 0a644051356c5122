"""Small FrameDatasets of squares that move: down, left or right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.core.artifacts.frames import write_frames
from components.core.artifacts.split import Split

CLASSES = ["down", "left", "right"]
MOVES = {"down": (1, 0), "left": (0, -1), "right": (0, 1)}


def moving(label: str, number: int, frames: int = 10, side: int = 28) -> np.ndarray:
    """A bright square that moves by two pixels a frame, wrapping around."""
    rng = np.random.default_rng([CLASSES.index(label), number])
    picture = rng.integers(0, 40, (side, side, 3), np.uint8)
    picture[:8, :8] = rng.integers(150, 255, 3)
    picture = np.roll(picture, rng.integers(0, side, 2), axis=(0, 1))
    rows, columns = MOVES[label]
    steps = [np.roll(picture, (2 * t * rows, 2 * t * columns), axis=(0, 1)) for t in range(frames)]
    return np.stack(steps)


def write(
    folder: Path, labels: Sequence[Sequence[str]], parts: Sequence[str], **how: Any
) -> dict[str, Path]:
    """Frames and split; clip n has `labels[n]` and lies in `parts[n]`."""
    clips = [
        (f"{own[0]}/{n}.mp4", list(own), "", moving(own[0], n, **how), np.arange(10) / 10)
        for n, own in enumerate(labels)
    ]
    write_frames(folder / "frames", clips, CLASSES, parent="a" * 64, storage="raw", crop_margin=4)
    split = Split.create("a" * 64, {c[0]: p for c, p in zip(clips, parts, strict=True)}, {})
    (folder / "split").mkdir()
    split.save(folder / "split")
    return {"frames": folder / "frames", "split": folder / "split"}
