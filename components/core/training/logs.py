"""Training curves for people: a CSV of the epochs, and TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from components.core import files
from components.core.training.history import as_csv
from components.core.training.module import FitModule

EVERY = 10
"""Optimizer steps between two points of the step curves."""


class Logs(pl.Callback):
    """Writes `<folder>/log.csv` and `<folder>/tensorboard/`.

    Both show each epoch once, however often training was interrupted: the CSV is rewritten from
    the history, and TensorBoard is told to forget the steps that are repeated.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Opens the logs at the position training continues from."""
        from torch.utils.tensorboard import SummaryWriter

        assert isinstance(pl_module, FitModule)
        if pl_module.processes.first:
            self._writer = SummaryWriter(
                str(self._folder / "tensorboard"), purge_step=pl_module.position.step + 1
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, _: int
    ) -> None:
        """Adds a point to the step curves."""
        assert isinstance(pl_module, FitModule)
        here = pl_module.position
        if batch is None or not pl_module.plan.ends_step(here.batch - 1) or here.step % EVERY:
            return
        if self._writer:
            self._writer.add_scalar("step/train_loss", pl_module.mean_loss(), here.step)
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            self._writer.add_scalar("step/learning_rate", rate, here.step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds the epoch's figures."""
        assert isinstance(pl_module, FitModule)
        if self._writer:
            history = pl_module.position.history
            for name, value in history[-1].items():
                if name not in ("epoch", "step"):
                    self._writer.add_scalar(f"epoch/{name}", value, int(history[-1]["step"]))
            self._writer.flush()
            files.write_text(self._folder / "log.csv", as_csv(history))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Closes the logs."""
        if self._writer:
            self._writer.close()
            self._writer = None
