"""An exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of `network` whose `update_parameters` moves it by `1 - decay` towards the original.

    The decay starts low and reaches `decay` after about 10 / (1 - decay) steps, so that the
    random first weights do not linger. Batch statistics are averaged too.
    """

    @torch.no_grad()
    def move(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(list(averaged), list(current), share)
        else:  # counters
            for mine, theirs in zip(averaged, current, strict=True):
                mine.copy_(theirs)

    average = AveragedModel(network, multi_avg_fn=move, use_buffers=True)
    average.requires_grad_(False)  # else several processes would wait for its gradients
    return average
