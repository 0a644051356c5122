"""From checked inputs to a trained network and its bundle."""

from __future__ import annotations

import os

import torch
from torch import nn

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.split import Split
from components.core.cpus import usable_cpus
from components.core.stage import Job
from components.core.training.classification import ClipClassification, balanced_weights
from components.core.training.clips import ClipExamples
from components.core.training.fit import fit
from components.core.training.options import FitOptions
from components.core.training.views import Augmentation, Window, swap_pairs
from components.train_video.bundles import Trained, write_bundles
from components.train_video.checks import Parts, check_inputs
from components.train_video.networks import architecture_of, make_network
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
    architecture = architecture_of(settings, len(reader.index.classes))
    network = make_network(settings, architecture, job.report)
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
    settings: TrainSettings, reader: FrameReader, split: Split, parts: Parts, network: nn.Module
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
