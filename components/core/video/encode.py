"""Writes small video clips, for demonstrations and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from components.core import files

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"}

_TICKS = 60_000
"""Timestamps per second: exact for all common rates, NTSC's included, and below MPEG-4's limit."""


def write_clip(
    path: Path,
    frames: npt.NDArray[np.uint8],
    fps: float,
    codec: str = "libx264",
    *,
    pixel_format: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    timestamps: Sequence[float] | None = None,
    rotation: int = 0,
) -> None:
    """Encodes a clip; the same call on the same library versions writes the same bytes.

    Args:
        path: the suffix chooses the container (`.mp4`, `.mov`, `.mkv`, `.webm`, `.avi`).
        frames: (T, H, W, 3) uint8 RGB.
        fps: frames per second (nominal where `timestamps` are given).
        codec: an FFmpeg encoder.
        pixel_format: what the encoder gets; `yuv420p` needs even sizes, `yuv444p` takes any.
        options: encoder options; by default constant quality (crf 18) for libx264.
        timestamps: seconds of each frame, ascending, for a variable frame rate.
        rotation: degrees clockwise that a player must turn the picture by (MP4 and MOV).

    Raises:
        ValueError: an unknown suffix, a wrong array, or an odd size that the format cannot hold.
    """
    if path.suffix.lower() not in CONTAINERS:
        raise ValueError(f"{path}: unknown suffix; known are {', '.join(CONTAINERS)}")
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(f"frames must be (T, H, W, 3) uint8, got {frames.dtype} {frames.shape}")
    height, width = frames.shape[1:3]
    if pixel_format == "yuv420p" and (height % 2 or width % 2):
        raise ValueError(f"yuv420p needs even sizes, got {width}x{height}; use yuv444p")
    if options is None:
        options = {"crf": "18"} if codec == "libx264" else {}
    if codec.startswith("libx264"):  # its macroblock tree reads memory that it never wrote
        options = {"x264-params": "mbtree=0", **options}
    times = np.arange(len(frames)) / fps if timestamps is None else np.asarray(timestamps)
    container_format = CONTAINERS[path.suffix.lower()]
    # AVI knows frame numbers only; its time base must be the frame interval.
    rate = Fraction(fps).limit_denominator(65_535)
    time_base = 1 / rate if container_format == "avi" else Fraction(1, _TICKS)
    with (
        files.atomic_path(path) as temporary,
        av.open(
            str(temporary), "w", format=container_format, options={"fflags": "+bitexact"}
        ) as output,
    ):
        stream: Any = output.add_stream(codec, rate=rate, options=dict(options))
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = time_base
        stream.codec_context.thread_count = 1
        if rotation:
            stream.set_display_rotation(-rotation)
        ticks = np.rint(times / float(time_base)).astype(np.int64)
        lengths = np.diff(ticks, append=2 * ticks[-1] - ticks[-2] if len(ticks) > 1 else ticks + 1)
        length_of = dict(zip(ticks.tolist(), lengths.tolist(), strict=True))
        for image, tick in zip([*frames, None], [*length_of, 0], strict=True):
            for packet in stream.encode(_frame(image, tick, time_base)):
                packet.duration = length_of[packet.pts]
                output.mux(packet)


def _frame(image: npt.NDArray[np.uint8] | None, tick: int, time_base: Fraction) -> Any:
    if image is None:
        return None  # makes the encoder give what it holds back
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
    frame.pts, frame.time_base = tick, time_base
    return frame
