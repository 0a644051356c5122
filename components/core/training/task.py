"""What is trained: a network, its loss, and how it is validated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class Task(nn.Module, ABC):
    """What `fit` trains. A batch is whatever the task's `Examples` return.

    `network` is passed to every method: it is the one that is trained, its moving average, or a
    wrapper that spreads it over devices.
    """

    network: nn.Module

    @abstractmethod
    def loss(self, network: nn.Module, batch: Any) -> Tensor:
        """The loss of a batch: a scalar, the mean over its examples.

        A sum divided by anything but the number of examples would make accumulated gradients
        depend on how a step is cut into batches.
        """

    @abstractmethod
    def start_validation(self) -> None:
        """Forgets what an earlier validation gathered."""

    @abstractmethod
    def validate(self, network: nn.Module, batch: Any) -> None:
        """Gathers one validation batch; no gradients are recorded."""

    @abstractmethod
    def validation_metrics(self) -> dict[str, float]:
        """Figures of the batches gathered, `val_loss` among them.

        Where several processes train together, each has gathered its share, or nothing, and the
        figures must be those of all: torchmetrics' `compute` sees to that.
        """
