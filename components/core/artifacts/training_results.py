"""TrainingResults: what a training leaves for people, and the state that it can go on from.

A directory holds:

- `index.json`, see `TrainingResults`.
- `out_results/epoch-<n>/Result<k>.png`: rendered, photographed, four times their difference.
- `out_checkpoints/`: traces of the kept epochs as pairs `<name>.pt` and `<name>.txt`, as the
  viewer reads them from its `networks` folder.
- `out_runs/`: `log.csv` and `tensorboard/`.
- `state/`: what training goes on from.
"""

from __future__ import annotations

from typing import Any, ClassVar

from components.core.artifacts.base import Index

RESULTS, CHECKPOINTS, RUNS, STATE = "out_results", "out_checkpoints", "out_runs", "state"
"""Folders."""


class TrainingResults(Index):
    """Index of a TrainingResults directory."""

    SCHEMA: ClassVar[str] = "trainyard/training-results"

    name: str
    """Of the training: date and run name."""
    settings: dict[str, Any]
    """All settings it was trained with."""
    dataset: str
    """Fingerprint of the training data."""
    epochs: int
    """How many were trained."""
    best: int
    """Number of the best one, from 1."""
    model: str
    """Fingerprint of the ModelBundle."""
    code_version: str
