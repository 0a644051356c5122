"""Trains detectors on annotated images and publishes the best one as a bundle.

Several variants are trained one after the other and compared; of each the epoch with the best
validation figure is kept. Training continues where it was, after a stop or a kill, and ends with
the same weights. The bundle holds safetensors weights and an ONNX model that was compared with
them, and those of all variants beside it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from components.core.errors import InputError, TrainyardError
from components.core.models.backbone_names import detector_problems
from components.core.settings import CONTENT, RUNTIME, Settings, build, problems
from components.core.stage import Job, Stage
from components.core.training.options import milestone_problems, step_problems
from components.train_detector.variants import Variant, parse_variants

PUBLISHED = ("imagenet", "coco")
"""Weights that torchvision publishes."""


class TrainDetectorSettings(Settings):
    """Settings of `train_detector`."""

    variants: str = Field(
        "resnet18",
        description="Networks to train one after the other and compare, with commas between them: "
        "a backbone of torchvision, such as resnet18 or mobilenet_v3_large, or "
        "<network>:<backbone>, such as retinanet:resnet50",
    )
    variant_settings: str = Field(
        "",
        description="What single variants have other than the rest: resnet18: learning_rate=0.004 "
        "momentum=0.9; resnet50: learning_rate=0.001. Possible are learning_rate, weight_decay, "
        "momentum, step_size, gamma and pretrained",
    )
    network: Literal["faster_rcnn", "retinanet", "fcos"] = Field(
        "faster_rcnn",
        description="Detector around a backbone that is named without one: faster_rcnn, retinanet "
        "or fcos",
    )
    v2: bool = Field(
        False,
        description="The improved heads of torchvision's v2 detectors (Faster R-CNN, RetinaNet)",
    )
    channels: int = Field(
        256,
        ge=32,
        description="Width of the feature pyramid and the heads, a multiple of 32; 64 suits a "
        "laptop",
    )
    min_size: int = Field(
        800,
        ge=0,
        description="Pixels of the short side of what the network sees, unless max_size limits "
        "it; 0 for images as they are. Small objects need large images",
    )
    max_size: int = Field(1333, ge=32, description="Most pixels of the long side")
    tile_size: int = Field(
        0,
        ge=0,
        description="Side in pixels of the tiles that large images are cut into, as they are and "
        "without min_size; 0 looks at whole images",
    )
    tile_overlap: int = Field(0, ge=0, description="Pixels that neighbouring tiles share")
    anchor_sizes: list[float] = Field(
        [],
        description="Sides in pixels of the anchors, one for each level of the pyramid, the "
        "finest first; [] for torchvision's (32 to 512)",
    )
    aspect_ratios: list[float] = Field(
        [], description="Height over width of the anchors; [] for torchvision's 0.5, 1 and 2"
    )
    pretrained: str = Field(
        "",
        description="Weights to start from: imagenet or coco (downloaded by torchvision), a .pt "
        "or .safetensors file or a bundle folder; '' starts afresh",
        json_schema_extra={**CONTENT, "words": list(PUBLISHED)},
    )
    trainable_layers: int = Field(
        5,
        ge=0,
        le=5,
        description="Stages of a pretrained backbone that are trained, from the last; 5 for all",
    )
    batch_norm: Literal["auto", "train", "frozen", "group"] = Field(
        "auto",
        description="Normalisation of the backbone: train (batch statistics), frozen (those of the "
        "pretrained weights) or group (no statistics, for small batches); auto is frozen with "
        "pretrained weights and group without",
    )
    negatives: bool = Field(True, description="Also train with images on which there is nothing")
    epochs: int = Field(30, ge=1, description="Passes over the training part, at most")
    batch_size: int = Field(8, ge=1, description="Images per batch, over all GPUs")
    accumulate: int = Field(1, ge=1, description="Batches per optimizer step")
    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        "sgd", description="adamw, adam or sgd (with plain momentum)"
    )
    learning_rate: float = Field(0.01, gt=0, description="Highest learning rate")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of sgd")
    schedule: Literal["cosine", "multistep", "step", "constant"] = Field(
        "cosine",
        description="Learning rate after the warm-up: cosine to 0, multistep (times gamma at each "
        "of the milestones), step (times gamma every step_size epochs) or constant",
    )
    warmup_epochs: float = Field(1.0, ge=0, description="Epochs over which the rate rises")
    milestones: list[float] = Field(
        [], description="Epochs, or optimizer steps, at which multistep lowers the rate"
    )
    milestone_unit: Literal["epoch", "step"] = Field(
        "epoch", description="What milestones count: epoch, or (optimizer) step"
    )
    step_size: int = Field(5, ge=1, description="Epochs between two steps of the schedule step")
    gamma: float = Field(0.1, gt=0, le=1, description="Factor of multistep and step on the rate")
    gradient_clip: float = Field(
        10.0, ge=0, description="Largest norm of the gradient; 0 for no limit"
    )
    flip: bool = Field(True, description="Mirror half of the images")
    flip_vertical: bool = Field(
        False, description="Turn half of the images upside down; right for views from above"
    )
    photometric: bool = Field(
        True, description="Change brightness, contrast, saturation and hue of half of the images"
    )
    scale_jitter: float = Field(
        0.0, ge=0, lt=1, description="Scale images by a random factor, up to so much from 1"
    )
    crop: bool = Field(False, description="Cut random parts with objects in them out of images")
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of a moving average of the weights, such as 0.999, which is then "
        "validated and kept; 0 for none",
    )
    monitor: Literal["val_map", "val_map50", "val_map75", "val_loss"] = Field(
        "val_map",
        description="Validation figure that chooses the best epoch and the best variant: "
        "val_map (COCO's average precision), val_map50, val_map75 or val_loss",
    )
    early_stop: int = Field(
        0, ge=0, description="End after so many epochs without a better one; 0 trains all epochs"
    )
    keep_every: int = Field(
        0, ge=0, description="Also keep the network of every so many epochs; 0 for best and last"
    )
    checkpoint_minutes: float = Field(
        10.0,
        gt=0,
        description="Longest time between saves of the state that a restart continues from",
        json_schema_extra=RUNTIME,
    )
    min_score: float = Field(
        0.05, ge=0, lt=1, description="Score below which the network tells of no box"
    )
    nms_iou: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Overlap (intersection over union) from which the surer of two boxes of a "
        "class is kept alone",
    )
    max_boxes: int = Field(100, ge=1, description="Most boxes that the network finds on an image")
    seed: int = Field(0, ge=0, description="Seed of everything that is random")
    deterministic: bool = Field(
        False, description="Only algorithms that repeat exactly on a GPU, which are slower"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="Arithmetic: auto is bf16 on a GPU that has it, otherwise fp32"
    )
    device: str = Field(
        "auto",
        description="auto (a GPU if there is one), cpu, cuda or cuda:<number>",
        json_schema_extra=RUNTIME,
    )
    processes: int = Field(
        0,
        ge=0,
        description="Training processes on this machine, one per GPU; 0 for one per visible GPU, "
        "and a single one on the CPU. Each takes its share of every batch",
        json_schema_extra=RUNTIME,
    )
    workers: int = Field(
        0,
        ge=0,
        description="Processes that load images for each training process; 0 for its share of the "
        "usable CPUs beside a GPU, and none when training on the CPU",
        json_schema_extra=RUNTIME,
    )
    channels_last: bool = Field(
        True, description="Channels-last memory format", json_schema_extra=RUNTIME
    )

    def parsed(self) -> list[Variant]:
        """The variants, in order; they have been checked."""
        return parse_variants(self.variants, self.network, self.variant_settings)[0]

    def of(self, variant: Variant) -> Self:
        """The settings of one of the variants alone."""
        return build(type(self), self._values(variant), f"the settings of {variant.name}")

    def _values(self, variant: Variant) -> dict[str, Any]:
        alone = {"variants": variant.name, "network": variant.network, "variant_settings": ""}
        return {**self.model_dump(), **variant.own, **alone}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        variants, found = parse_variants(self.variants, self.network, self.variant_settings)
        for variant in variants:
            if variant.own:
                told = problems(type(self), self._values(variant))
                found += [f"variant_settings: {variant.name}: {text}" for text in told]
        found += milestone_problems(
            self.schedule, self.milestones, self.milestone_unit, self.epochs
        )
        found += step_problems(self.schedule, self.step_size)
        found += self._size_problems() + self._network_problems(variants)
        given = [variant.own.get("pretrained", self.pretrained) for variant in variants]
        fresh = not all(given) if given else not self.pretrained
        if self.batch_norm == "frozen" and fresh:
            found.append(
                "batch_norm: frozen keeps the statistics of pretrained weights, and none are "
                "given; use group, or give pretrained"
            )
        if self.trainable_layers < 5 and fresh:
            found.append(
                f"trainable_layers: {self.trainable_layers} would freeze random weights; use 5, or "
                "give pretrained"
            )
        if found:
            raise ValueError("; ".join(found))
        return self

    def _size_problems(self) -> list[str]:
        found = []
        if 0 < self.min_size < 32:
            found.append(f"min_size: {self.min_size} is too small; use at least 32, or 0")
        if self.min_size > self.max_size:
            found.append(
                f"min_size: {self.min_size} is more than max_size {self.max_size}; exchange them"
            )
        if 0 < self.tile_size < 32:
            found.append(f"tile_size: {self.tile_size} is too small; use at least 32, or 0")
        if self.tile_overlap and self.tile_overlap >= self.tile_size:
            found.append(
                f"tile_overlap: {self.tile_overlap} is not less than tile_size {self.tile_size}; "
                + ("use less" if self.tile_size else "give tile_size as well")
            )
        if self.anchor_sizes != sorted(self.anchor_sizes):
            found.append(
                f"anchor_sizes: {self.anchor_sizes} must rise from the finest level on; use "
                f"{sorted(self.anchor_sizes)}"
            )
        return found

    def _network_problems(self, variants: list[Variant]) -> list[str]:
        """Why the networks cannot be built, whatever the classes and the weights are."""
        found = []
        for variant in variants:
            for problem in detector_problems(
                variant.network,
                classes=1,
                backbone=variant.backbone,
                v2=self.v2,
                anchor_sizes=self.anchor_sizes,
                aspect_ratios=self.aspect_ratios,
                trainable_layers=self.trainable_layers,
                norm="group",
                channels=self.channels,
                score_threshold=self.min_score,
                nms_iou=self.nms_iou,
                detections=self.max_boxes,
            ):
                of_variant = problem.startswith("backbone: ")
                found.append(f"variants: {variant.name}: {problem}" if of_variant else problem)
        return list(dict.fromkeys(found))


def check(settings: TrainDetectorSettings) -> list[TrainyardError]:
    """Problems with files outside the inputs, and with the device of this machine."""
    given = {settings.pretrained: "pretrained"}
    for variant in settings.parsed():
        if path := variant.own.get("pretrained"):
            given[path] = f"variant_settings: {variant.name}: pretrained"
    found: list[TrainyardError] = [
        InputError(
            f"{name}: {path} does not exist; give {', '.join(PUBLISHED)}, a file or a bundle folder"
        )
        for path, name in given.items()
        if path and path not in PUBLISHED and not Path(path).exists()
    ]
    return found + _device_problems(settings)


def _device_problems(settings: TrainDetectorSettings) -> list[TrainyardError]:
    if settings.device in ("auto", "cpu") and settings.precision != "fp16":
        return []  # any machine has these, and torch takes long to load
    from components.core.training.fit import resolve_device, resolve_precision
    from components.core.training.launch import node_group

    if node_group():  # other machines train, and look themselves
        return []
    try:
        resolve_precision(settings.precision, resolve_device(settings.device))
    except InputError as error:
        return [error]
    return []


def train_detector(settings: TrainDetectorSettings, job: Job) -> None:
    """Reads `dataset` and `split`, writes `model`.

    Raises:
        SettingsError: settings and inputs that do not fit together, all at once.
        StoppedError: a signal asked to stop; the state is saved.
        TrainyardError: training diverged, or the exported model computes something else.
    """
    # Read when torch loads its threads: spinning while waiting makes them several times slower
    # as soon as anything else runs on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from components.train_detector.training import run

    run(settings, job)


STAGE = Stage(
    name="train_detector",
    settings=TrainDetectorSettings,
    function=train_detector,
    inputs={
        "dataset": "DetectionDataset with annotated images",
        "split": "Split that says which images train and which validate",
        "study": "Study whose best settings take the place of those given (optional)",
    },
    outputs={"model": "ModelBundle of the best variant's best epoch, with those of all variants"},
    check=check,
)
