"""From checked inputs to a trained network and its bundle."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.split import Split
from components.core.cpus import usable_cpus
from components.core.events import Reporter
from components.core.models.resized_i3d import RESIZERS
from components.core.stage import Job
from components.core.training.classification import ClipClassification
from components.core.training.clip_checks import Parts, lost_clips
from components.core.training.clip_views import balanced_weights
from components.core.training.clips import ClipExamples
from components.core.training.fit import FitResult, finished, fit
from components.core.training.launch import count_processes, launch
from components.core.training.options import FitOptions
from components.core.training.views import Augmentation, Window, swap_pairs
from components.train_video.bundles import Trained, write_bundles
from components.train_video.checks import check_inputs
from components.train_video.networks import architecture_of, make_network
from components.train_video.stage import TrainSettings


@dataclass(frozen=True)
class Prepared:
    """All that training needs, checked."""

    settings: TrainSettings
    """With input_size set."""
    reader: FrameReader
    split: Split
    architecture: dict[str, Any]
    task: ClipClassification
    train: ClipExamples
    val: ClipExamples


def run(settings: TrainSettings, job: Job) -> None:
    """See `stage.train_video`."""
    if "OMP_NUM_THREADS" not in os.environ:  # torch does not know of a container's CPU limit
        torch.set_num_threads(min(torch.get_num_threads(), usable_cpus()))
    frames, split = job.inputs["frames"], job.inputs["split"]
    prepared = prepare(settings, frames, split, job.report)
    count = len(prepared.train)
    processes = count_processes(settings.processes, settings.device, settings.batch_size, count)
    if processes == 1:
        result = train(prepared, job.work / "fit", job.report)
    else:
        job.report.message(f"training in {processes} processes")
        result = train_together(prepared, processes, frames, split, job.work)
    settings, architecture = prepared.settings, prepared.architecture
    trained = Trained(settings, prepared.reader, prepared.split, architecture, result)
    bundle = write_bundles(job.outputs["model"], trained, prepared.val, job.report)
    parameters = sum(value.numel() for value in prepared.task.network.parameters())
    job.metadata["model"] = {**bundle.metrics, "epoch": result.best, "parameters": parameters}


def prepare(settings: TrainSettings, frames: Path, split: Path, report: Reporter) -> Prepared:
    """Checks settings and inputs against each other and makes of them what training needs.

    Raises:
        SettingsError: with every problem.
    """
    reader, parted = FrameReader(frames), Split.load(split)
    classes = len(reader.index.classes)
    size = settings.input_size or reader.index.frame_size
    settings = settings.model_copy(update={"input_size": size})
    parts = check_inputs(settings, reader, parted)
    architecture = architecture_of(settings, classes)
    network = make_network(settings, architecture, report)
    examples = make_examples(settings, reader, parts)
    weights = None
    if settings.class_weighting == "balanced":
        weights = balanced_weights(examples[0].targets, classes)
    task = ClipClassification(
        network,
        classes,
        settings.multi_label,
        weights,
        settings.label_smoothing,
        settings.localisation,
    )
    for remark in parts.remarks:
        report.warn(remark)
    report.message(describe(settings, reader, parted, parts, network))
    return Prepared(settings, reader, parted, architecture, task, *examples)


def train(prepared: Prepared, folder: Path, report: Reporter) -> FitResult:
    """Trains in this process, alone or with those that torchrun started beside it."""
    data = prepared.task, prepared.train, prepared.val
    return fit(*data, options(prepared.settings), folder, report, unit="clips")


def train_together(
    prepared: Prepared, processes: int, frames: Path, split: Path, work: Path
) -> FitResult:
    """Trains in several processes, unless an earlier attempt came to the end."""
    folder, chosen = work.absolute() / "fit", options(prepared.settings)
    result = finished(chosen, folder)
    if result is None:
        request = {
            "settings": prepared.settings.model_dump(mode="json"),
            "frames": str(frames.absolute()),
            "split": str(split.absolute()),
            "folder": str(folder),
        }
        launch("components.train_video.worker", request, processes, folder.with_name("processes"))
        result = finished(chosen, folder)
    assert result is not None
    return result


def make_examples(
    settings: TrainSettings, reader: FrameReader, parts: Parts
) -> tuple[ClipExamples, ClipExamples]:
    """Augmented training clips and validation clips seen in the middle."""
    window = Window(settings.clip_frames, settings.clip_stride, settings.input_size)
    swaps = swap_pairs(settings.mirrored, reader.index.classes)
    augmentation = Augmentation(settings.seed, settings.flip, swaps)
    multi_label = settings.multi_label
    return (
        ClipExamples(
            reader, parts.train, window, multi_label, augmentation, bool(settings.localisation)
        ),
        ClipExamples(reader, parts.val, window, multi_label),
    )


def options(settings: TrainSettings) -> FitOptions:
    """The settings that `fit` knows; only where all is pretrained need no statistics warm up."""
    own = settings.model_dump()
    shared = {name: own[name] for name in FitOptions.__dataclass_fields__ if name in own}
    shared["milestones"] = tuple(settings.milestones)
    new_resizer = settings.network in RESIZERS and not settings.pretrained_resizer
    return FitOptions(**shared, warm_batch_norm=new_resizer or not settings.pretrained)


def describe(
    settings: TrainSettings, reader: FrameReader, split: Split, parts: Parts, network: nn.Module
) -> str:
    """What is about to be trained, in one line or two."""
    total = sum(value.numel() for value in network.parameters())
    trained = sum(value.numel() for value in network.parameters() if value.requires_grad)
    frozen = f", {trained:,} of them trained" if trained < total else ""
    lost = lost_clips(reader, split)
    text = (
        f"{settings.network} with {total:,} parameters{frozen}, {settings.clip_frames} frames of "
        f"{settings.input_size}x{settings.input_size}; {len(parts.train)} clips to train, "
        f"{len(parts.val)} to validate, {len(reader.index.classes)} classes"
    )
    return f"{text}\n{lost} clips of these parts have no frames and are left out" if lost else text
