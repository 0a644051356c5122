"""Decoding the wanted frames of a clip with PyAV, in order, on one thread.

Seeking to each frame is slower than decoding in order on clips of usual length, and one decoding
thread per process scales best over a pool of processes. What is not wanted is not converted, and
in H.264 and H.265 frames that no other frame refers to are not even decoded, which leaves all
others bit-exact.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from components.core.errors import InputError
from components.core.video.deinterlace import deinterlaced
from components.core.video.sampling import Timeline

_READ_SECONDS = 60.0
"""Limit for one blocking read of a file."""

_KEPT_BYTES = 32 << 20
"""Files up to about this size are read once and not twice."""

_SKIPPABLE = ("h264", "hevc")
"""Decoders that pass over unreferenced frames with no effect on the others."""

_ERRORS = (av.FFmpegError, OSError, ValueError, MemoryError)


class ClipError(InputError):
    """A clip that cannot be opened or decoded; the message is the reason for the index."""


class TimesError(Exception):
    """The frames that come out are not those that the packets announce."""


@dataclass(frozen=True)
class Schedule:
    """A clip's timeline and where it comes from."""

    timeline: Timeline
    position: dict[int, int] | None = None
    """Presentation timestamp → position, where the packets announce it; otherwise frames are
    counted as they come."""
    whole: bool = True
    """No packet is damaged."""
    pixel_aspect: float = 1.0
    """Width of a pixel through its height."""


def no_tick() -> None:
    """Stands in where nobody watches the progress."""


class Video:
    """An open clip; made by `open_video`. Its frames can be decoded once."""

    def __init__(self, path: Path, container: Any, stream: Any) -> None:
        self.path = path
        self.stream = stream
        self._container = container
        self._kept: list[Any] | None = None
        self._read = False

    def packets(self) -> Iterator[Any]:
        """The video's packets, ending with the empty one that flushes the decoder.

        Those of a small file are kept from the first pass, larger files are read again.

        Raises:
            ClipError: the file cannot be read on.
        """
        if self._kept is not None:
            yield from self._kept
        elif self._read:
            with open_video(self.path) as again:
                yield from again.packets()
        else:
            self._read = True
            kept, size = [], 0
            try:
                for packet in self._container.demux(self.stream):
                    size += packet.size
                    if size <= _KEPT_BYTES:
                        kept.append(packet)
                    yield packet
            except _ERRORS as error:
                raise ClipError(f"read: {describe(error)}") from None
            if size <= _KEPT_BYTES:
                self._kept = kept


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Opens a file for decoding on one thread.

    Raises:
        ClipError: not a regular file, unreadable, of no known format, or without video.
    """
    if not path.is_file():
        raise ClipError("open: not a file")
    try:
        container: Any = av.open(
            str(path),
            metadata_errors="ignore",
            timeout=_READ_SECONDS,
            # A playlist that calls itself a clip must not make us fetch what it names.
            options={"protocol_whitelist": "file"},
        )
    except _ERRORS as error:
        raise ClipError(f"open: {describe(error)}") from None
    with container:
        stream = next(filter(_moves, container.streams.video), None)
        if stream is None:
            raise ClipError("no video stream")
        if stream.codec_context is None:
            raise ClipError("no decoder for its codec")
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        yield Video(path, container, stream)


def _moves(stream: Any) -> bool:
    """Whether a stream is video, not the cover picture of a recording."""
    return not stream.disposition & av.stream.Disposition.attached_pic


def announced(video: Video, tick: Callable[[], None] = no_tick) -> Schedule:
    """The schedule that the file's packets announce, found without decoding.

    Raises:
        ClipError: the file cannot be read.
        TimesError: packets without timestamps, or several with the same.
    """
    shown: list[int | None] = []
    durations: list[int] = []
    whole = True
    for packet in video.packets():
        tick()
        whole = whole and not packet.is_corrupt
        if packet.size and not packet.is_discard:
            shown.append(packet.pts)
            durations.append(packet.duration or 0)
    timeline, position = packet_timeline(video.stream, shown, durations)
    return Schedule(timeline, position, whole, _pixel_aspect(video.stream))


def packet_timeline(
    stream: Any, shown: list[int | None], durations: list[int]
) -> tuple[Timeline, dict[int, int]]:
    """Timeline and positions from packets' timestamps and durations, in the stream's time base.

    Raises:
        TimesError: no packets, or timestamps that are missing or not unique.
    """
    stamps = sorted(stamp for stamp in shown if stamp is not None)
    if not shown or len(set(stamps)) < len(shown):
        raise TimesError
    unit = float(stream.time_base)
    times: npt.NDArray[np.float64] = (np.asarray(stamps, np.float64) - stamps[0]) * unit
    # With reordered frames, containers store what passes between packets, not between frames.
    last = durations[-1] * unit if shown[-1] == stamps[-1] else 0.0
    position = {stamp: number for number, stamp in enumerate(stamps)}
    return Timeline(times, _end(times, last, stream)), position


def counted(path: Path, tick: Callable[[], None] = no_tick) -> Schedule:
    """The schedule of the frames that really come out, found by decoding all of them.

    Frames come out in presentation order, so times that contradict it are sorted, and where some
    are missing the average frame rate stands in.

    Raises:
        ClipError: the file cannot be read or decoded.
    """
    with open_video(path) as video:
        stamps: list[float] = []
        count, last = 0, 0.0
        for frame in _decoded(video, None, tick):
            count += 1
            if frame.time is not None:
                stamps.append(frame.time)
                last = float((frame.duration or 0) * frame.time_base)
        if not count:
            raise ClipError("decode: no frame")
        times = np.sort(np.asarray(stamps, np.float64))
        if len(stamps) < count:
            times = np.arange(count) / float(video.stream.average_rate or 25)
        times -= times[0]
        timeline = Timeline(times, _end(times, last, video.stream))
        return Schedule(timeline, pixel_aspect=_pixel_aspect(video.stream))


def wanted_frames(
    video: Video, schedule: Schedule, wanted: set[int], tick: Callable[[], None] = no_tick
) -> Iterator[tuple[int, Any]]:
    """Decodes the frames at the `wanted` positions, in order: (position, VideoFrame).

    Interlaced frames come out deinterlaced. Decoding ends with the last wanted frame, unless a
    packet is damaged: then it goes on to the end, so that a broken clip is found whatever is
    wanted of it.

    Args:
        video: the clip, not decoded yet.
        schedule: from `announced` or `counted`.
        wanted: positions in the schedule's timeline; not empty.
        tick: called for every packet, to show that work goes on.

    Raises:
        ClipError: the clip cannot be decoded.
        TimesError: the frames are not those announced; use `counted`.
    """
    missing, last = set(wanted), max(wanted)
    skipper = None
    if schedule.position and schedule.whole and video.stream.codec_context.name in _SKIPPABLE:
        skipper = _Skipper(schedule.position, wanted)
    frames = _decoded(video, skipper, tick)
    for position, frame in deinterlaced(_located(frames, schedule)):
        if position in missing:
            missing.remove(position)
            yield position, frame
        if position >= last and schedule.whole:
            break
    if missing:
        raise TimesError


def describe(error: Exception) -> str:
    """A decoder's error in a few words."""
    return f"{getattr(error, 'strerror', '') or error} ({type(error).__name__})"


