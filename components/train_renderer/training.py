"""From checked inputs to a trained network, its bundle and its results folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import torch
from torch import nn

from components.core import files
from components.core.cpus import usable_cpus
from components.core.events import Reporter
from components.core.rendering.reader import RenderingReader
from components.core.stage import Job
from components.core.training.fit import FitResult, finished, fit
from components.core.training.launch import count_processes, launch
from components.core.training.options import FitOptions
from components.core.training.rendering import Rendering
from components.core.training.rendering_loss_names import chosen_loss
from components.core.training.rendering_losses import RenderingLoss
from components.core.training.renderings import RenderingExamples
from components.core.training.result_images import ResultImages
from components.train_renderer.bundles import Trained, write_bundles
from components.train_renderer.checks import check_inputs
from components.train_renderer.examples import make_examples
from components.train_renderer.networks import make_network
from components.train_renderer.results import IMAGES, write_results
from components.train_renderer.resuming import go_on, origin
from components.train_renderer.stage import NAME_VARIABLE, TrainRendererSettings


@dataclass(frozen=True)
class Prepared:
    """All that training needs, checked."""

    settings: TrainRendererSettings
    reader: RenderingReader
    fresh: bool
    """Whether the first weights were random."""
    task: Rendering
    train: RenderingExamples
    val: RenderingExamples


def run(settings: TrainRendererSettings, job: Job) -> None:
    """See `stage.train_renderer`."""
    if "OMP_NUM_THREADS" not in os.environ:  # torch does not know of a container's CPU limit
        torch.set_num_threads(min(torch.get_num_threads(), usable_cpus()))
    frames, folder = job.inputs["frames"], job.work / "fit"
    prepared = prepare(settings, frames, job.report)
    if settings.resume_from:
        go_on(settings, prepared.reader.index.fingerprint, folder, job.report)
    count = len(prepared.train)
    processes = count_processes(settings.processes, settings.device, settings.batch_size, count)
    if processes == 1:
        result = train(prepared, folder, job.report)
    else:
        job.report.message(f"training in {processes} processes")
        result = train_together(prepared, processes, frames, job.work)
    name = training_name(settings, job.work)
    trained = Trained(settings, prepared.reader.index, name, result)
    bundle = write_bundles(job.outputs["model"], trained, job.report)
    write_results(job.outputs["results"], job.outputs["model"], trained, folder)
    parameters = sum(value.numel() for value in prepared.task.network.parameters())
    job.metadata["model"] = {**bundle.metrics, "epoch": result.best, "parameters": parameters}


def prepare(settings: TrainRendererSettings, frames: Path, report: Reporter) -> Prepared:
    """Checks settings and inputs against each other and makes of them what training needs.

    Raises:
        SettingsError: with every problem.
    """
    reader = RenderingReader(frames)
    for remark in check_inputs(settings, reader):
        report.warn(remark)
    network, notes = make_network(settings)
    name, remark = chosen_loss(settings.loss_function, settings.vgg_weights)
    notes += [remark] if remark else []
    task = Rendering(network, RenderingLoss(name, settings.vgg_weights))
    train, val = make_examples(settings, reader)
    for note in [*notes, describe(settings, network, len(train), len(val))]:
        report.message(note)
    return Prepared(settings, reader, not origin(settings), task, train, val)


def train(prepared: Prepared, folder: Path, report: Reporter) -> FitResult:
    """Trains in this process, alone or with those that torchrun started beside it."""
    settings, val = prepared.settings, prepared.val
    extra = []
    if every := settings.write_output_nth_epoch:
        extra = [ResultImages(folder / IMAGES, every, val, settings.output_images)]
    data = prepared.task, prepared.train, val
    return fit(*data, options(prepared), folder, report, unit="crops", extra=extra)


def train_together(prepared: Prepared, processes: int, frames: Path, work: Path) -> FitResult:
    """Trains in several processes, unless an earlier attempt came to the end."""
    folder, chosen = work.absolute() / "fit", options(prepared)
    result = finished(chosen, folder)
    if result is None:
        request = {
            "settings": prepared.settings.model_dump(mode="json"),
            "frames": str(frames.absolute()),
            "folder": str(folder),
        }
        module = "components.train_renderer.worker"
        launch(module, request, processes, folder.with_name("processes"))
        result = finished(chosen, folder)
    assert result is not None
    return result


def options(prepared: Prepared) -> FitOptions:
    """The settings that `fit` knows."""
    settings = prepared.settings
    own = settings.model_dump()
    shared = {name: own[name] for name in FitOptions.__dataclass_fields__ if name in own}
    shared["milestones"] = tuple(settings.milestones)
    return FitOptions(**shared, decay=settings.gamma, warm_batch_norm=prepared.fresh)


def training_name(
    settings: TrainRendererSettings, work: Path, now: Callable[[], datetime] = datetime.now
) -> str:
    """`<date>_<run_name>` of the first attempt, without spaces, unless a whole name is given."""
    if given := os.environ.get(NAME_VARIABLE):
        return given
    place = work / "name.txt"
    if not place.exists():
        date = now().strftime("%Y_%m_%d_%H_%M_%S")
        files.write_text(place, "_".join(part for part in (date, settings.run_name) if part))
    return place.read_text(encoding="utf-8")


def describe(settings: TrainRendererSettings, network: nn.Module, train: int, val: int) -> str:
    """What is about to be trained, in one line."""
    total = sum(value.numel() for value in network.parameters())
    width, height = settings.crop
    return (
        f"INOVIS with {total:,} parameters and {settings.in_gt_frame_amount} photographs, crops "
        f"of {width}x{height}; {train} frames to train, {val} to validate; loss "
        f"{settings.loss_name}"
    )
