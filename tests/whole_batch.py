"""Gradients and batch statistics of I3D in several processes, each with some of the clips."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from components.core.models import build
from components.core.models.dropout import Dropout, Rows
from components.core.models.i3d import arguments_for
from components.core.training.batch_norm import whole_batch_statistics

PROCESSES = 2


def network() -> nn.Module:
    torch.manual_seed(0)
    return build("i3d", **arguments_for(16, 2, 0.125, 0.5)).double().train()


def clips() -> Tensor:
    return torch.randn(5, 3, 8, 16, 16, dtype=torch.float64, generator=torch.manual_seed(1))


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=PROCESSES)
    own = network()
    for layer in own.modules():
        if isinstance(layer, Dropout):
            layer.rows = Rows(rank, PROCESSES, 5)
    shares = clips()[rank::PROCESSES]
    torch.manual_seed(2)
    with whole_batch_statistics(own, None):
        own(shares).square().sum().backward()
    for value in own.parameters():
        assert value.grad is not None
        dist.all_reduce(value.grad)
    if not rank:
        gradients = {name: value.grad for name, value in own.named_parameters()}
        torch.save((gradients, own.state_dict()), f"{folder}/result.pt")
    dist.destroy_process_group()
