"""Training detectors of torchvision's kind: a dict of losses in training, boxes otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torchvision.ops import StochasticDepth

from components.core.detection.results import Detections
from components.core.metrics.detection import Truth, mean_average_precision
from components.core.training.detection_examples import DetectionBatch
from components.core.training.task import Task

MONITORS = ("val_map", "val_map50", "val_map75", "val_loss")
"""Figures that can choose the best epoch."""

Seen = tuple[Truth, Detections]


class Detection(Task):
    """Trains a detector.

    Its loss is the sum of the network's own, which are means over what it samples of the batch
    rather than over the images: a step that is cut into other batches is about the same, not
    exactly.

    Args:
        network: takes a list of images (3, H, W, float32 in [0, 1]) and, in training mode, a list
            of targets (`boxes`, and `labels` from 1); returns a dict of losses in training mode,
            else a list of `boxes`, `labels` and `scores`.
        classes: names, without the background.
    """

    def __init__(self, network: nn.Module, classes: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.classes = list(classes)
        self._seen: dict[int, Seen] = {}
        self._losses: dict[int, tuple[float, int]] = {}

    def loss(self, network: nn.Module, batch: DetectionBatch) -> Tensor:
        """The sum of the losses; what crowds cover is background."""
        losses: dict[str, Tensor] = network(_images(batch), _targets(batch))
        return torch.stack([value.float() for value in losses.values()]).sum()

    def start_validation(self) -> None:
        """Forgets the last validation."""
        self._seen = {}
        self._losses = {}

    @torch.no_grad()
    def validate(self, network: nn.Module, batch: DetectionBatch) -> None:
        """Gathers what is found, and the loss, which leaves batch statistics as they are."""
        first, count = batch["numbers"][0], len(batch["numbers"])
        with _training_losses(network, first):
            self._losses[first] = float(self.loss(network, batch)), count
        found = network(_images(batch))
        for row, number in enumerate(batch["numbers"]):
            self._seen[number] = _truth(batch, row), _detections(found[row], batch["scales"][row])

    def validation_metrics(self) -> dict[str, float]:
        """`val_loss`, and the figures of `mean_average_precision`, over the images of all
        processes.

        Boxes are compared in pixels of the images as stored; of tiles, tile by tile.
        """
        seen, losses = dict(self._seen), dict(self._losses)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            shares: list[Any] = [None] * dist.get_world_size()
            dist.all_gather_object(shares, (seen, losses))
            for others, theirs in shares:
                seen |= others
                losses |= theirs
        images = sum(count for _, count in losses.values())
        total = sum(losses[key][0] * losses[key][1] for key in sorted(losses))
        pairs = [seen[number] for number in sorted(seen)]
        figures = mean_average_precision(
            [truth for truth, _ in pairs], [found for _, found in pairs], self.classes
        )
        figures.setdefault("val_map", float("nan"))
        return {"val_loss": total / max(images, 1), **figures}


@contextmanager
def _training_losses(network: nn.Module, seed: int) -> Iterator[None]:
    """Inside, the network gives losses, samples by the seed, and changes nothing of itself."""
    modes = {module: module.training for module in network.modules()}
    network.train()
    for module in modes:
        if isinstance(module, _BatchNorm | _DropoutNd | StochasticDepth):
            module.eval()
    device = next(network.parameters()).device
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _images(batch: DetectionBatch) -> list[Tensor]:
    return [image.float().div_(255) for image in batch["images"]]


def _targets(batch: DetectionBatch) -> list[dict[str, Tensor]]:
    """Without crowds and what scaling leaves nothing of; labels from 1: 0 is the background."""
    targets = []
    rows = zip(batch["boxes"], batch["labels"], batch["crowd"], strict=True)
    for boxes, labels, crowd in rows:
        taught = ~crowd & (boxes[:, 2:] > boxes[:, :2]).all(1)
        targets.append({"boxes": boxes[taught], "labels": labels[taught] + 1})
    return targets


def _truth(batch: DetectionBatch, row: int) -> Truth:
    boxes = batch["boxes"][row].cpu().numpy().astype(np.float64) / batch["scales"][row]
    return Truth.of(boxes, batch["labels"][row].cpu().numpy(), batch["crowd"][row].cpu().numpy())


def _detections(found: dict[str, Tensor], scale: float) -> Detections:
    """In descending order of the score; classes from 0.

    Detectors of one stage have an output for the background too, which is never taught but by
    chance may be the surest of an untrained network: such boxes are none.
    """
    scores = found["scores"].float().cpu().numpy()
    labels = found["labels"].cpu().numpy().astype(np.int64)
    order = np.argsort(-scores, kind="stable")
    order = order[labels[order] > 0]
    boxes = (found["boxes"].float().cpu().numpy() / scale).astype(np.float32)
    return Detections(boxes[order], scores[order], labels[order] - 1)
