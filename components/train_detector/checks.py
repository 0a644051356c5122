"""What must hold before training starts; every problem is found before the first is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.split import Split
from components.core.detection.preprocessing import scale_for
from components.core.errors import InputError, SettingsError
from components.core.formats.shapes import AnnotatedImage
from components.core.models.backbone_names import detector_problems
from components.core.training.detection_examples import InputSize, Labelled, labelled
from components.core.training.fit import resolve_device, resolve_precision
from components.core.training.launch import node_group, process_problems
from components.core.training.plan import smallest_batch
from components.train_detector.networks import architecture_of, weight_problems
from components.train_detector.stage import TrainDetectorSettings
from components.train_detector.variants import Variant

FINEST = 32.0
"""Pixels of the smallest anchors by default."""

SMALL = 0.5
"""Share of the smallest anchor below which it fits no box well."""


@dataclass(frozen=True)
class Parts:
    """What is trained and validated with."""

    train: list[Labelled]
    val: list[Labelled]
    images: dict[str, int]
    """Part → images, which may be seen in several tiles, or not at all."""
    boxes: int
    """On the training images; one that several tiles show counts once."""
    architectures: dict[str, dict[str, Any]]
    """Name of a variant → its architecture."""
    remarks: list[str] = field(default_factory=list)
    """What the user should know before training starts."""


def input_size(settings: TrainDetectorSettings) -> InputSize:
    """How images become the network's input."""
    return InputSize(
        settings.min_size, settings.max_size, settings.tile_size, settings.tile_overlap
    )


def check_inputs(
    settings: TrainDetectorSettings,
    dataset: DetectionDataset,
    images: Sequence[AnnotatedImage],
    split: Split,
    weights: bool = True,
) -> Parts:
    """Checks settings and inputs against each other.

    Args:
        settings: of all variants.
        dataset: index of the data set.
        images: all of its images.
        split: which of them train and validate.
        weights: also look whether pretrained weights fit.

    Raises:
        SettingsError: with every problem.
    """
    by_part = {
        part: [image for image in images if split.parts.get(image.name) == part]
        for part in ("train", "val")
    }
    size = input_size(settings)
    train = labelled(by_part["train"], dataset.classes, size)
    val = labelled(by_part["val"], dataset.classes, size)
    whole = labelled(by_part["train"], dataset.classes, replace(size, tile_size=0))
    empty = sum(not example.taught for example in train)
    if not settings.negatives:
        train = [example for example in train if example.taught]
    variants = settings.parsed()
    alone = {variant.name: settings.of(variant) for variant in variants}
    architectures = {
        v.name: architecture_of(alone[v.name], v, len(dataset.classes)) for v in variants
    }
    problems = [
        *_split_problems(settings, dataset, split, by_part, train, val),
        *_network_problems(settings, variants, architectures, len(train)),
        *_machine_problems(settings, len(train)),
    ]
    if weights and not problems:
        for variant in variants:
            problems += weight_problems(alone[variant.name], variant, architectures[variant.name])
    if problems:
        raise SettingsError(problems, "train_detector")
    remarks = _remarks(settings, dataset, train, images)
    if not settings.negatives and empty:
        remarks.append(f"negatives: {empty} images or tiles without boxes are left out")
    if settings.batch_size > len(train):
        unit = "tiles" if settings.tile_size else "images"
        remarks.append(
            f"batch_size: {settings.batch_size} is more than the {len(train)} training {unit}; all "
            "of them are one batch"
        )
    counts = {part: len(found) for part, found in by_part.items()}
    boxes = sum(example.taught for example in whole)
    return Parts(train, val, counts, boxes, architectures, remarks)


def _split_problems(
    settings: TrainDetectorSettings,
    dataset: DetectionDataset,
    split: Split,
    by_part: dict[str, list[AnnotatedImage]],
    train: list[Labelled],
    val: list[Labelled],
) -> list[str]:
    if split.parent != dataset.fingerprint:
        return [
            f"split: it divides the data set {split.parent[:12]}, but the images are of "
            f"{dataset.fingerprint[:12]}; split this data set"
        ]
    problems = [
        f"split: no image is of the {part} part; make the part larger"
        for part, found in by_part.items()
        if not found
    ]
    for part, examples in (("train", train), ("val", val)):
        if by_part[part] and not any(example.taught for example in examples):
            problems.append(
                f"split: no image of the {part} part has a box; annotate some, or split otherwise"
            )
    return problems


def _network_problems(
    settings: TrainDetectorSettings,
    variants: Sequence[Variant],
    architectures: dict[str, dict[str, Any]],
    count: int,
) -> list[str]:
    problems = []
    for variant in variants:
        made = architectures[variant.name]
        for problem in detector_problems(made["name"], **made["arguments"]):
            problems.append(f"variants: {variant.name}: {problem}")
    batch = any(made["arguments"]["norm"] == "batch" for made in architectures.values())
    if batch and count and smallest_batch(count, settings.batch_size) < 2:
        problems.append(
            f"batch_norm: train needs more than one image in a batch, and batch_size is "
            f"{settings.batch_size}; use group, or a larger batch_size"
        )
    return problems


def _machine_problems(settings: TrainDetectorSettings, count: int) -> list[str]:
    problems = []
    if not node_group():  # other machines train, and look themselves
        try:
            resolve_precision(settings.precision, resolve_device(settings.device))
        except InputError as error:
            problems.append(str(error))
    return problems + process_problems(
        settings.processes, settings.device, settings.batch_size, count
    )


def _remarks(
    settings: TrainDetectorSettings,
    dataset: DetectionDataset,
    train: list[Labelled],
    images: Sequence[AnnotatedImage],
) -> list[str]:
    remarks = []
    present = {int(number) for example in train for number in example.classes[~example.crowd]}
    absent = [name for n, name in enumerate(dataset.classes) if n not in present]
    if absent:
        remarks.append(
            f"no training box of class {', '.join(map(repr, absent))}: the network will not find it"
        )
    sides = _seen_sides(settings, train, {image.path: image for image in images})
    finest = min(settings.anchor_sizes, default=FINEST)
    middle = float(np.median(sides))
    anchored = any(variant.network != "fcos" for variant in settings.parsed())
    if anchored and middle < SMALL * finest:
        remarks.append(
            f"half of the training boxes are smaller than {middle:.0f} pixels in what the network "
            f"sees, and its smallest anchors have {finest:g}; give smaller anchor_sizes, or a "
            "larger min_size"
        )
    on_gpu = not node_group() and resolve_device(settings.device).type == "cuda"
    if settings.deterministic and on_gpu:
        remarks.append(
            "deterministic: training a detector has steps that no GPU algorithm repeats exactly; "
            "a continued run may end with slightly other weights"
        )
    return remarks


def _seen_sides(
    settings: TrainDetectorSettings, train: list[Labelled], images: dict[Any, AnnotatedImage]
) -> list[float]:
    """Square roots of the boxes' areas, in pixels of the network's input."""
    found: list[float] = []
    for example in train:
        image, scale = images[example.path], 1.0
        if not example.tile:
            size = settings.min_size, settings.max_size
            scale = scale_for(image.width, image.height, *size)
        extents = example.boxes[:, 2:] - example.boxes[:, :2]
        found += (np.sqrt(extents.prod(1)) * scale).tolist()
    return found
