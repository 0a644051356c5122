"""Which of the training processes this one is, and how all of them come to the same decision."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import nn

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes that train together; one by default, which agrees with itself.

    Decisions travel over gloo between the CPUs, so that none of them makes a GPU wait. Each method
    must be called by all processes at the same moments of the training.
    """

    rank: int = 0
    count: int = 1
    local_count: int = 1
    """Those on this machine."""
    group: Any = None
    """The gloo group of all of them, when there are several."""

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.rank == 0

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set in any process."""
        if self.count == 1:
            return [bool(flag) for flag in flags]
        values = torch.tensor([int(flag) for flag in flags])
        dist.all_reduce(values, dist.ReduceOp.MAX, self.group)
        return [bool(value) for value in values.tolist()]

    def total(self, value: float) -> float:
        """The sum of the processes' values."""
        if self.count == 1:
            return value
        values = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(values, dist.ReduceOp.SUM, self.group)
        return float(values)

    def firsts(self, value: T) -> T:
        """The first process's value; anything that can be pickled."""
        if self.count == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, 0, self.group)
        return values[0]

    def share_buffers(self, network: nn.Module) -> None:
        """Gives all processes the first one's batch statistics."""
        if self.count > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, 0)

    def wait(self) -> None:
        """Returns when all have come here."""
        if self.count > 1:
            dist.barrier(self.group)


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Joins the processes that torchrun started; without torchrun there is only this one.

    Args:
        device: of any index; each process of a machine takes the GPU of its local rank.
    """
    if not TorchElasticEnvironment.detect() or int(os.environ["WORLD_SIZE"]) == 1:
        yield Processes()
        return
    numbers = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    rank, count, local_count = numbers
    if device.type == "cuda":
        own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(own)
        dist.init_process_group("nccl", device_id=own)
    else:
        dist.init_process_group("gloo")
    yield Processes(rank, count, local_count, dist.new_group(backend="gloo"))
    # not after an error: the others may wait in the middle of something, which would not end
    dist.destroy_process_group()
