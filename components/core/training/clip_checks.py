"""What frames and split must be like for any trainer of clip classifiers, in words for people."""

from __future__ import annotations

from dataclasses import dataclass, field

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.split import Split


@dataclass(frozen=True)
class Parts:
    """Positions, in the frame index, of the clips to train and to validate with."""

    train: list[int]
    val: list[int]
    remarks: list[str] = field(default_factory=list)
    """What the user should know before training starts."""

    @classmethod
    def of(cls, reader: FrameReader, split: Split) -> Parts:
        """The clips of both parts that have frames."""
        return cls(_clips(reader, split, "train"), _clips(reader, split, "val"))


def origin_problems(reader: FrameReader, split: Split) -> list[str]:
    """Frames and split of different data sets."""
    if split.parent == reader.index.parent:
        return []
    return [
        f"split: it divides the clips {split.parent[:12]}, but the frames are of the clips "
        f"{reader.index.parent[:12]}; split and extract the same data set"
    ]


def part_problems(parts: Parts) -> list[str]:
    """Parts without a clip."""
    return [
        f"split: no clip of the {name} part has frames; make the part larger"
        for name, clips in (("train", parts.train), ("val", parts.val))
        if not clips
    ]


def class_problems(reader: FrameReader, parts: Parts, otherwise: str) -> list[str]:
    """What prevents telling classes apart where each clip has one label.

    Args:
        reader: of the frames.
        parts: of the split.
        otherwise: what to do about clips with several labels.
    """
    index = reader.index
    problems = []
    if absent := untaught(reader, parts):
        problems.append(
            f"split: no training clip of class {absent}; add clips, or leave the class out of the "
            "data set"
        )
    if len(index.classes) < 2:
        problems.append(f"frames: {len(index.classes)} class; at least 2 can be told apart")
    used = [*parts.train, *parts.val]
    several = [index.clips[c].id for c in used if len(index.clips[c].labels) != 1]
    if several:
        problems.append(
            f"frames: {len(several)} clips do not have exactly one label, for example "
            f"{several[0]!r}; {otherwise}"
        )
    return problems


def crop_problems(size: int, reader: FrameReader, parts: Parts) -> list[str]:
    """Frames that are stored smaller than the crop of this side in pixels."""
    used = [reader.index.clips[clip] for clip in (*parts.train, *parts.val)]
    smallest = min((min(clip.height, clip.width) for clip in used), default=size)
    if size <= smallest:
        return []
    return [
        f"input_size: {size} is larger than the stored frames ({smallest} pixels); "
        f"use at most {smallest}, or extract with a larger frame_size"
    ]


def batch_problems(batch_size: int, parts: Parts) -> list[str]:
    """A batch that the training clips cannot fill."""
    if not parts.train or batch_size <= len(parts.train):
        return []
    return [f"batch_size: {batch_size} is more than the {len(parts.train)} training clips"]


def untaught(reader: FrameReader, parts: Parts) -> str:
    """The classes without a training clip; nothing where there is no training clip at all."""
    index = reader.index
    present = {label for clip in parts.train for label in index.clips[clip].labels}
    absent = [name for name in index.classes if name not in present]
    return ", ".join(map(repr, absent)) if parts.train else ""


def lost_clips(reader: FrameReader, split: Split) -> int:
    """Clips to train or validate with that have no frames."""
    known = {clip.id for clip in reader.index.clips}
    return sum(
        where in ("train", "val") and clip not in known for clip, where in split.parts.items()
    )


def _clips(reader: FrameReader, split: Split, part: str) -> list[int]:
    return [n for n, clip in enumerate(reader.index.clips) if split.parts.get(clip.id) == part]
