"""Batch statistics that are usable from the first epoch on."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


RECENT = 5.0
"""The statistics are averaged over about the last 1 / RECENT of the batches seen."""


class BatchNormWarmup:
    """Lets batch statistics follow the fast changes of a network that starts from nothing.

    A moving average with momentum 0.01 is mostly its start value for the first hundred batches
    and lags behind the weights for some hundred more, so that validation means nothing until
    then. With momentum max(m, RECENT / (n + 1)) after n batches it follows from the first batch
    on and becomes the usual average once that looks back as far.
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
            layer.momentum = max(momentum, min(1.0, RECENT / (batches + 1)))

    def reset(self) -> None:
        """Gives every layer its own momentum back."""
        for layer, momentum in self._layers:
            layer.momentum = momentum
