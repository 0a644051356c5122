"""Which examples make up which batch: a pure function of the seed, the epoch and the batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.training.seeds import ORDER, generator


@dataclass(frozen=True)
class BatchPlan:
    """Divides `count` examples into batches, and batches into optimizer steps.

    Every example is used once per epoch. Batches of an epoch differ by at most one example
    instead of leaving a small last one, so none is too small for batch normalisation. Where
    several processes train together, each takes every so many of a batch's examples.
    """

    count: int
    """Examples; at least 1."""
    batch_size: int
    """Most examples in a batch."""
    accumulate: int = 1
    """Batches whose gradients make up one optimizer step; the last step of an epoch may have
    fewer."""
    seed: int = 0
    shuffle: bool = True
    process: int = 0
    """Which process's share `examples` and `share` give."""
    processes: int = 1

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return -(-self.count // self.batch_size)

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch."""
        return -(-self.batches // self.accumulate)

    def order(self, epoch: int) -> np.ndarray:
        """All example numbers in the order of an epoch."""
        if not self.shuffle:
            return np.arange(self.count)
        return generator(self.seed, ORDER, epoch).permutation(self.count)

    def size(self, batch: int) -> int:
        """Examples in a batch."""
        return self.before(batch + 1) - self.before(batch)

    def share(self, batch: int) -> int:
        """Examples of a batch that this process takes."""
        return len(range(self.process, self.size(batch), self.processes))

    def examples(self, epoch: int, first_batch: int = 0) -> list[list[int]]:
        """This process's shares of the batches of an epoch from `first_batch` on."""
        order = self.order(epoch)
        step = self.processes
        return [
            order[self.before(batch) + self.process : self.before(batch + 1) : step].tolist()
            for batch in range(first_batch, self.batches)
        ]

    def ends_step(self, batch: int) -> bool:
        """Whether the optimizer steps after this batch."""
        return (batch + 1) % self.accumulate == 0 or batch + 1 == self.batches

    def step_size(self, batch: int) -> int:
        """Examples in the whole optimizer step that a batch belongs to."""
        first = batch - batch % self.accumulate
        last = min(first + self.accumulate, self.batches) - 1
        return self.before(last + 1) - self.before(first)

    def before(self, batch: int) -> int:
        """Examples in all batches of the epoch before this one."""
        return batch * self.count // self.batches


def share_problems(count: int, batch_size: int, processes: int) -> list[str]:
    """What is wrong when a batch leaves one of `processes` without examples; empty when none does.

    Args:
        count: training examples.
        batch_size: most examples in a batch, over all processes.
        processes: how many take their share of each batch.
    """
    if processes <= smallest_batch(count, batch_size):
        return []
    if processes > count:
        return [f"processes: {processes} is more than the {count} training examples; use fewer"]
    enough = next(n for n in range(processes, count + 1) if smallest_batch(count, n) >= processes)
    return [
        f"batch_size: {batch_size} makes batches of {smallest_batch(count, batch_size)} of the "
        f"{count} training examples, which leaves some of the {processes} processes without any; "
        f"use a batch_size of at least {enough}, or fewer processes"
    ]


def smallest_batch(count: int, batch_size: int) -> int:
    """Examples in the smallest batch of an epoch."""
    return count // -(-count // batch_size)
