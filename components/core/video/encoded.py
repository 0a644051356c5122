"""A clip's frames, encoded, on their way from a worker process into a shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class EncodedClip:
    """The stored bytes of one clip and where each frame lies in them."""

    payload: bytes | Path
    """The bytes, or a file that holds nothing else."""
    offsets: npt.NDArray[np.int64]
    """(frames, 2): begin and end of each frame in the payload; equal rows share their bytes."""
    timestamps: npt.NDArray[np.float64]
    """(frames,): seconds from the clip's first frame."""
    height: int
    """Pixels."""
    width: int
    checksum: str
    """SHA-256 (hex) of the payload."""
