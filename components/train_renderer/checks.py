"""What must hold before training starts; every problem is found before the first is reported."""

from __future__ import annotations

import shutil

from components.core.errors import InputError, SettingsError
from components.core.rendering.reader import RenderingReader
from components.core.training.fit import resolve_device, resolve_precision
from components.core.training.launch import node_group, process_problems
from components.core.training.renderings import size_problems
from components.core.wording import counted
from components.train_renderer.examples import train_size, val_size
from components.train_renderer.networks import viewer_problems
from components.train_renderer.stage import TrainRendererSettings

FEW = 4
"""Values of a channel in a batch, below which batch normalisation means little."""


def check_inputs(settings: TrainRendererSettings, reader: RenderingReader) -> list[str]:
    """Checks settings and inputs against each other.

    Returns:
        What the user should know before training starts.

    Raises:
        SettingsError: with every problem.
    """
    index = reader.index
    train, val = index.positions("train"), index.positions("val")
    problems = [
        f"frames: none is of the {part} part; sync the frames again with a larger one"
        for part, found in (("train", train), ("val", val))
        if not found
    ]
    if settings.in_gt_frame_amount > index.aux:
        problems.append(
            f"in_gt_frame_amount: {settings.in_gt_frame_amount} photographs are asked for, the "
            f"frames have {index.aux}; use at most {index.aux}, or export more"
        )
    problems += [
        f"crop_width, crop_height: {text}"
        for text in size_problems(reader, train, train_size(settings), 0)
    ]
    problems += [
        f"input_width, input_height: {text}"
        for text in size_problems(reader, val, val_size(settings), 0)
    ]
    problems += _batch_problems(settings, reader, train, val)
    problems += _machine_problems(settings, len(train))
    if problems:
        raise SettingsError(problems, "train_renderer")
    return _remarks(settings, reader)


def _batch_problems(
    settings: TrainRendererSettings, reader: RenderingReader, train: list[int], val: list[int]
) -> list[str]:
    problems = []
    if train and settings.batch_size > len(train):
        problems.append(
            f"batch_size: {settings.batch_size} is more than the {len(train)} training frames; "
            f"use at most {len(train)}"
        )
    sizes = {(reader.index.frames[n].height, reader.index.frames[n].width) for n in val}
    if not any(val_size(settings)) and len(sizes) > 1 and settings.batch_size > 1:
        problems.append(
            f"input_width, input_height: whole validation frames have {len(sizes)} sizes and make "
            "no batches; give a size that all of them have, or batch_size: 1"
        )
    return problems


def _machine_problems(settings: TrainRendererSettings, count: int) -> list[str]:
    shares = settings.processes, settings.device, settings.batch_size, count
    problems = process_problems(*shares)
    if node_group():  # other machines train, and look themselves
        return problems
    try:
        resolve_precision(settings.precision, resolve_device(settings.device))
    except InputError as error:
        problems.append(str(error))
    if settings.compile and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        problems.append("compile: it needs a C++ compiler, and there is none here; set it to false")
    return problems


def _remarks(settings: TrainRendererSettings, reader: RenderingReader) -> list[str]:
    remarks = [f"the viewer will not take it: {problem}" for problem in viewer_problems(settings)]
    lowest = min(side // 16 for side in train_size(settings))
    if settings.normalization == "batch" and settings.batch_size * lowest**2 < FEW:
        remarks.append(
            f"normalization: batches of {settings.batch_size} small crops have few values to "
            "average; larger crops or normalization: group train more steadily"
        )
    if settings.normalization == "group":
        remarks.append(
            "normalization: group averages over what a crop looks up of a photograph, in the "
            "viewer over all of it; batch has no such difference"
        )
    if settings.compile:
        remarks.append(
            "compile: what crops look up of photographs comes in many sizes, and the first ones "
            "are compiled one by one, for minutes"
        )
    if seen := reader.index.seen_tests():
        remarks.append(
            f"{counted(len(seen), 'test frame')} of {len(reader.index.positions('test'))} are "
            "nearby photographs of training frames, as usual with a path of photographs; the "
            "network is never asked to render them"
        )
    return remarks
