"""Trains one small network in one or several processes on this machine, as torchrun starts them.

Faults are real: a process that is told to signals or kills itself in the middle of a step.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassF1Score

from components.core.errors import StoppedError, TrainyardError
from components.core.events import Reporter
from components.core.models.dropout import Dropout
from components.core.training.fit import fit
from components.core.training.freezing import freeze
from components.core.training.options import FitOptions
from components.core.training.seeds import EXAMPLE, WEIGHTS, generator, seed_all
from components.core.training.task import Task

CLASSES = 3


@dataclass(frozen=True)
class Run:
    """One attempt at a training."""

    folder: Path
    processes: int = 1
    frozen: bool = True
    """Batch normalisation keeps its statistics and nothing is dropped."""
    train: int = 23
    val: int = 7
    faults: dict[int, str] = field(default_factory=dict)
    """Rank → `<moment>:<which time>:<what>`; what is TERM, INT, KILL, nan or raise."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the options."""

    def shown(self, rank: int) -> str:
        """What the process has written to its standard error, in all attempts."""
        return self._log(rank).read_text(encoding="utf-8")

    def _log(self, rank: int) -> Path:
        return self.folder.with_name(f"process-{rank}.log")

    @property
    def options(self) -> FitOptions:
        defaults: dict[str, Any] = {
            "epochs": 4,
            "batch_size": 5,
            "accumulate": 3,
            "learning_rate": 0.02,
            "weight_decay": 1e-3,
            "gradient_clip": 0.5,
            "ema": 0.9,
            "monitor": "val_macro_f1",
            "keep_every": 1,
            "checkpoint_minutes": 60.0,
            "seed": 3,
            "device": "cpu",
        }
        return FitOptions(**{**defaults, **self.changes})


class Clips:
    """Small noisy clips; the class is the brightest third of the frame."""

    def __init__(self, count: int, seed: int, augmented: bool) -> None:
        self.values = np.random.default_rng(seed).normal(size=(count, 3, 4, 6, 6))
        self.augmented = augmented

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, epoch: int, indices: list[int]) -> dict[str, Tensor]:
        values = self.values[indices]
        thirds = values.reshape(len(indices), 3, 4, 3, 2, 6).mean((1, 2, 4, 5))
        if self.augmented:
            shifts = [generator(7, EXAMPLE, epoch, index).normal() for index in indices]
            values = values + 0.1 * np.array(shifts).reshape(-1, 1, 1, 1, 1)
        return {
            "values": torch.from_numpy(values.astype(np.float32)),
            "labels": torch.from_numpy(thirds.argmax(1)),
        }


class ClipTask(Task):
    """Cross-entropy on a network with everything that several processes could get wrong."""

    def __init__(self, frozen: bool, fault: str = "") -> None:
        super().__init__()
        seed_all(3, WEIGHTS)
        self.network = nn.Sequential(
            nn.Conv3d(3, 8, 3, padding=1),
            nn.BatchNorm3d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool3d((1, 3, 1)),
            nn.Flatten(),
            Dropout(0.0 if frozen else 0.5),
            nn.Linear(24, CLASSES),
        )
        if frozen:
            freeze(self.network, ["1"])
        self.val_loss = MeanMetric()
        self.macro_f1 = MulticlassF1Score(CLASSES, average="macro")
        self.moment, times, self.what = fault.split(":") if fault else ("", "0", "")
        self.times = int(times)

    def loss(self, network: nn.Module, batch: Any) -> Tensor:
        loss = functional.cross_entropy(network(batch["values"]), batch["labels"])
        return loss * float("nan") if self.fails("loss") else loss

    def start_validation(self) -> None:
        self.val_loss.reset()
        self.macro_f1.reset()

    def validate(self, network: nn.Module, batch: Any) -> None:
        self.fails("validate")
        logits = network(batch["values"])
        loss = functional.cross_entropy(logits, batch["labels"])
        self.val_loss.update(loss, weight=len(logits))
        self.macro_f1.update(logits, batch["labels"])

    def validation_metrics(self) -> dict[str, float]:
        return {
            "val_loss": float(self.val_loss.compute()),
            "val_macro_f1": float(self.macro_f1.compute()),
        }

    def fails(self, moment: str) -> bool:
        """Does what the fault says, when it is time to; True for a loss that is no number."""
        self.times -= moment == self.moment
        if moment != self.moment or self.times:
            return False
        if self.what == "raise":
            raise ValueError("a fault of its own")
        if self.what != "nan":
            os.kill(os.getpid(), getattr(signal, f"SIG{self.what}"))
        return self.what == "nan"


def attempt(run: Run, seconds: float = 60) -> list[int]:
    """Trains; returns the exit code of each process, as the stage's own would be."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["components.core.training.fit"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = range(run.processes)
    started = [context.Process(target=_process, args=(run, rank, port)) for rank in ranks]
    for process in started:
        process.start()
    for process in started:
        process.join(seconds)
    hanging = [rank for rank, process in enumerate(started) if process.exitcode is None]
    for rank in hanging:
        started[rank].kill()
        started[rank].join()
    assert not hanging, f"the processes {hanging} hang"
    return [process.exitcode or 0 for process in started]


def _process(run: Run, rank: int, port: int) -> None:
    torch.set_num_threads(1)
    with open(run._log(rank), "a", encoding="utf-8") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
    if run.processes > 1:
        os.environ.update(
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(run.processes),
            LOCAL_WORLD_SIZE=str(run.processes),
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(port),
            TORCHELASTIC_RUN_ID="test",
        )
    task = ClipTask(run.frozen, run.faults.get(rank, ""))
    train, val = Clips(run.train, 1, True), Clips(run.val, 2, False)
    try:
        fit(task, train, val, run.options, run.folder, Reporter(f"process {rank}"), "clips")
    except (StoppedError, TrainyardError) as error:
        print(f"process {rank}: {error}", file=sys.stderr)
        _leave(error.exit_code)
    except Exception:
        traceback.print_exc()
        _leave(1)
    sys.stderr.flush()


def _leave(code: int) -> None:
    sys.stderr.flush()
    os._exit(code)
