"""One clip: decode, convert, encode. This is what worker processes run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from components.core.video.convert import Converter, Fit
from components.core.video.decode import (
    ClipError,
    Schedule,
    TimesError,
    Video,
    announced,
    counted,
    describe,
    open_video,
    wanted_frames,
)
from components.core.video.encoded import EncodedClip
from components.core.video.sampling import Sampling

_BUFFER = 1 << 20


@dataclass(frozen=True)
class Recipe:
    """What is done to every clip."""

    sampling: Sampling
    fit: Fit
    storage: str
    jpeg_quality: int


@dataclass(frozen=True)
class Task:
    """One clip to extract into a file of its own."""

    clip: Path
    part: Path
    recipe: Recipe


def extract_clip(task: Task, tick: Callable[[], None]) -> EncodedClip:
    """Extracts one clip; its frames lie in `task.part`, one after another.

    Raises:
        ClipError: the clip cannot be used.
        OSError: the part cannot be written.
    """
    av.logging.set_level(av.logging.PANIC)
    try:
        try:
            with open_video(task.clip) as video:
                return _extract(task, video, announced(video, tick), tick)
        except TimesError:
            schedule = counted(task.clip, tick)
            with open_video(task.clip) as video:
                return _extract(task, video, schedule, tick)
    except TimesError:
        raise ClipError("decode: it gives other frames each time") from None
    except av.FFmpegError as error:
        raise ClipError(f"convert: {describe(error)}") from None


def _extract(task: Task, video: Video, schedule: Schedule, tick: Callable[[], None]) -> EncodedClip:
    recipe = task.recipe
    positions = recipe.sampling.positions(schedule.timeline)
    convert = Converter(recipe.fit, schedule.pixel_aspect)
    wanted = set(positions.tolist())
    row_of: dict[int, int] = {}
    ends = [0]
    checksum = hashlib.sha256()
    with open(task.part, "wb", _BUFFER) as part:
        for position, frame in wanted_frames(video, schedule, wanted, tick):
            if recipe.storage == "raw":
                data = convert.rgb(frame).tobytes()
            else:
                data = convert.jpeg(frame, recipe.jpeg_quality)
            part.write(data)
            checksum.update(data)
            row_of[position] = len(row_of)
            ends.append(ends[-1] + len(data))
            tick()
    rows = np.array([row_of[position] for position in positions.tolist()])
    spans = np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64)
    return EncodedClip(
        payload=task.part,
        offsets=spans[rows],
        timestamps=schedule.timeline.times[positions],
        height=convert.stored[0],
        width=convert.stored[1],
        checksum=checksum.hexdigest(),
    )
