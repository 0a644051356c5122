"""Batch statistics: usable from the first epoch on, and those of the whole batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

RECENT = 5.0
"""The statistics are averaged over about the last 1 / RECENT of the batches seen."""


class BatchNormWarmup:
    """Lets batch statistics follow the fast changes of a network that starts from nothing.

    A moving average with momentum 0.01 is mostly its start value for the first hundred batches
    and lags behind the weights for some hundred more, so that validation means nothing until
    then. Here it moves after n batches as if its momentum were max(m, RECENT / (n + 1)): it
    follows from the first batch on, and is the usual average once that looks back as far.

    A layer that a batch goes through several times moves each time, and all of that is the batch's.

    The layers' own momentum stays as it is, because a compiled network would be compiled anew
    for each value; each batch's move is enlarged afterwards.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._before: list[Tensor] = []
        self._counts: list[int] = []
        self._wanted = 0.0

    def before_batch(self, batches: int) -> None:
        """Call before a training batch, `batches` having been seen."""
        self._wanted = min(1.0, RECENT / (batches + 1))
        layers = self._layers()
        self._before = []
        if any(self._wanted > float(layer.momentum or 1.0) for layer in layers):
            self._before = [value.clone() for value in self._statistics()]
            self._counts = _counts(layers)

    @torch.no_grad()
    def after_batch(self) -> None:
        """Call after the batch: enlarges the move it made."""
        if not self._before:
            return
        layers, now = self._layers(), self._statistics()
        calls = [now - then for now, then in zip(_counts(layers), self._counts, strict=True)]
        factors = [self._factor(*pair) for pair in zip(layers, calls, strict=True)]
        moves = torch._foreach_sub(now, self._before)
        torch._foreach_mul_(moves, [factor for factor in factors for _ in range(2)])
        torch._foreach_add_(moves, self._before)
        torch._foreach_copy_(now, moves)
        self._before = []

    def _factor(self, layer: _BatchNorm, calls: int) -> float:
        """How much further a layer has to go that moved at each of its calls in the batch."""
        momentum = float(layer.momentum or 1.0)
        share = momentum if calls <= 1 else 1 - (1 - momentum) ** calls
        return max(1.0, self._wanted / share)

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


def _counts(layers: list[_BatchNorm]) -> list[int]:
    """How often each layer was called in training."""
    counters = [layer.num_batches_tracked for layer in layers]
    found = [value for value in counters if value is not None]
    assert len(found) == len(layers)  # those that track statistics count, too
    counts: list[int] = torch.stack(found).tolist() if found else []
    return counts


@contextmanager
def whole_batch_statistics(network: nn.Module, group: Any) -> Iterator[None]:
    """Inside, batch normalisation on the CPU sees the shares of all processes as one batch.

    `nn.SyncBatchNorm` does this on GPUs only. The layers stay the same objects, so that parameters,
    hooks and names of the state do not change. Layers in evaluation mode behave as ever.

    Args:
        network: its batch normalisation layers are changed in place, until the end.
        group: the gloo group of the processes; each must train its share at the same moments.
    """
    layers = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    kinds = [type(layer) for layer in layers]
    for layer in layers:
        layer.__class__ = WholeBatchNorm
        layer.group = group
    try:
        yield
    finally:
        for layer, kind in zip(layers, kinds, strict=True):
            layer.__class__ = kind
            del layer.group


class WholeBatchNorm(_BatchNorm):
    """Batch normalisation over the shares of all processes of `group`."""

    group: Any

    def forward(self, x: Tensor) -> Tensor:
        """B x C x any; the process's share of the batch, of at least one row."""
        if not self.training:
            return super().forward(x)
        normalised: Tensor = self._over_all(x)
        return normalised

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # it communicates
    def _over_all(self, x: Tensor) -> Tensor:
        x, mean, variance, count = _Normalised.apply(
            x, self.weight, self.bias, self.eps, self.group
        )
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        if self.running_mean is not None and self.running_var is not None:
            share = self.momentum
            if share is None:  # the plain average of all batches
                share = 1 / float(self.num_batches_tracked or 1)
            unbiased = variance * (count / (count - 1))
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)
        return x

    def _check_input_dim(self, input: Tensor) -> None:
        """All dimensions are taken, as by `nn.SyncBatchNorm`."""


class _Normalised(torch.autograd.Function):
    """Ioffe and Szegedy, arXiv:1502.03167, algorithm 1 and its gradients, with sums over processes.

    Returns the normalised share; and of the whole batch the mean and the biased variance of each
    channel and the values per channel, which have no gradients.
    """

    @staticmethod
    def forward(
        context: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, group: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        values = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        own = values.new_full((1,), x.numel() // x.shape[1], dtype=torch.float64)
        sums = torch.cat([values.sum(axes).double(), own])
        dist.all_reduce(sums, group=group)
        count = sums[-1]
        if count < 2:
            raise ValueError(f"more than one value per channel is needed, got {tuple(x.shape)}")
        mean = (sums[:-1] / count).to(values.dtype)
        centred = values - _along(mean, x)
        # from the mean's distance, not from the squares' sum: that would cancel
        squares = centred.square().sum(axes).double()
        dist.all_reduce(squares, group=group)
        variance = (squares / count).to(values.dtype)
        scale = (variance + eps).rsqrt()
        result = centred.mul_(_along(scale if weight is None else scale * weight, x))
        if bias is not None:
            result.add_(_along(bias, x))
        context.save_for_backward(x, weight, mean, scale, count)
        context.group = group
        context.mark_non_differentiable(mean, variance, count)
        return result.to(x.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, count = context.saved_tensors
        axes = [axis for axis in range(x.ndim) if axis != 1]
        gradient_in, values = gradient.to(mean.dtype), x.to(mean.dtype)
        normal = (values - _along(mean, x)).mul_(_along(scale, x))
        of_bias = gradient_in.sum(axes)
        of_weight = (gradient_in * normal).sum(axes)
        of_x = None
        if context.needs_input_grad[0]:
            sums = torch.cat([of_bias, of_weight]).double()
            dist.all_reduce(sums, group=context.group)
            bias_mean, weight_mean = (sums / count).to(mean.dtype).chunk(2)
            of_x = gradient_in - _along(bias_mean, x) - normal.mul_(_along(weight_mean, x))
            of_x = of_x.mul_(_along(scale if weight is None else scale * weight, x)).to(x.dtype)
        wanted = context.needs_input_grad
        return of_x, of_weight if wanted[1] else None, of_bias if wanted[2] else None, None, None


def _along(values: Tensor, x: Tensor) -> Tensor:
    """Values of the channels, to be combined with B x C x any."""
    return values.view(1, -1, *[1] * (x.ndim - 2))
