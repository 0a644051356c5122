"""What a clip is: duration, frames, size and rotation, measured rather than read from headers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from components.core.video.decode import (
    ClipError,
    TimesError,
    Video,
    describe,
    no_tick,
    open_video,
    packet_timeline,
)
from components.core.video.orientation import orientation


@dataclass(frozen=True)
class Probe:
    """Figures of a clip; all 0 where `error` says why it cannot be used."""

    duration: float = 0.0
    """Seconds from the first frame's appearance to the end of the last."""
    fps: float = 0.0
    """Average frames per second."""
    frames: int = 0
    width: int = 0
    """Pixels as displayed, after rotation."""
    height: int = 0
    rotation: int = 0
    """Degrees clockwise that a player turns the picture by: 0, 90, 180 or 270."""
    error: str = ""


def probe(path: Path, tick: Callable[[], None] = no_tick) -> Probe:
    """Measures a clip by reading all of its packets and decoding its first frame.

    Frames are counted by packets, not taken from the header, which may be wrong or absent. A clip
    that stops decoding later on is not found here but when its frames are extracted: finding it
    costs as much as the extraction. Never raises.

    Args:
        path: the file.
        tick: called often, as a sign of progress.
    """
    try:
        with open_video(path) as video:
            return _measure(video, tick)
    except ClipError as error:
        return Probe(error=str(error))
    except Exception as error:  # a single odd file must not end the sync of a thousand
        return Probe(error=f"probe: {describe(error)}")


def _measure(video: Video, tick: Callable[[], None]) -> Probe:
    shown: list[int | None] = []
    durations: list[int] = []
    first: Any = None
    trouble = "decode: no frame"
    for packet in video.packets():
        tick()
        if packet.size and not packet.is_discard:
            shown.append(packet.pts)
            durations.append(packet.duration or 0)
        if first is None:
            try:
                first = next(iter(packet.decode()), None)
            except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
                trouble = f"decode: {describe(error)}"
    if first is None:
        return Probe(error=trouble)
    duration = _duration(video.stream, shown, durations)
    turn = orientation(first)
    width, height = (first.height, first.width) if turn.transposed else (first.width, first.height)
    return Probe(
        duration=round(duration, 6),
        fps=round(len(shown) / duration, 6) if duration else 0.0,
        frames=len(shown),
        width=width,
        height=height,
        rotation=turn.clockwise,
    )


def _duration(stream: Any, shown: list[int | None], durations: list[int]) -> float:
    try:
        return packet_timeline(stream, shown, durations)[0].end
    except TimesError:
        if stream.average_rate:
            return len(shown) / float(stream.average_rate)
        return float((stream.duration or 0) * stream.time_base)