class _Skipper:
    """Tells the decoder, before each packet, whether its frame is needed."""

    def __init__(self, position: dict[int, int], wanted: set[int]) -> None:
        self.active = True
        self._needed = {stamp for stamp, number in position.items() if number in wanted}
        self._skipping = False

    def prepare(self, packet: Any) -> None:
        skip = self.active and packet.pts not in self._needed
        if skip != self._skipping:
            packet.stream.codec_context.skip_frame = "NONREF" if skip else "DEFAULT"
            self._skipping = skip


def _decoded(video: Video, skipper: _Skipper | None, tick: Callable[[], None]) -> Iterator[Any]:
    """Frames in presentation order."""
    last: float | None = None
    for packet in video.packets():
        tick()
        if skipper:
            skipper.prepare(packet)
        try:
            frames = packet.decode()
        except _ERRORS as error:
            where = "before the first frame" if last is None else f"after {last:.3f} s"
            raise ClipError(f"decode: {describe(error)} {where}") from None
        for frame in frames:
            if skipper and frame.interlaced_frame:
                skipper.active = False  # deinterlacing looks at the neighbours
            last = frame.time
            yield frame


def _located(frames: Iterator[Any], schedule: Schedule) -> Iterator[tuple[int, Any]]:
    if schedule.position is None:
        yield from enumerate(frames)
        return
    before = -1
    for frame in frames:
        position = schedule.position.get(frame.pts, -1)
        if position <= before:
            raise TimesError
        yield position, frame
        before = position


def _end(times: npt.NDArray[np.float64], last: float, stream: Any) -> float:
    """When the last frame leaves: by its own duration, or as long as those before it last."""
    if last <= 0 and len(times) > 1:
        last = statistics.median(np.diff(times[-6:]).tolist())
    elif last <= 0 and stream.average_rate:
        last = 1 / float(stream.average_rate)
    return float(times[-1] + last)


def _pixel_aspect(stream: Any) -> float:
    return float(stream.sample_aspect_ratio or 1)
