"""Classifying clips: one label each (cross-entropy) or several (binary cross-entropy).

Where labels are known in time, the loss may be on single frames too.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MultilabelExactMatch,
    MultilabelF1Score,
)

from components.core.errors import InputError
from components.core.training.clips import ClipBatch, network_input
from components.core.training.task import Task

MONITORS = ("val_macro_f1", "val_micro_f1", "val_accuracy", "val_loss")
"""Figures that can choose the best epoch."""


class ClipClassification(Task):
    """Trains a network that gives B x classes logits.

    Args:
        network: takes B, 3, T, H, W in [-1, 1].
        classes: number of classes, at least 2 unless `multi_label`.
        multi_label: several labels a clip: sigmoid per class instead of softmax over all.
        weights: per class, the factor on the loss of its clips (of its positives when
            `multi_label`); see `balanced_weights`.
        label_smoothing: share of each target that is spread over all classes.
        localisation: share of the loss that is on the labels of single frames, 0 to 1; above 0
            it needs `multi_label`, batches with `frame_labels`, and a network that gives
            B x classes x T' logits with `along_time=True`.

    Raises:
        InputError: `localisation` without `multi_label`.
    """

    weights: Tensor

    def __init__(
        self,
        network: nn.Module,
        classes: int,
        multi_label: bool = False,
        weights: np.ndarray | None = None,
        label_smoothing: float = 0.0,
        localisation: float = 0.0,
    ) -> None:
        super().__init__()
        if localisation and not multi_label:
            raise InputError(
                f"localisation: {localisation} needs several labels a clip; set multi_label: true"
            )
        self.localisation = localisation
        self.network = network
        self.multi_label = multi_label
        self.label_smoothing = label_smoothing
        values = np.ones(classes) if weights is None else weights
        self.register_buffer("weights", torch.tensor(values, dtype=torch.float32))
        self.val_loss = MeanMetric()
        self.figures = nn.ModuleDict(_figures(classes, multi_label))

    def loss(self, network: nn.Module, batch: ClipBatch) -> Tensor:
        """The mean over the batch's clips, each weighted by its class."""
        clips, labels = network_input(batch["frames"]), batch["labels"]
        if self.localisation:
            return self._loss_along_time(network(clips, along_time=True), batch["frame_labels"])
        logits = network(clips).float()
        if self.multi_label:
            return self._binary(logits, labels)
        losses = functional.cross_entropy(
            logits, labels, reduction="none", label_smoothing=self.label_smoothing
        )
        return (losses * self.weights[labels]).mean()

    def _loss_along_time(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The published loss of I3D on Charades: frames and clip, each by its own logits.

        The logits along time are interpolated to the frames; a clip's are the largest of its
        frames', and its labels all that one of the frames seen has.

        Args:
            logits: B x classes x T'.
            labels: B x T x classes.
        """
        frames = functional.interpolate(logits.float(), labels.shape[1], mode="linear")
        on_frames = self._binary(frames.transpose(1, 2), labels)
        on_clips = self._binary(frames.amax(2), labels.amax(1))
        return self.localisation * on_frames + (1 - self.localisation) * on_clips

    def _binary(self, logits: Tensor, labels: Tensor) -> Tensor:
        smooth = self.label_smoothing
        return functional.binary_cross_entropy_with_logits(
            logits, labels * (1 - smooth) + smooth / 2, pos_weight=self.weights
        )

    def start_validation(self) -> None:
        """Forgets the last validation."""
        self.val_loss.reset()
        for figure in self._figures().values():
            figure.reset()

    def validate(self, network: nn.Module, batch: ClipBatch) -> None:
        """Gathers the figures, and the loss without class weights and smoothing."""
        logits = network(network_input(batch["frames"])).float()
        labels = batch["labels"]
        if self.multi_label:
            loss = functional.binary_cross_entropy_with_logits(logits, labels)
        else:
            loss = functional.cross_entropy(logits, labels)
        self.val_loss.update(loss, weight=len(logits))
        for figure in self._figures().values():
            figure.update(logits.sigmoid() if self.multi_label else logits, labels.long())

    def validation_metrics(self) -> dict[str, float]:
        """`val_loss` and MONITORS; several labels are predicted where the probability is 0.5.

        `val_accuracy` is the share of clips whose labels are all right and complete.
        """
        values = {name: float(figure.compute()) for name, figure in self._figures().items()}
        return {"val_loss": float(self.val_loss.compute()), **values}

    def _figures(self) -> dict[str, Metric]:
        return cast("dict[str, Metric]", dict(self.figures.items()))


def _figures(classes: int, multi_label: bool) -> dict[str, Metric]:
    if multi_label:
        return {
            "val_macro_f1": MultilabelF1Score(classes, average="macro"),
            "val_micro_f1": MultilabelF1Score(classes, average="micro"),
            "val_accuracy": MultilabelExactMatch(classes),
        }
    return {
        "val_macro_f1": MulticlassF1Score(classes, average="macro"),
        "val_micro_f1": MulticlassF1Score(classes, average="micro"),
        "val_accuracy": MulticlassAccuracy(classes, average="micro"),
    }
