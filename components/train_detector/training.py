"""From checked inputs to trained variants and their bundles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.split import Split
from components.core.cpus import usable_cpus
from components.core.events import Reporter
from components.core.stage import Job
from components.core.training.detection import Detection
from components.core.training.detection_augmentation import DetectionAugmentation
from components.core.training.detection_examples import DetectionExamples
from components.core.training.fit import FitResult, finished, fit
from components.core.training.launch import count_processes, launch
from components.core.training.options import FitOptions
from components.train_detector.bundles import write_bundles
from components.train_detector.checks import Parts, check_inputs, input_size
from components.train_detector.networks import make_network
from components.train_detector.stage import TrainDetectorSettings
from components.train_detector.trained import Trained
from components.train_detector.variants import Variant


@dataclass(frozen=True)
class Prepared:
    """All that training needs, checked."""

    settings: TrainDetectorSettings
    dataset: DetectionDataset
    split: Split
    parts: Parts
    train: DetectionExamples
    val: DetectionExamples


class Continued(Reporter):
    """Counts the epochs of a variant on from those of the variants before it."""

    def __init__(self, stage: str, before: int) -> None:
        super().__init__(stage)
        self._before = before

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Figures of one epoch."""
        super().metrics(values, None if step is None else step + self._before)


def run(settings: TrainDetectorSettings, job: Job) -> None:
    """See `stage.train_detector`."""
    if "OMP_NUM_THREADS" not in os.environ:  # torch does not know of a container's CPU limit
        torch.set_num_threads(min(torch.get_num_threads(), usable_cpus()))
    dataset, split = job.inputs["dataset"], job.inputs["split"]
    prepared = prepare(settings, dataset, split, job.report)
    count = len(prepared.train)
    processes = count_processes(settings.processes, settings.device, settings.batch_size, count)
    if processes > 1:
        job.report.message(f"training in {processes} processes")
    done = []
    before = 0
    variants = settings.parsed()
    for number, variant in enumerate(variants, 1):
        folder = job.work / "variants" / variant.folder / "fit"
        report = Continued(job.report.stage, before) if before else job.report
        if len(variants) > 1:
            report.message(f"variant {number} of {len(variants)}: {variant.name}")
        if processes == 1:
            result = train(prepared, variant, folder, report)
        else:
            places = {"dataset": str(dataset.absolute()), "split": str(split.absolute())}
            result = train_together(prepared, variant, processes, places, folder, before)
        before += len(result.history)
        done.append(
            Trained(
                settings.of(variant),
                variant,
                prepared.dataset,
                prepared.split,
                prepared.parts.architectures[variant.name],
                result,
            )
        )
    best, bundle = write_bundles(job.outputs["model"], settings, done, prepared.val, job.report)
    job.metadata["model"] = {
        **bundle.metrics,
        "variant": best.variant.name,
        "epoch": best.result.best,
        "images": prepared.parts.images["train"],
    }


def prepare(
    settings: TrainDetectorSettings,
    dataset: Path,
    split: Path,
    report: Reporter,
    weights: bool = True,
) -> Prepared:
    """Checks settings and inputs against each other and makes of them what training needs.

    Raises:
        SettingsError: with every problem.
    """
    index, parted = DetectionDataset.load(dataset), Split.load(split)
    parts = check_inputs(settings, index, index.images(dataset), parted, weights)
    for remark in parts.remarks:
        report.warn(remark)
    size = input_size(settings)
    augmentation = DetectionAugmentation(
        settings.seed,
        settings.flip,
        settings.flip_vertical,
        settings.photometric,
        settings.scale_jitter,
        settings.crop,
    )
    train = DetectionExamples(parts.train, size, augmentation)
    val = DetectionExamples(parts.val, size)
    return Prepared(settings, index, parted, parts, train, val)


def train(prepared: Prepared, variant: Variant, folder: Path, report: Reporter) -> FitResult:
    """Trains a variant in this process, alone or with those that torchrun started beside it."""
    settings = prepared.settings.of(variant)
    network, notes = make_network(settings, prepared.parts.architectures[variant.name])
    for note in [*notes, describe(prepared, variant, network)]:
        report.message(note)
    task = Detection(network, prepared.dataset.classes)
    unit = "tiles" if settings.tile_size else "images"
    chosen = options(prepared, variant)
    return fit(task, prepared.train, prepared.val, chosen, folder, report, unit=unit)


def train_together(
    prepared: Prepared,
    variant: Variant,
    processes: int,
    places: Mapping[str, str],
    folder: Path,
    before: int,
) -> FitResult:
    """Trains a variant in several processes, unless an earlier attempt came to the end."""
    chosen, folder = options(prepared, variant), folder.absolute()
    result = finished(chosen, folder)
    if result is None:
        request = {
            "settings": prepared.settings.model_dump(mode="json"),
            **places,
            "variant": variant.name,
            "folder": str(folder),
            "before": before,
        }
        module = "components.train_detector.worker"
        launch(module, request, processes, folder.with_name("processes"))
        result = finished(chosen, folder)
    assert result is not None
    return result


def options(prepared: Prepared, variant: Variant) -> FitOptions:
    """The settings that `fit` knows."""
    settings = prepared.settings.of(variant)
    own = settings.model_dump()
    shared = {name: own[name] for name in FitOptions.__dataclass_fields__ if name in own}
    shared["milestones"] = tuple(settings.milestones)
    fresh = not settings.pretrained
    return FitOptions(**shared, decay=settings.gamma, warm_batch_norm=fresh)


def describe(prepared: Prepared, variant: Variant, network: nn.Module) -> str:
    """What is about to be trained, in one line."""
    settings, parts = prepared.settings, prepared.parts
    total = sum(value.numel() for value in network.parameters())
    trained = sum(value.numel() for value in network.parameters() if value.requires_grad)
    frozen = f", {trained:,} of them trained" if trained < total else ""
    norm = parts.architectures[variant.name]["arguments"]["norm"]
    size = f"short side {settings.min_size} pixels" if settings.min_size else "size as stored"
    shown = ""
    if settings.tile_size:  # which are never resized
        size = f"tiles of {settings.tile_size} pixels, as stored"
        shown = f" in {len(parts.train)} tiles"
    return (
        f"{variant.network} on {variant.backbone} with {total:,} parameters{frozen}, {norm} "
        f"normalisation, {size}; {parts.images['train']} images{shown} with "
        f"{parts.boxes} boxes to train, {parts.images['val']} images to validate, "
        f"{len(prepared.dataset.classes)} classes"
    )
