"""From checked inputs to a trained network and its bundle."""

from __future__ import annotations

import os
from typing import Any, cast

import torch

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.split import Split
from components.core.cpus import usable_cpus
from components.core.errors import InputError, SettingsError
from components.core.models import build
from components.core.models.i3d import I3D, arguments_for
from components.core.models.pretrained import load_pretrained
from components.core.stage import Job
from components.core.training.classification import ClipClassification, balanced_weights
from components.core.training.clips import ClipExamples
from components.core.training.fit import fit
from components.core.training.freezing import freeze
from components.core.training.options import FitOptions
from components.core.training.seeds import WEIGHTS, seed_all
from components.core.training.views import Augmentation, Window, swap_pairs
from components.train_video.bundles import Trained, write_bundles
from components.train_video.checks import Parts, check_inputs, frozen_names
from components.train_video.stage import TrainSettings


def run(settings: TrainSettings, job: Job) -> None:
    """See `stage.train_video`."""
    if "OMP_NUM_THREADS" not in os.environ:  # torch does not know of a container's CPU limit
        torch.set_num_threads(min(torch.get_num_threads(), usable_cpus()))
    reader = FrameReader(job.inputs["frames"])
    split = Split.load(job.inputs["split"])
    size = settings.input_size or reader.index.frame_size
    settings = settings.model_copy(update={"input_size": size})
    parts = check_inputs(settings, reader, split)
    architecture = {
        "name": "i3d",
        "arguments": arguments_for(
            settings.input_size, len(reader.index.classes), settings.width, settings.dropout
        ),
    }
    network = make_network(settings, architecture, job)
    train, val = make_examples(settings, reader, parts)
    weights = None
    if settings.class_weighting == "balanced":
        weights = balanced_weights(train.targets, len(reader.index.classes))
    task = ClipClassification(
        network,
        len(reader.index.classes),
        settings.multi_label,
        weights,
        settings.label_smoothing,
    )
    job.report.message(describe(settings, reader, split, parts, network))
    result = fit(task, train, val, options(settings), job.work / "fit", job.report, unit="clips")
    trained = Trained(settings, reader, split, architecture, result)
    bundle = write_bundles(job.outputs["model"], trained, val, job.report)
    parameters = sum(value.numel() for value in network.parameters())
    job.metadata["model"] = {**bundle.metrics, "epoch": result.best, "parameters": parameters}


def make_network(settings: TrainSettings, architecture: dict[str, Any], job: Job) -> I3D:
    """The network with its first weights: pretrained ones, or random ones fixed by the seed.

    Raises:
        SettingsError: the pretrained weights do not fit, or `freeze` names no layer.
    """
    seed_all(settings.seed, WEIGHTS)
    network = cast(I3D, build(architecture["name"], **architecture["arguments"]))
    problems = []
    if settings.pretrained:
        try:
            for note in load_pretrained(network, settings.pretrained):
                job.report.message(note)
        except InputError as error:
            problems.append(f"pretrained: {error}")
    try:
        freeze(network, frozen_names(settings.freeze, network))
    except ValueError as error:
        problems.append(f"freeze: {error}")
    if problems:
        raise SettingsError(problems, "train_video")
    return network


def make_examples(
    settings: TrainSettings, reader: FrameReader, parts: Parts
) -> tuple[ClipExamples, ClipExamples]:
    """Augmented training clips and validation clips seen in the middle."""
    window = Window(settings.clip_frames, settings.clip_stride, settings.input_size)
    swaps = swap_pairs(settings.flip_pairs, reader.index.classes)
    augmentation = Augmentation(settings.seed, settings.flip, swaps)
    multi_label = settings.multi_label
    return (
        ClipExamples(reader, parts.train, window, multi_label, augmentation),
        ClipExamples(reader, parts.val, window, multi_label),
    )


def options(settings: TrainSettings) -> FitOptions:
    """The settings that `fit` knows; pretrained batch statistics need no warm-up."""
    own = settings.model_dump()
    shared = {name: own[name] for name in FitOptions.__dataclass_fields__ if name in own}
    shared["milestones"] = tuple(settings.milestones)
    return FitOptions(**shared, warm_batch_norm=not settings.pretrained)


def describe(
    settings: TrainSettings, reader: FrameReader, split: Split, parts: Parts, network: I3D
) -> str:
    """What is about to be trained, in one line or two."""
    total = sum(value.numel() for value in network.parameters())
    trained = sum(value.numel() for value in network.parameters() if value.requires_grad)
    frozen = f", {trained:,} of them trained" if trained < total else ""
    known = {clip.id for clip in reader.index.clips}
    lost = sum(
        where in ("train", "val") and clip not in known for clip, where in split.parts.items()
    )
    text = (
        f"I3D with {total:,} parameters{frozen}, {settings.clip_frames} frames of "
        f"{settings.input_size}x{settings.input_size}; {len(parts.train)} clips to train, "
        f"{len(parts.val)} to validate, {len(reader.index.classes)} classes"
    )
    return f"{text}\n{lost} clips of these parts have no frames and are left out" if lost else text
