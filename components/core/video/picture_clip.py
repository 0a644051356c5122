"""Clips that exist only as numbered pictures: one Motion-JPEG file each, nothing re-encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import simplejpeg

from components.core.video.decode import ClipError

LARGEST_HOLE = 1000
"""Frames in a row that may be missing; more of them are a mistake in the numbers."""


@dataclass(frozen=True)
class PictureClip:
    """What became of the pictures of a clip."""

    frames: int
    """Frames of the file."""
    missing: list[int]
    """Numbers of frames that had no picture; the one before stands in."""
    damaged: list[int]
    """Numbers of frames whose picture does not decode; the one before stands in."""


def write_picture_clip(
    path: Path, pictures: Mapping[int, Path], fps: float, frames: int = 0
) -> PictureClip:
    """Puts numbered JPEG pictures as they are into an AVI file; equal ones give equal files.

    Frames without a usable picture repeat the one before (the first frames the one after), so
    that the clip keeps its length and its times.

    Args:
        path: the file to write.
        pictures: frame number, from 0, → JPEG file.
        fps: frames per second, up to 1000.
        frames: how many there should be at least; 0 where that is not known.

    Raises:
        ClipError: no picture is usable, they differ in size, or far too many are missing.
    """
    length = max(frames, max(pictures, default=-1) + 1)
    _refuse_holes(sorted(pictures), length)
    usable: dict[int, Path] = {}
    sizes: dict[tuple[int, int], int] = {}
    for number, picture in sorted(pictures.items()):
        if size := _size(picture):
            usable[number] = picture
            sizes.setdefault(size, number)
    if not usable:
        raise ClipError(f"pictures: none of {len(pictures)} is a JPEG picture that decodes")
    if len(sizes) > 1:
        listed = ", ".join(f"{w}x{h} from frame {n}" for (w, h), n in list(sizes.items())[:5])
        raise ClipError(f"pictures: they differ in size ({listed})")
    _mux(path, [usable.get(number) for number in range(length)], next(iter(sizes)), fps)
    return PictureClip(
        frames=length,
        missing=[number for number in range(length) if number not in pictures],
        damaged=[number for number in pictures if number not in usable],
    )


def _refuse_holes(numbers: list[int], length: int) -> None:
    for before, after in zip([-1, *numbers], [*numbers, length], strict=True):
        if numbers and after - before - 1 > LARGEST_HOLE:
            raise ClipError(
                f"pictures: {after - before - 1} frames in a row have none, from {before + 1} on; "
                f"at most {LARGEST_HOLE} are filled"
            )


def _size(picture: Path) -> tuple[int, int] | None:
    """(width, height) of a JPEG file that decodes to its end; None of any other."""
    try:
        # strict: a picture that was cut off decodes to something, with a warning
        image = simplejpeg.decode_jpeg(picture.read_bytes(), strict=True)
    except ValueError:
        return None
    return image.shape[1], image.shape[0]


def _mux(path: Path, pictures: list[Path | None], size: tuple[int, int], fps: float) -> None:
    rate = Fraction(fps).limit_denominator(65_535)
    data = next(picture for picture in pictures if picture).read_bytes()
    with av.open(str(path), "w", format="avi", options={"fflags": "+bitexact"}) as output:
        stream: Any = output.add_stream("mjpeg", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p"  # for the header; each picture says what it is
        stream.codec_context.time_base = stream.time_base = 1 / rate
        for number, picture in enumerate(pictures):
            data = picture.read_bytes() if picture else data
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, 1 / rate
            packet.pts = packet.dts = number
            packet.duration, packet.is_keyframe = 1, True
            output.mux(packet)
