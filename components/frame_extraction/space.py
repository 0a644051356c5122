"""How much room the frames will need, estimated before anything is decoded."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from components.core.artifacts.clips import Clip
from components.core.errors import OutOfSpaceError
from components.core.events import Reporter
from components.frame_extraction.extract import Recipe

_TYPICAL = 0.21
_LEAST = 0.02
"""Bytes per pixel of a JPEG at quality 90: of natural video, and of the plainest pictures."""


def check_space(clips: Iterable[Clip], recipe: Recipe, folder: Path, report: Reporter) -> None:
    """Compares what `clips` will need in `folder` with what is free there.

    Warns when it will probably not be enough.

    Raises:
        OutOfSpaceError: it is certain not to be enough.
    """
    pixels = sum(_pixels(clip, recipe) for clip in clips)
    least, typical = (
        (3 * pixels, 3 * pixels)
        if recipe.storage == "raw"
        else (pixels * _LEAST, pixels * _TYPICAL)
    )
    free = shutil.disk_usage(folder).free
    if typical <= free:
        return
    text = (
        f"extracting the frames needs {'about' if least <= free else 'at least'} "
        f"{megabytes(typical if least <= free else least)}, but only {megabytes(free)} are free "
        f"in {folder}"
    )
    advice = "free some space, set TRAINYARD_STATE_DIR to a larger volume"
    if recipe.storage == "raw":
        advice += ", or use storage=jpeg, about a fourteenth of the size"
    else:
        advice += ", or lower sample_frames or frame_size"
    if least > free:
        raise OutOfSpaceError(f"{text}; nothing was started: {advice}")
    report.warn(f"{text}: {advice}")


def megabytes(size: float) -> str:
    """`12 MB`, in millions of bytes."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e6:,.1f} MB"


def _pixels(clip: Clip, recipe: Recipe) -> float:
    height, width = recipe.fit.stored(max(clip.height, 1), max(clip.width, 1))
    frames = recipe.sampling.expected(clip.frames, clip.duration)
    # A frame that is taken several times is stored once.
    return height * width * min(frames, clip.frames)
