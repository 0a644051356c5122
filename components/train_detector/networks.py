"""The network of a variant, with its first weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import TrainyardError
from components.core.models import build
from components.core.models.detectors import load_backbone
from components.core.training.seeds import WEIGHTS, seed_all
from components.train_detector.stage import PUBLISHED, TrainDetectorSettings
from components.train_detector.variants import Variant

NORMS = {"train": "batch", "frozen": "frozen", "group": "group"}
"""Setting → the builder's word for it."""


def architecture_of(
    settings: TrainDetectorSettings, variant: Variant, classes: int
) -> dict[str, Any]:
    """Builder name and arguments of a network, as a bundle records them.

    Args:
        settings: of the variant alone.
        variant: to build.
        classes: number of classes, without the background.
    """
    return {
        "name": variant.network,
        "arguments": {
            "classes": classes,
            "backbone": variant.backbone,
            "v2": settings.v2,
            "anchor_sizes": list(settings.anchor_sizes),
            "aspect_ratios": list(settings.aspect_ratios),
            "trainable_layers": settings.trainable_layers,
            "norm": norm_of(settings),
            "channels": settings.channels,
            "score_threshold": settings.min_score,
            "nms_iou": settings.nms_iou,
            "detections": settings.max_boxes,
        },
    }


def norm_of(settings: TrainDetectorSettings) -> str:
    """The builder's word for the normalisation; `auto` goes by the weights to start from."""
    if settings.batch_norm != "auto":
        return NORMS[settings.batch_norm]
    if not settings.pretrained:
        return "group"
    place = Path(settings.pretrained)
    if settings.pretrained not in PUBLISHED and (place / ModelBundle.FILE).is_file():
        own = ModelBundle.load(place).architecture.get("arguments", {})
        return str(own.get("norm", "frozen"))
    return "frozen"


def make_network(
    settings: TrainDetectorSettings, architecture: dict[str, Any]
) -> tuple[nn.Module, list[str]]:
    """The network with pretrained weights, or with random ones fixed by the seed; and notes.

    Args:
        settings: of the variant alone.
        architecture: see `architecture_of`.

    Raises:
        InputError: the pretrained weights do not fit.
        ServiceError: they cannot be fetched.
    """
    seed_all(settings.seed, WEIGHTS)
    network = build(architecture["name"], **architecture["arguments"])
    notes = load_backbone(network, settings.pretrained) if settings.pretrained else []
    return network, notes


def weight_problems(
    settings: TrainDetectorSettings, variant: Variant, architecture: dict[str, Any]
) -> list[str]:
    """Why the pretrained weights of a variant cannot be used; empty when they can."""
    if not settings.pretrained:
        return []
    try:
        make_network(settings, architecture)
    except TrainyardError as error:
        return [f"{variant.name}: {error}"]
    return []
