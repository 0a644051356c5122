"""What the epochs so far say: which is best, and whether to go on."""

from __future__ import annotations

from collections.abc import Sequence

Row = dict[str, float]
"""Figures of one epoch: `epoch` (from 1), `train_loss`, `val_loss`, `val_macro_f1` …"""


def best_epoch(history: Sequence[Row], monitor: str) -> int:
    """The number of the best epoch, or of the last one when nothing was validated.

    Higher is better except for losses; among equals the one with the lower validation loss, then
    the earlier. Epochs without a finite figure are passed over.
    """
    scored = [row for row in history if row.get(monitor, float("nan")) == row.get(monitor)]
    if not scored:
        return int(history[-1]["epoch"]) if history else 0
    sign = 1.0 if monitor.endswith("loss") else -1.0

    def rank(row: Row) -> tuple[float, float, float]:
        return sign * row[monitor], row.get("val_loss", 0.0), row["epoch"]

    return int(min(scored, key=rank)["epoch"])


def exhausted(history: Sequence[Row], epochs: int, early_stop: int, monitor: str) -> bool:
    """Whether training is over: all epochs done, or none better for `early_stop` epochs."""
    if len(history) >= epochs:
        return True
    return bool(early_stop and len(history) - best_epoch(history, monitor) >= early_stop)
