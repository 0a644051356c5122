"""Batch statistics that are usable from the first epoch on."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class BatchNormWarmup:
    """Averages batch statistics evenly until their moving average has seen enough batches.

    A moving average with momentum 0.01 is mostly its start value for the first hundred batches,
    so that validation of a fresh network means nothing. With momentum max(m, 1 / (n + 1)) it is
    the plain mean of the first 1/m batches and the usual average from then on.
    """

    def __init__(self, network: nn.Module) -> None:
        self._layers = [
            (module, float(module.momentum))
            for module in network.modules()
            if isinstance(module, _BatchNorm) and module.momentum
        ]

    def apply(self, batches: int) -> None:
        """Sets the momentum for the next batch, `batches` having been seen."""
        for layer, momentum in self._layers:
            layer.momentum = max(momentum, 1 / (batches + 1))

    def reset(self) -> None:
        """Gives every layer its own momentum back."""
        for layer, momentum in self._layers:
            layer.momentum = momentum
