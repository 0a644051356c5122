"""What the epochs so far say: which is best, and whether to go on."""

from __future__ import annotations

import csv
import io
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


def as_csv(history: Sequence[Row]) -> str:
    """The epochs as CSV with a header; columns in the order in which they appear."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    for row in history:
        writer.writerow({name: f"{value:.9g}" for name, value in row.items()})
    return text.getvalue()
