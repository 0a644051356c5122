"""Shards of encoded frames: many clips per file, written whole or not at all, resumable."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from pydantic import BaseModel, ConfigDict

from components.core import files
from components.core.artifacts.clips import Segment
from components.core.video.encoded import EncodedClip

SHARD_BYTES = 64 << 20
"""A shard is closed as soon as it holds this much; one long clip may make it larger."""

STORAGES = ("jpeg", "raw")


class FrameClip(BaseModel):
    """One clip of a FrameDataset: where its frames lie and what they show."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    labels: list[str]
    group: str = ""
    frames: int
    height: int
    """Pixels stored, crop margin included."""
    width: int
    shard: int
    first: int
    """Row of the clip's first frame in `offsets.npy` and `timestamps.npy`."""
    checksum: str
    """SHA-256 (hex) of the stored frames."""
    segments: list[Segment] = []
    """Labelled stretches of time, as in the ClipDataset; compare `timestamps.npy`."""


class Skipped(BaseModel):
    """A clip that was left out, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    reason: str


def encode_frame(frame: npt.NDArray[np.uint8], storage: str, quality: int) -> bytes:
    """One frame (H, W, 3 uint8 RGB) as stored: JPEG with 4:2:0 chroma, or its plain bytes."""
    frame = np.ascontiguousarray(frame)
    if storage == "raw":
        return frame.tobytes()
    encoded: bytes = simplejpeg.encode_jpeg(frame, quality, "RGB", "420", fastdct=False)
    return encoded


def encode_clip(
    frames: npt.NDArray[np.uint8], timestamps: Sequence[float], storage: str, quality: int
) -> EncodedClip:
    """Encodes a whole clip in memory: frames (T, H, W, 3) uint8 RGB, T timestamps in seconds."""
    parts = [encode_frame(frame, storage, quality) for frame in frames]
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    begins = np.concatenate([[0], ends[:-1]])
    payload = b"".join(parts)
    return EncodedClip(
        payload=payload,
        offsets=np.stack([begins, ends], axis=1),
        timestamps=np.asarray(timestamps, np.float64),
        height=frames.shape[1],
        width=frames.shape[2],
        checksum=hashlib.sha256(payload).hexdigest(),
    )


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"{number:05d}.bin"


class ShardWriter:
    """Appends clips, in order, to shards in `folder`; finished shards survive a kill.

    A shard counts once its record (`00000.json`) exists, which is written after its bytes. A new
    writer on the same folder takes finished shards over and deletes everything else, so `done`
    tells the caller how many of its clips (added or skipped) are already accounted for.
    """

    def __init__(self, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.clips: list[FrameClip] = []
        self.skipped: list[Skipped] = []
        self.shard_sizes: list[int] = []
        self._limit = shard_bytes
        self._offsets: list[npt.NDArray[np.int64]] = []
        self._timestamps: list[npt.NDArray[np.float64]] = []
        self._frames = 0
        self._file: IO[bytes] | None = None
        self._partial = folder / f"{files.PARTIAL}shard"
        self._record: dict[str, list[Any]] = _empty_record()
        self._resume()

    @property
    def done(self) -> int:
        """How many clips have been added or skipped, over all runs."""
        return len(self.clips) + len(self.skipped)

    def add(
        self,
        clip_id: str,
        labels: list[str],
        group: str,
        clip: EncodedClip,
        segments: Sequence[Segment] = (),
    ) -> None:
        """Appends a clip; a payload file is read, not removed."""
        if self._file is None:
            self._file = open(self._partial, "wb")  # noqa: SIM115, closed in _close_shard
        base = self._file.tell()
        if isinstance(clip.payload, bytes):
            self._file.write(clip.payload)
        else:
            with open(clip.payload, "rb") as payload:
                shutil.copyfileobj(payload, self._file, 1 << 20)
        size = self._file.tell()
        row = {
            "id": clip_id,
            "labels": labels,
            "group": group,
            "height": clip.height,
            "width": clip.width,
            "checksum": clip.checksum,
            "offsets": (clip.offsets + base).tolist(),
            "timestamps": clip.timestamps.tolist(),
            "segments": [segment.model_dump() for segment in segments],
        }
        self._record["clips"].append(row)
        self._take_clip(row)
        if size >= self._limit:
            self._close_shard()

    def skip(self, clip_id: str, reason: str) -> None:
        """Notes a clip that is left out."""
        self._record["skipped"].append({"id": clip_id, "reason": reason})
        self.skipped.append(Skipped(id=clip_id, reason=reason))

    def finish(self, directory: Path) -> None:
        """Closes the last shard and links shards and frame tables into `directory`."""
        if self._record["clips"] or self._record["skipped"]:
            self._close_shard()
        target = directory / "shards"
        target.mkdir(parents=True)
        for number in range(len(self.shard_sizes)):
            name = shard_name(number)
            files.link_or_copy(self.folder / name, target / name)
        offsets = np.concatenate([np.zeros((0, 2), np.int64), *self._offsets])
        np.save(directory / "offsets.npy", offsets)
        np.save(directory / "timestamps.npy", np.concatenate([np.zeros(0), *self._timestamps]))

    def discard(self) -> None:
        """Gives up the unfinished shard; finished ones stay."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._partial.unlink(missing_ok=True)

    def _take_clip(self, row: dict[str, Any]) -> None:
        offsets = np.asarray(row["offsets"], np.int64).reshape(-1, 2)
        fields = {k: v for k, v in row.items() if k not in ("offsets", "timestamps")}
        number, count = len(self.shard_sizes), len(offsets)
        self.clips.append(FrameClip(**fields, frames=count, shard=number, first=self._frames))
        self._offsets.append(offsets)
        self._timestamps.append(np.asarray(row["timestamps"], np.float64))
        self._frames += count

    def _close_shard(self) -> None:
        if self._file is None:  # only skipped clips since the last shard
            self._file = open(self._partial, "wb")  # noqa: SIM115
        size = self._file.tell()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        number = len(self.shard_sizes)
        os.replace(self._partial, self.folder / shard_name(number))
        text = json.dumps({"bytes": size, **self._record}, allow_nan=False)
        files.write_text(self.folder / f"{number:05d}.json", text)
        self.shard_sizes.append(size)
        self._record = _empty_record()

    def _resume(self) -> None:
        while True:
            number = len(self.shard_sizes)
            shard, record = self.folder / shard_name(number), self.folder / f"{number:05d}.json"
            if not (record.is_file() and shard.is_file()):
                break
            content = json.loads(record.read_text(encoding="utf-8"))
            if shard.stat().st_size != content["bytes"]:
                break
            for row in content["clips"]:
                self._take_clip(row)
            self.skipped += [Skipped(**row) for row in content["skipped"]]
            self.shard_sizes.append(content["bytes"])
        keep = {f"{number:05d}" for number in range(len(self.shard_sizes))}
        for entry in self.folder.iterdir():
            if entry.stem not in keep:
                files.remove(entry)


def _empty_record() -> dict[str, list[Any]]:
    return {"clips": [], "skipped": []}
