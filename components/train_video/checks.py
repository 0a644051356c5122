"""What must hold before training starts; every problem is found before the first is reported."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.split import Split
from components.core.errors import InputError, SettingsError
from components.core.models.i3d import ENDPOINTS, I3D, SMALL, size_problems
from components.core.training.fit import resolve_device, resolve_precision
from components.core.training.views import swap_pairs
from components.train_video.stage import TrainSettings


@dataclass(frozen=True)
class Parts:
    """Positions, in the frame index, of the clips to train and to validate with."""

    train: list[int]
    val: list[int]


def check_inputs(settings: TrainSettings, reader: FrameReader, split: Split) -> Parts:
    """Checks settings and inputs against each other.

    Raises:
        SettingsError: with every problem.
    """
    parts = Parts(_clips(reader, split, "train"), _clips(reader, split, "val"))
    problems = [
        *_origin_problems(reader, split),
        *_part_problems(settings, reader, parts),
        *_size_problems(settings, reader, parts),
        *_network_problems(settings, parts),
    ]
    try:
        swap_pairs(settings.flip_pairs, reader.index.classes)
    except ValueError as error:
        problems.append(f"flip_pairs: {error}")
    problems += _machine_problems(settings)
    if problems:
        raise SettingsError(problems, "train_video")
    return parts


def frozen_names(freeze: str, network: I3D) -> list[str]:
    """The sub-modules that a `freeze` setting stands for.

    Raises:
        ValueError: it names no layer.
    """
    if not freeze:
        return []
    layers = [name for name in ENDPOINTS if hasattr(network, name)]
    if freeze == "backbone":
        return layers
    if freeze not in layers:
        raise ValueError(f"{freeze!r} is no layer; accepted: '', backbone, {', '.join(layers)}")
    return layers[: layers.index(freeze) + 1]


def _machine_problems(settings: TrainSettings) -> list[str]:
    problems = []
    try:
        resolve_precision(settings.precision, resolve_device(settings.device))
    except InputError as error:
        problems.append(str(error))
    if settings.compile and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        problems.append("compile: it needs a C++ compiler, and there is none here; set it to false")
    return problems


def _clips(reader: FrameReader, split: Split, part: str) -> list[int]:
    return [n for n, clip in enumerate(reader.index.clips) if split.parts.get(clip.id) == part]


def _origin_problems(reader: FrameReader, split: Split) -> list[str]:
    if split.parent == reader.index.parent:
        return []
    return [
        f"split: it divides the clips {split.parent[:12]}, but the frames are of the clips "
        f"{reader.index.parent[:12]}; split and extract the same data set"
    ]


def _part_problems(settings: TrainSettings, reader: FrameReader, parts: Parts) -> list[str]:
    index = reader.index
    problems = [
        f"split: no clip of the {name} part has frames; make the part larger"
        for name, clips in (("train", parts.train), ("val", parts.val))
        if not clips
    ]
    present = {label for clip in parts.train for label in index.clips[clip].labels}
    if parts.train and (absent := [name for name in index.classes if name not in present]):
        problems.append(
            f"split: no training clip of class {', '.join(map(repr, absent))}; "
            "add clips, or leave the class out of the data set"
        )
    if not settings.multi_label:
        if len(index.classes) < 2:
            problems.append(f"frames: {len(index.classes)} class; at least 2 can be told apart")
        used = [*parts.train, *parts.val]
        several = [index.clips[c].id for c in used if len(index.clips[c].labels) != 1]
        if several:
            problems.append(
                f"frames: {len(several)} clips do not have exactly one label, for example "
                f"{several[0]!r}; set multi_label: true"
            )
    return problems


def _size_problems(settings: TrainSettings, reader: FrameReader, parts: Parts) -> list[str]:
    size = settings.input_size
    problems = [
        f"clip_frames, input_size: {text}"
        for text in size_problems(settings.clip_frames, size, size, size < SMALL)
    ]
    used = [reader.index.clips[clip] for clip in (*parts.train, *parts.val)]
    smallest = min((min(clip.height, clip.width) for clip in used), default=size)
    if size > smallest:
        problems.append(
            f"input_size: {size} is larger than the stored frames ({smallest} pixels); "
            f"use at most {smallest}, or extract with a larger frame_size"
        )
    return problems


def _network_problems(settings: TrainSettings, parts: Parts) -> list[str]:
    count = len(parts.train)
    if not count:
        return []
    if settings.batch_size > count:
        return [f"batch_size: {settings.batch_size} is more than the {count} training clips"]
    smallest = count // -(-count // settings.batch_size)
    cell = 16 if settings.input_size < SMALL else 32
    cells = -(-settings.clip_frames // 8) * (-(-settings.input_size // cell)) ** 2
    if smallest * cells < 2:
        return [
            f"batch_size: with {settings.batch_size} and an input of {settings.clip_frames} frames "
            f"of {settings.input_size} pixels, batch normalisation has a single value to average; "
            "use a larger batch_size, clip_frames or input_size"
        ]
    return []
