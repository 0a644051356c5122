"""RenderingDataset: renderings of a point cloud, the photos they should become, and aux photos.

index.json          schema, fingerprint, frames with their part, summary
frames/<number>.bin renderings in four sizes with depths, lookup coordinates into each aux photo,
                    and the mask if there is one; see components.core.rendering.layout
photos/<name>.bin   each photo once, whether target, aux photo or both; (3, H, W) uint8 RGB
depths/<name>.bin   depths of the cloud as seen from aux photos, each once; (H, W)

`components.core.rendering.reader.RenderingReader` reads crops and whole frames of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from components.core.artifacts.base import Index
from components.core.artifacts.split import PARTS
from components.core.state import digest


class AuxView(BaseModel):
    """An aux photo of a frame."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    photo: str
    """File in `photos/`, without its ending: SHA-256 (hex) of the stored pixels, shortened."""
    depth: str
    """File in `depths/`, likewise."""
    height: int
    """Pixels."""
    width: int
    coverage: float
    """Share of the target's pixels that have a place in the photo, 0 to 1."""


class RenderingFrame(BaseModel):
    """A target view."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    """`<set>/<stem>`."""
    part: Literal["train", "val", "test"]
    file: str
    """Below the artifact."""
    height: int
    """Of the renderings in full size; pixels, a multiple of 16."""
    width: int
    photo: str
    """File in `photos/`, without its ending: what the rendering should become."""
    photo_height: int
    """Not less than `height`; the target is the middle."""
    photo_width: int
    aux: list[AuxView]
    """From the most similar view on."""
    mask: bool = False
    """Whether there is one that says which pixels count."""
    checksum: str
    """SHA-256 (hex) of the frame's file."""

    @property
    def set(self) -> str:
        """The folder that the frame is from."""
        return self.id.rpartition("/")[0]


class SkippedFrame(BaseModel):
    """A frame that was left out, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    reason: str


class RenderingDataset(Index):
    """Index of a RenderingDataset directory."""

    SCHEMA: ClassVar[str] = "trainyard/rendering-dataset"

    source: str = ""
    """Where the frames are from (no credentials)."""
    frames: list[RenderingFrame]
    """In the order of sets, then of names."""
    aux: int
    """Aux views of each frame."""
    precision: Literal[16, 32] = 16
    """Bits of stored depths and coordinates."""
    near: float = 0.0
    """Distance of the plane that depths were made linear with; 0: they are those of the window."""
    far: float = 0.0
    pre_init_motion: bool = False
    """Whether holes have the coordinates of the far plane (`Pre Init MV` in the viewer)."""
    lod: str = "lod0"
    """Level of detail of the point cloud, as in the names of the folders."""
    skipped: list[SkippedFrame] = []

    @classmethod
    def create(cls, frames: Sequence[RenderingFrame], **fields: Any) -> RenderingDataset:
        """Builds the index; the fingerprint covers all pixels, coordinates, parts and settings."""
        content = [frame.model_dump(exclude={"file"}) for frame in frames]
        skipped = [entry.id for entry in fields.get("skipped", [])]
        options = {k: v for k, v in fields.items() if k not in ("source", "skipped")}
        return cls(**fields, frames=list(frames), fingerprint=digest([content, skipped, options]))

    @property
    def sets(self) -> list[str]:
        """The sets that the frames are from."""
        return list(dict.fromkeys(frame.set for frame in self.frames))

    def positions(self, part: str) -> list[int]:
        """Positions in `frames` of those of one part."""
        return [place for place, frame in enumerate(self.frames) if frame.part == part]

    def split(self) -> dict[str, str]:
        """Frame id → part; what a model's training settings keep."""
        return {frame.id: frame.part for frame in self.frames}

    def counts(self) -> dict[str, dict[str, int]]:
        """Set → part → frames."""
        table = {name: dict.fromkeys(PARTS, 0) for name in self.sets}
        for frame in self.frames:
            table[frame.set][frame.part] += 1
        return table

    def seen_tests(self) -> list[str]:
        """Test frames whose photo is also an aux view of a training frame."""
        given = {view.photo for f in self.frames if f.part == "train" for view in f.aux}
        return [f.id for f in self.frames if f.part == "test" and f.photo in given]
