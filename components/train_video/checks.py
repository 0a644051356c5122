"""What must hold before training starts; every problem is found before the first is reported."""

from __future__ import annotations

import shutil
from dataclasses import replace

from torch import nn

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.split import Split
from components.core.errors import InputError, SettingsError
from components.core.models.i3d import ENDPOINTS
from components.core.models.resized_i3d import ResizedI3D
from components.core.models.sizes import SMALL
from components.core.training import clip_checks
from components.core.training.clip_checks import Parts
from components.core.training.fit import resolve_device, resolve_precision
from components.core.training.launch import node_group, process_problems
from components.core.training.views import mirrored_names, swap_pairs
from components.train_video.stage import TrainSettings


def check_inputs(settings: TrainSettings, reader: FrameReader, split: Split) -> Parts:
    """Checks settings and inputs against each other.

    Raises:
        SettingsError: with every problem.
    """
    parts = Parts.of(reader, split)
    problems = [
        *clip_checks.origin_problems(reader, split),
        *clip_checks.part_problems(parts),
        *_label_problems(settings, reader, parts),
        *_size_problems(settings, reader, parts),
        *_network_problems(settings, parts),
    ]
    try:
        swap_pairs(settings.mirrored, reader.index.classes)
    except ValueError as error:
        problems.append(f"flip_pairs: {error}")
    problems += _machine_problems(settings)
    shares = settings.processes, settings.device, settings.batch_size, len(parts.train)
    problems += process_problems(*shares)
    if problems:
        raise SettingsError(problems, "train_video")
    return replace(parts, remarks=_remarks(settings, reader, parts))


def frozen_names(freeze: str, network: nn.Module) -> list[str]:
    """The sub-modules that a `freeze` setting stands for: layers of I3D, wherever it stands.

    Raises:
        ValueError: it names no layer.
    """
    if not freeze:
        return []
    within = "i3d." if isinstance(network, ResizedI3D) else ""
    classifier = network.i3d if isinstance(network, ResizedI3D) else network
    layers = [name for name in ENDPOINTS if hasattr(classifier, name)]
    if freeze not in ("backbone", *layers):
        raise ValueError(f"{freeze!r} is no layer; accepted: '', backbone, {', '.join(layers)}")
    last = len(layers) if freeze == "backbone" else layers.index(freeze) + 1
    return [f"{within}{name}" for name in layers[:last]]


def seen_size(settings: TrainSettings) -> int:
    """Side in pixels of what I3D sees; input_size is set."""
    return settings.input_size if settings.network == "i3d" else settings.target_size


def _machine_problems(settings: TrainSettings) -> list[str]:
    if node_group():  # other machines train, and look themselves
        return []
    problems = []
    try:
        resolve_precision(settings.precision, resolve_device(settings.device))
    except InputError as error:
        problems.append(str(error))
    if settings.compile and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        problems.append("compile: it needs a C++ compiler, and there is none here; set it to false")
    return problems


def _label_problems(settings: TrainSettings, reader: FrameReader, parts: Parts) -> list[str]:
    problems = []
    if not settings.multi_label:
        problems += clip_checks.class_problems(reader, parts, "set multi_label: true")
    if settings.localisation and not any(reader.index.clips[clip].segments for clip in parts.train):
        problems.append(
            f"localisation: {settings.localisation} needs training clips with time segments, and "
            "none has any; sync the data set with segments, or set it to 0"
        )
    return problems


def _remarks(settings: TrainSettings, reader: FrameReader, parts: Parts) -> list[str]:
    remarks = []
    if settings.multi_label and (absent := clip_checks.untaught(reader, parts)):
        # the other classes can still be learned
        remarks.append(
            f"no training clip of class {absent}: what the network says of it will mean nothing"
        )
    classes = reader.index.classes
    given = swap_pairs(settings.mirrored, classes)
    for left, right in mirrored_names(classes) if settings.flip else ():
        if classes.index(left) not in given:
            remarks.append(
                f"flip: mirrored clips of {left!r} keep that label; to exchange it use "
                f"flip_pairs: {left}={right}"
            )
    on_gpu = not node_group() and resolve_device(settings.device).type == "cuda"
    if settings.deterministic and on_gpu and settings.network not in ("i3d", "trilinear"):
        remarks.append(
            "deterministic: training a resizer network has steps that no GPU algorithm repeats "
            "exactly; a continued run may end with slightly other weights"
        )
    return remarks


def _size_problems(settings: TrainSettings, reader: FrameReader, parts: Parts) -> list[str]:
    size = settings.input_size
    return [*settings.size_problems(size), *clip_checks.crop_problems(size, reader, parts)]


def _network_problems(settings: TrainSettings, parts: Parts) -> list[str]:
    count = len(parts.train)
    if not count:
        return []
    if problems := clip_checks.batch_problems(settings.batch_size, parts):
        return problems
    smallest = count // -(-count // settings.batch_size)
    size = seen_size(settings)
    name = "input_size" if settings.network == "i3d" else "target_size"
    cell = 16 if size < SMALL else 32
    cells = -(-settings.clip_frames // 8) * (-(-size // cell)) ** 2
    if smallest * cells < 2:
        return [
            f"batch_size: with {settings.batch_size} and an input of {settings.clip_frames} frames "
            f"of {size} pixels, batch normalisation has a single value to average; "
            f"use a larger batch_size, clip_frames or {name}"
        ]
    return []
