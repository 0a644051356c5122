"""FrameDataset: decoded, resized clips, packed in shards for fast training reads.

A directory holds `index.json`, `shards/00000.bin …` (JPEG images or raw RGB frames, one after
another), `offsets.npy` (frames, 2: begin and end in the clip's shard) and `timestamps.npy`
(frames,: seconds from the clip's first frame).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import simplejpeg

from components.core import files
from components.core.artifacts.base import Index, resolve
from components.core.artifacts.frame_shards import (
    SHARD_BYTES,
    STORAGES,
    FrameClip,
    ShardWriter,
    Skipped,
    encode_clip,
    shard_name,
)
from components.core.errors import InputError
from components.core.state import digest

_OPEN_SHARDS = 256
"""A mapped file holds a descriptor, and 1,024 per process is a usual limit."""


class FrameDataset(Index):
    """Index of a FrameDataset directory; `clips` are the usable ones only."""

    SCHEMA: ClassVar[str] = "trainyard/frame-dataset"

    parent: str
    """Fingerprint of the ClipDataset."""
    classes: list[str]
    storage: str
    """`jpeg` or `raw`."""
    jpeg_quality: int = 90
    frame_size: int
    """Side in pixels that readers crop to; stored frames exceed it by `crop_margin`."""
    crop_margin: int = 0
    resize: str = "stretch"
    """`stretch`, `letterbox` or `short_side`."""
    sampling: dict[str, Any] = {}
    """`{"mode": "uniform", "frames": 32}`, `{"mode": "fps", "fps": 12.5}` or `{"mode": "all"}`."""
    clips: list[FrameClip]
    skipped: list[Skipped] = []
    """Clips of the parent that could not be used."""
    shard_sizes: list[int]
    """Bytes of each shard."""

    @classmethod
    def create(cls, writer: ShardWriter, **fields: Any) -> FrameDataset:
        """Builds the index of what `writer` holds; the fingerprint covers frames and labels."""
        content = [
            [c.id, c.labels, c.group, c.frames, c.height, c.width, c.checksum] for c in writer.clips
        ]
        skipped = [s.id for s in writer.skipped]
        return cls(
            **fields,
            fingerprint=digest([fields, content, skipped]),
            clips=writer.clips,
            skipped=writer.skipped,
            shard_sizes=writer.shard_sizes,
        )


class FrameReader:
    """Reads windows and crops of clips; picklable, opens its files on first use per process.

    Shards are memory-mapped, so processes that read the same data share the page cache.
    """

    def __init__(self, directory: Path) -> None:
        """Opens a FrameDataset directory.

        Raises:
            InputError: it is not one, or its index is damaged.
        """
        self.directory = resolve(directory)
        self.index = FrameDataset.load(self.directory)
        self._reset()

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.index.clips)

    def __getstate__(self) -> dict[str, Any]:
        return {"directory": self.directory, "index": self.index}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def timestamps(self, clip: int) -> npt.NDArray[np.float64]:
        """Seconds of each stored frame from the clip's first frame; shape (frames,)."""
        entry = self.index.clips[clip]
        return np.array(self._table("timestamps")[entry.first : entry.first + entry.frames])

    def frame_labels(self, clip: int, frames: Sequence[int]) -> npt.NDArray[np.float32]:
        """The labels of single frames: 0 and 1, (T, classes) in the order of `index.classes`.

        A frame has the labels of the segments that it begins in, `start <= time < end`. Labels of
        the clip that no segment places in time hold for every frame, so all do where a clip has no
        segments.

        Args:
            clip: position in `index.clips`.
            frames: frame numbers from 0; numbers past the end repeat the last frame.
        """
        entry = self.index.clips[clip]
        row = {name: number for number, name in enumerate(self.index.classes)}
        times = self.timestamps(clip)[np.minimum(np.asarray(frames, int), entry.frames - 1)]
        labels = np.zeros((len(times), len(row)), np.float32)
        placed = {segment.label for segment in entry.segments}
        labels[:, [row[name] for name in entry.labels if name not in placed]] = 1
        for segment in entry.segments:
            labels[(segment.start <= times) & (times < segment.end), row[segment.label]] = 1
        return labels

    def read(
        self,
        clip: int,
        frames: Sequence[int],
        crop: tuple[int, int, int, int] | None = None,
        out: npt.NDArray[np.uint8] | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Decodes frames of one clip.

        Args:
            clip: position in `index.clips`.
            frames: frame numbers from 0; numbers past the end repeat the last frame.
            crop: (top, left, height, width) in stored pixels; None for whole frames.
            out: array to fill, (T, height, width, 3) uint8, C-contiguous; allocated when None.

        Returns:
            (T, height, width, 3) uint8 RGB.

        Raises:
            InputError: a shard is missing or damaged.
            ValueError: a negative frame number, a crop outside the frame, or a wrong `out`.
        """
        entry = self.index.clips[clip]
        top, left, height, width = crop or (0, 0, entry.height, entry.width)
        _check_crop(entry, top, left, height, width)
        numbers = np.minimum(np.asarray(frames, np.int64), entry.frames - 1)
        if numbers.size and numbers.min() < 0:
            raise ValueError(f"frame numbers start at 0, got {numbers.min()}")
        shape = (len(numbers), height, width, 3)
        if out is None:
            out = np.empty(shape, np.uint8)
        elif out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise ValueError(f"out must be C-contiguous uint8 {shape}, got {out.dtype} {out.shape}")
        spans = self._table("offsets")[entry.first + numbers]
        data = self._shard(entry.shard)
        window = slice(top, top + height), slice(left, left + width)
        if self.index.storage == "raw":
            _copy_raw(data, spans, entry, window, out)
        else:
            self._decode(data, spans, entry, window, out)
        return out

    def _decode(
        self,
        data: memoryview,
        spans: npt.NDArray[np.int64],
        entry: FrameClip,
        window: tuple[slice, slice],
        out: npt.NDArray[np.uint8],
    ) -> None:
        # Even whole frames go through it: one frame stays in the processor's cache, and filling
        # new memory row by row is slow.
        scratch = np.empty((entry.height, entry.width, 3), np.uint8)
        before: tuple[int, int] | None = None
        for position, (begin, end) in enumerate(spans.tolist()):
            if before == (begin, end):
                out[position] = out[position - 1]
                continue
            try:
                simplejpeg.decode_jpeg(data[begin:end], buffer=scratch)
            except ValueError as error:
                shard = self.directory / "shards" / shard_name(entry.shard)
                raise InputError(f"{shard} is damaged ({entry.id}): {error}") from None
            out[position] = scratch[window]
            before = (begin, end)

    def _shard(self, number: int) -> memoryview:
        if number not in self._shards:
            if len(self._shards) >= _OPEN_SHARDS:
                del self._shards[next(iter(self._shards))]
            path = self.directory / "shards" / shard_name(number)
            if not path.is_file() or path.stat().st_size != self.index.shard_sizes[number]:
                raise InputError(
                    f"{path} is missing or does not have the {self.index.shard_sizes[number]} "
                    "bytes that the index lists; extract the frames again"
                )
            with open(path, "rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._shards[number] = memoryview(mapped)
        return self._shards[number]

    def _table(self, name: str) -> npt.NDArray[Any]:
        if name not in self._tables:
            path = self.directory / f"{name}.npy"
            try:
                self._tables[name] = np.load(path, mmap_mode="r" if self.index.clips else None)
            except (OSError, ValueError, EOFError) as error:
                raise InputError(f"{path} is missing or damaged: {error}") from None
        return self._tables[name]

    def _reset(self) -> None:
        self._shards: dict[int, memoryview] = {}
        self._tables: dict[str, npt.NDArray[Any]] = {}


def write_frames(
    directory: Path,
    clips: Iterable[
        tuple[str, Sequence[str], str, npt.NDArray[np.uint8], Sequence[float] | npt.NDArray[Any]]
    ],
    classes: Sequence[str],
    parent: str = "",
    storage: str = "jpeg",
    *,
    frame_size: int = 0,
    crop_margin: int = 0,
    resize: str = "stretch",
    sampling: dict[str, Any] | None = None,
    jpeg_quality: int = 90,
    shard_bytes: int = SHARD_BYTES,
) -> FrameDataset:
    """Writes a FrameDataset from arrays.

    Args:
        directory: created; it must not exist.
        clips: (id, labels, group, frames (T, H, W, 3) uint8 RGB, T timestamps in seconds) each.
        classes: class names in the order of one-hot vectors.
        parent: fingerprint of the ClipDataset.
        storage: `jpeg` or `raw`.
        frame_size: side that readers crop to; 0 takes the first clip's shorter side less the
            margin.
        crop_margin: pixels stored beyond `frame_size`.
        resize: how the frames were fitted, for the record.
        sampling: how the frames were chosen, for the record.
        jpeg_quality: 1 to 100.
        shard_bytes: size at which a shard is closed.

    Raises:
        ValueError: an unknown storage.
    """
    if storage not in STORAGES:
        raise ValueError(f"storage must be {' or '.join(STORAGES)}, got {storage!r}")
    with files.atomic_path(directory) as temporary:
        writer = ShardWriter(temporary / "work", shard_bytes)
        for clip_id, labels, group, frames, timestamps in clips:
            encoded = encode_clip(frames, list(timestamps), storage, jpeg_quality)
            writer.add(clip_id, list(labels), group, encoded)
        writer.finish(temporary)
        files.remove(temporary / "work")
        if not frame_size and writer.clips:
            first = writer.clips[0]
            frame_size = min(first.height, first.width) - crop_margin
        index = FrameDataset.create(
            writer,
            parent=parent,
            classes=list(classes),
            storage=storage,
            jpeg_quality=jpeg_quality,
            frame_size=frame_size,
            crop_margin=crop_margin,
            resize=resize,
            sampling=sampling or {"mode": "all"},
        )
        index.save(temporary)
    return index


def _check_crop(entry: FrameClip, top: int, left: int, height: int, width: int) -> None:
    inside = 0 <= top <= top + height <= entry.height and 0 <= left <= left + width <= entry.width
    if not inside or height < 1 or width < 1:
        raise ValueError(
            f"crop (top {top}, left {left}, height {height}, width {width}) does not fit into "
            f"{entry.id}, whose frames have {entry.height} x {entry.width} pixels"
        )


def _copy_raw(
    data: memoryview,
    spans: npt.NDArray[np.int64],
    entry: FrameClip,
    window: tuple[slice, slice],
    out: npt.NDArray[np.uint8],
) -> None:
    size = entry.height * entry.width * 3
    if not len(spans):
        return
    begin = int(spans[0, 0])
    if np.array_equal(spans[:, 0], begin + size * np.arange(len(spans))):
        view = np.frombuffer(data, np.uint8, len(spans) * size, begin)
        out[...] = view.reshape(-1, entry.height, entry.width, 3)[:, window[0], window[1]]
        return
    for position, start in enumerate(spans[:, 0].tolist()):
        view = np.frombuffer(data, np.uint8, size, start)
        out[position] = view.reshape(entry.height, entry.width, 3)[window]
