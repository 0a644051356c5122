"""Small detectors as bundles: untrained, but they find something on every image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from components.core.artifacts.model_bundle import ModelBundle
from components.core.detection.bundles import TASK, Preprocessing, tensors
from components.core.models import build
from components.core.models.bundle import save_bundle, save_weights
from components.core.models.detector_export import export_detector

CLASSES = ("weed", "crop", "stone")

TINY: dict[str, Any] = {
    "backbone": "mobilenet_v3_small",
    "channels": 32,
    "norm": "group",
    "anchor_sizes": [8, 16, 32, 64, 128],
    "detections": 20,
}
"""Arguments of a network of about a million parameters."""


def tiny_detector(
    name: str = "fcos", classes: int = len(CLASSES), seed: int = 0, **arguments: Any
) -> nn.Module:
    """An untrained network in evaluation mode whose scores spread over a good part of 0 to 1."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build(name, classes=classes, **(TINY | arguments))
        return lively(network)


def lively(network: nn.Module) -> nn.Module:
    """Makes the scores of an untrained network differ between places of an image, in place."""
    with torch.no_grad():
        for key, value in network.named_parameters():
            ending = key.endswith(("cls_logits.weight", "bbox_reg.weight", "bbox_pred.weight"))
            if ending or (".conv." in key and value.ndim == 4):
                value.mul_(8)
            if key.endswith("cls_score.weight"):
                value.mul_(4)
            if key.endswith("classification_head.cls_logits.bias"):
                value.fill_(-1.5)
    return network.eval()


def write_detector(
    directory: Path,
    classes: Sequence[str] = CLASSES,
    network: str = "fcos",
    *,
    seed: int = 0,
    onnx: bool = True,
    preprocessing: Preprocessing = Preprocessing(min_size=64, max_size=128),  # noqa: B008
    arguments: dict[str, Any] | None = None,
    **fields: Any,
) -> ModelBundle:
    """Writes a complete detector's bundle.

    Args:
        directory: of the bundle, created.
        classes: names in the order of the labels, without the background.
        network: faster_rcnn, retinanet or fcos.
        seed: of the weights.
        onnx: whether the exported graph is in it as well.
        preprocessing: how images are resized or cut into tiles.
        arguments: of the network, over TINY's.
        fields: further ones of the ModelBundle (name, dataset, split, metrics …).
    """
    directory.mkdir(parents=True, exist_ok=True)
    given = {**TINY, **(arguments or {}), "classes": len(classes)}
    detector = tiny_detector(network, seed=seed, **given)
    weights = directory / "weights.tmp.safetensors"
    save_weights(weights, detector)
    if onnx:
        export_detector(detector, (64, 96), directory / "model.onnx")
    described: dict[str, Any] = {
        "name": "tiny_detector",
        "task": TASK,
        "classes": list(classes),
        "architecture": {"name": network, "arguments": given},
        "preprocessing": preprocessing.model_dump(),
        "training": {"epochs": 1},
        "metrics": {"val_map": 0.25, "val_map50": 0.5},
        **tensors(given["detections"]),
        **fields,
    }
    formats = {"onnx": "model.onnx"} if onnx else {}
    bundle = save_bundle(directory, weights, formats=formats, **described)
    weights.unlink()
    return bundle
