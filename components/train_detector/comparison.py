"""Which variant is the best, and the files in which variants are compared."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.core import files
from components.core.events import Reporter
from components.core.models.bundle import read_safetensors
from components.train_detector.trained import Trained

TABLE = "comparison.csv"

COMPARABLE = "val_map"
"""What chooses among networks whose losses mean different things."""

SHORT = ("weight_decay", "momentum", "step_size", "gamma")
"""Settings that a variant's settings file has under their own names."""


def best_of(done: Sequence[Trained], monitor: str, report: Reporter) -> Trained:
    """The variant whose best epoch has the best figure; the first among equals.

    Args:
        done: all variants.
        monitor: the figure; lower is better for a loss.
        report: is told where losses cannot be compared.
    """
    networks = {trained.variant.network for trained in done}
    if monitor.endswith("loss") and len(networks) > 1:
        report.message(
            f"the losses of {', '.join(sorted(networks))} mean different things; {COMPARABLE} "
            "chooses among the variants"
        )
        monitor = COMPARABLE
    sign = -1.0 if monitor.endswith("loss") else 1.0
    return max(done, key=lambda trained: sign * trained.metrics.get(monitor, -sign * math.inf))


def write_comparison(directory: Path, done: Sequence[Trained], best: Trained, log: Path) -> None:
    """Writes TABLE, `<variant>_settings.json` of each, and the curves of all into `log`.

    The settings files are in the form in which the weed trainer's tools read and write them.
    """
    rows = [_row(trained, trained is best) for trained in done]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(directory / TABLE, text.getvalue())
    for trained in done:
        path = directory / f"{trained.variant.folder}_settings.json"
        files.write_json(path, _settings(trained))
    _write_curves(log, done)


def _row(trained: Trained, best: bool) -> dict[str, Any]:
    result = trained.result
    weights = read_safetensors(result.weights[result.best])
    return {
        "variant": trained.variant.name,
        "network": trained.variant.network,
        "backbone": trained.variant.backbone,
        "best": int(best),
        "epoch": result.best,
        "epochs": len(result.history),
        "weights": sum(value.numel() for value in weights.values()),
        "seconds": round(sum(row.get("seconds", 0.0) for row in result.history), 1),
        **{name: f"{value:.6g}" for name, value in trained.metrics.items()},
    }


def _settings(trained: Trained) -> dict[str, Any]:
    settings = trained.settings
    return {
        "lr": settings.learning_rate,
        **{name: getattr(settings, name) for name in SHORT},
        "best_value": trained.metrics.get(settings.monitor),
        "monitor": settings.monitor,
        "epoch": trained.result.best,
    }


def _write_curves(log: Path, done: Sequence[Trained]) -> None:
    """TensorBoard's curves `<variant>/training loss`, `<variant>/validation loss` and others."""
    from torch.utils.tensorboard import SummaryWriter

    names = {"train_loss": "training loss", "val_loss": "validation loss"}
    with SummaryWriter(str(log / "tensorboard")) as writer:
        for trained in done:
            for row in trained.result.history:
                for key, value in row.items():
                    if key.startswith(("train_", "val_")) and math.isfinite(value):
                        tag = f"{trained.variant.folder}/{names.get(key, key)}"
                        writer.add_scalar(tag, value, int(row["epoch"]))
