"""ClipDataset: an immutable snapshot of labelled video clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from components.core.artifacts.base import Index
from components.core.state import digest


class Segment(BaseModel):
    """A labelled stretch of a clip; times in seconds from the clip's first frame."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: float
    end: float
    label: str


class Clip(BaseModel):
    """One clip of a ClipDataset.

    `id` is unique and stable (`<folder>/<file name>`); `path` is relative to the artifact.
    A clip that cannot be decoded has a non-empty `error`; its figures may be 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    path: str
    labels: list[str]
    group: str = ""
    """Clips of one recording share it; '' makes the clip a group of its own."""
    size: int
    """Bytes."""
    checksum: str
    """SHA-256 (hex) of the file."""
    duration: float = 0.0
    """Seconds."""
    fps: float = 0.0
    """Average frames per second."""
    frames: int = 0
    width: int = 0
    """Pixels as displayed, after rotation."""
    height: int = 0
    rotation: int = 0
    """Degrees clockwise that a player turns the picture by: 0, 90, 180 or 270."""
    segments: list[Segment] = []
    part: str = ""
    """`train` or `test` where the source names the parts; '' where it does not."""
    error: str = ""
    """Why the clip cannot be used; empty for good clips."""


class ClipDataset(Index):
    """Index of a ClipDataset directory: `index.json` and `clips/…`."""

    SCHEMA: ClassVar[str] = "trainyard/clip-dataset"

    classes: list[str]
    """Class names, sorted or in the source's own order; that of every later one-hot vector and
    model output."""
    clips: list[Clip]
    source: str = ""
    """Where it was mirrored from (no credentials)."""

    @classmethod
    def create(cls, classes: list[str], clips: list[Clip], source: str = "") -> ClipDataset:
        """Builds the index; the fingerprint covers labels, groups and file contents."""
        content = [
            [
                c.id,
                c.checksum,
                c.labels,
                c.group,
                c.error,
                [s.model_dump() for s in c.segments],
                c.part,
            ]
            for c in clips
        ]
        return cls(
            fingerprint=digest([classes, content]), classes=classes, clips=clips, source=source
        )

    def usable(self) -> Iterator[Clip]:
        """The clips that decode."""
        return (clip for clip in self.clips if not clip.error)

    def file(self, directory: Path, clip: Clip) -> Path:
        """Where a clip's video lies."""
        return directory / clip.path
