"""Batch statistics that are usable from the first epoch on."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

RECENT = 5.0
"""The statistics are averaged over about the last 1 / RECENT of the batches seen."""


class BatchNormWarmup:
    """Lets batch statistics follow the fast changes of a network that starts from nothing.

    A moving average with momentum 0.01 is mostly its start value for the first hundred batches
    and lags behind the weights for some hundred more, so that validation means nothing until
    then. Here it moves after n batches as if its momentum were max(m, RECENT / (n + 1)): it
    follows from the first batch on, and is the usual average once that looks back as far.

    The layers' own momentum stays as it is, because a compiled network would be compiled anew
    for each value; each batch's move is enlarged afterwards.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._before: list[Tensor] = []
        self._factors: list[float] = []

    def before_batch(self, batches: int) -> None:
        """Call before a training batch, `batches` having been seen."""
        wanted = min(1.0, RECENT / (batches + 1))
        factors = [max(1.0, wanted / float(layer.momentum or 1.0)) for layer in self._layers()]
        self._factors = [factor for factor in factors for _ in range(2)]
        self._before = []
        if any(factor > 1 for factor in factors):
            self._before = [value.clone() for value in self._statistics()]

    @torch.no_grad()
    def after_batch(self) -> None:
        """Call after the batch: enlarges the move it made."""
        if not self._before:
            return
        now = self._statistics()
        moves = torch._foreach_sub(now, self._before)
        torch._foreach_mul_(moves, self._factors)
        torch._foreach_add_(moves, self._before)
        torch._foreach_copy_(now, moves)
        self._before = []

    def _layers(self) -> list[_BatchNorm]:
        # looked up each time: synchronised layers take the place of the others on several GPUs
        return [
            module
            for module in self._network.modules()
            if isinstance(module, _BatchNorm) and module.momentum and module.track_running_stats
        ]

    def _statistics(self) -> list[Tensor]:
        values = [value for m in self._layers() for value in (m.running_mean, m.running_var)]
        return [value for value in values if value is not None]
