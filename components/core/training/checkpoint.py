"""The state a restart continues from: one file, replaced whole, never half-written."""

from __future__ import annotations

import io
import os
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.core import files
from components.core.errors import InputError
from components.core.training.history import Row

FORMAT = 1


@dataclass
class Position:
    """How far training is. `batch == batches per epoch` means: trained, not yet validated."""

    epoch: int = 0
    """Epochs finished, validation included."""
    batch: int = 0
    """Batches of the epoch in progress that are part of the weights."""
    step: int = 0
    """Optimizer steps made in all."""
    history: list[Row] = field(default_factory=list)


@dataclass
class Snapshot:
    """Everything that determines how training goes on."""

    position: Position
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    loss_sum: Tensor
    """Sum of the losses of the epoch in progress over its examples; float64 scalar."""
    averaged: dict[str, Tensor] = field(default_factory=dict)
    """The moving average of the weights, if there is one."""
    scaler: dict[str, Any] = field(default_factory=dict)
    """The loss scale of fp16."""


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Replaces the file by `snapshot`; the old one stays until the new one is on the disk."""
    content = {"format": FORMAT, **vars(snapshot), "position": asdict(snapshot.position)}
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        # In memory first: torch's own writer reports a full disk as an unexpected position.
        buffer = io.BytesIO()
        torch.save(content, buffer)
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def read_snapshot(path: Path) -> Snapshot | None:
    """The snapshot in `path`, on the CPU, or None when there is none yet.

    Raises:
        InputError: the file is damaged or of another version.
    """
    if not path.exists():
        return None
    fix = f"remove {path} to start the training over"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        raise InputError(f"{path} is damaged ({str(error).splitlines()[0]}); {fix}") from None
    if content.pop("format", None) != FORMAT:
        raise InputError(f"{path} was written by another version; {fix}")
    position = Position(**content.pop("position"))
    return Snapshot(position=position, **content)


def _sync_folder(folder: Path) -> None:
    """Makes a rename durable: without this a power cut can bring the old name back."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
