"""Loading: whole batches made in worker processes that cannot outlive the trainer."""

from __future__ import annotations

import atexit
import signal
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from components.core.cpus import usable_cpus
from components.core.lifetime import die_with_parent

MOST_WORKERS = 16
"""More loader processes than this never helped a single GPU and cost memory."""


class Examples(Protocol):
    """Numbered examples that come as finished batches."""

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def batch(self, epoch: int, indices: list[int]) -> Any:
        """The batch of these examples: tensors, or a dict of them, on the CPU.

        It must depend on nothing but the arguments: augmentation draws from
        `seeds.generator(seed, EXAMPLE, epoch, index)`, validation data ignores the epoch.
        """
        ...


Item = tuple[int, list[int]]
"""An epoch and the examples of one batch; no examples stand for an empty batch."""


def make_loader(
    examples: Examples, items: Callable[[], list[Item]], workers: int, device: torch.device
) -> DataLoader[Any]:
    """A loader that asks `items` at the start of each pass which batches to make."""
    loader: DataLoader[Any] = DataLoader(
        _Batches(examples),
        sampler=_Items(items),
        batch_size=None,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=_tie_to_parent,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),  # else each pass would draw from the global one
    )
    atexit.register(_end_workers, weakref.ref(loader))
    return loader


def _end_workers(reference: weakref.ref[DataLoader[Any]]) -> None:
    """Ends what still runs at exit, where multiprocessing would send SIGTERM and wait for ever."""
    loader = reference()
    iterator: Any = None if loader is None else loader._iterator
    if iterator is not None:
        iterator._shutdown_workers()


def loader_processes(workers: int, device: torch.device, trainers: int = 1) -> int:
    """How many worker processes each of the machine's `trainers` uses; `workers` as in FitOptions.

    Training on the CPU keeps every core busy, so batches are made in between by the same process.
    """
    if workers or device.type == "cpu":
        return workers
    return max(1, min(usable_cpus() // trainers, MOST_WORKERS))


class _Batches(Dataset[Any]):
    def __init__(self, examples: Examples) -> None:
        self.examples = examples

    def __getitem__(self, item: Item) -> Any:
        epoch, indices = item
        return self.examples.batch(epoch, indices) if indices else None


class _Items(Sampler[Item]):
    """Has no length on purpose: the pass that continues an epoch is shorter than the others."""

    def __init__(self, items: Callable[[], list[Item]]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items())


def _tie_to_parent(worker: int) -> None:
    # A signal to the whole process group is the trainer's to handle: it still needs its loaders
    # for the step it completes. They end when it does, however that happens.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    die_with_parent(signal.SIGKILL)
