"""Small real clips for tests."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from components.core.video.encode import write_clip


def make_clips(root: Path, *names: str, frames: int = 8) -> Path:
    """Writes H.264 clips of 32x24 pixels at 8 frames per second, each with its own content."""
    for name in names:
        noise = np.random.default_rng(zlib.crc32(name.encode()))
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        images = noise.integers(0, 255, (frames, 24, 32, 3), dtype=np.uint8)
        write_clip(path, images, fps=8.0)
    return root
