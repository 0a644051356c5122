"""Trains a small network with `fit` and, if told so, dies for real at a chosen moment.

Usage: training_driver.py FOLDER CHECKPOINT_MINUTES [FAULT:COUNT] [workers=N]. Writes a JSON file
beside the folder: history and hashes of the kept weights.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import StoppedError
from components.core.events import Reporter
from components.core.training.fit import fit
from components.core.training.options import FitOptions
from components.core.training.seeds import EXAMPLE, WEIGHTS, generator, seed_all
from components.core.training.task import Task

FAULT, COUNT = "", 0
_calls: dict[str, int] = {}


def die(moment: str) -> bool:
    """Whether this is the moment to die, counting from 1."""
    _calls[moment] = _calls.get(moment, 0) + 1
    return moment == FAULT and _calls[moment] == COUNT


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Points:
    """Noisy points; the class is a curved function of them."""

    def __init__(self, count: int, seed: int, augmented: bool) -> None:
        self.values = np.random.default_rng(seed).normal(size=(count, 10)).astype(np.float32)
        self.augmented = augmented

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, epoch: int, indices: list[int]) -> dict[str, Tensor]:
        values = self.values[indices]
        labels = (values[:, 0] + values[:, 1] * values[:, 2] > 0).astype(np.int64)
        if self.augmented:
            noise = [generator(7, EXAMPLE, epoch, index).normal(size=10) for index in indices]
            values = values + 0.3 * np.stack(noise).astype(np.float32)
        return {"values": torch.from_numpy(values), "labels": torch.from_numpy(labels)}


class PointTask(Task):
    """Everything whose state a restart could lose: batch statistics, dropout, randomness."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(10, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 2)
        )

    def loss(self, network: nn.Module, batch: Any) -> Tensor:
        if die("loss"):
            kill()
        if die("sigterm"):
            os.kill(os.getpid(), signal.SIGTERM)
        # draws from every global generator, as some losses and layers do
        jitter = float(np.random.rand()) + float(torch.rand(()))
        logits = network(batch["values"] + 0.01 * jitter)
        return functional.cross_entropy(logits, batch["labels"])

    def start_validation(self) -> None:
        self.losses: list[Tensor] = []
        self.right: list[Tensor] = []

    def validate(self, network: nn.Module, batch: Any) -> None:
        if die("validate"):
            kill()
        if die("sigterm_validate"):
            os.kill(os.getpid(), signal.SIGTERM)
        logits = network(batch["values"])
        self.losses.append(functional.cross_entropy(logits, batch["labels"], reduction="none"))
        self.right.append(logits.argmax(1) == batch["labels"])

    def validation_metrics(self) -> dict[str, float]:
        return {
            "val_loss": float(torch.cat(self.losses).mean()),
            "val_accuracy": float(torch.cat(self.right).float().mean()),
        }


def inject_faults() -> None:
    """Dies around the writing of a snapshot: half-way, before and after its rename."""
    replace, save = os.replace, torch.save

    def replacing(source: Any, target: Any) -> None:
        snapshot = str(target).endswith("snapshot.pt")
        if snapshot and die("before_rename"):
            kill()
        replace(source, target)
        if snapshot and die("after_rename"):
            kill()

    def saving(content: Any, file: Any) -> None:
        if die("half_written"):
            whole = io.BytesIO()
            save(content, whole)
            file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
            file.flush()
            kill()
        save(content, file)

    os.replace, torch.save = replacing, saving


def main(folder: str, minutes: str, *rest: str) -> int:
    global FAULT, COUNT
    workers = 0
    for word in rest:
        if word.startswith("workers="):
            workers = int(word.removeprefix("workers="))
        else:
            FAULT, _, count = word.partition(":")
            COUNT = int(count)
    torch.set_num_threads(1)
    inject_faults()
    seed_all(3, WEIGHTS)
    options = FitOptions(
        epochs=5,
        batch_size=16,
        accumulate=3,
        learning_rate=0.02,
        weight_decay=1e-3,
        warmup_epochs=1,
        ema=0.9,
        monitor="val_accuracy",
        keep_every=2,
        checkpoint_minutes=float(minutes),
        seed=3,
        device="cpu",
        workers=workers,
    )
    train, val = Points(203, 1, True), Points(60, 2, False)
    try:
        result = fit(PointTask(), train, val, options, Path(folder), Reporter("driver"))
    except StoppedError as error:
        return error.exit_code
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]
    hashes = {e: hashlib.sha256(p.read_bytes()).hexdigest() for e, p in result.weights.items()}
    content = {"history": history, "best": result.best, "weights": hashes}
    Path(folder).with_suffix(".json").write_text(json.dumps(content), encoding="utf-8")
    return 0


def process(*arguments: str) -> None:
    """What a forked process runs."""
    sys.exit(main(*arguments))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
