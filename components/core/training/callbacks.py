"""What happens beside training: snapshots, kept weights, orderly stops, progress."""

from __future__ import annotations

import math
import signal
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from components.core import files
from components.core.errors import StoppedError, TrainyardError
from components.core.events import Reporter
from components.core.lifetime import StopSignal
from components.core.models.bundle import save_weights
from components.core.training.checkpoint import write_snapshot
from components.core.training.history import best_epoch, exhausted
from components.core.training.module import FitModule

REPORT_SECONDS = 0.2
"""Reading the loss waits for a GPU, so not at every batch."""


class Recorder(pl.Callback):
    """Advances the position, records each epoch's figures and ends training early.

    All processes record the first one's figures, so that they come to the same decisions.
    It must be the first callback: the others look at the position.
    """

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._began = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the epoch's clock."""
        self._began = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, _: int
    ) -> None:
        """Counts the batch."""
        _module(pl_module).finish_batch()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Runs after validation."""
        module = _module(pl_module)
        options = module.options
        figures = {
            "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "train_loss": finite_loss(module),
            **module.validation,
            "seconds": round(time.monotonic() - self._began, 3),
        }
        figures = module.processes.firsts(figures)
        module.finish_epoch(figures)
        history = module.position.history
        shown = {k: v for k, v in figures.items() if k.startswith(("train_", "val_"))}
        self._report.metrics(shown, step=module.position.epoch)
        if exhausted(history, options.epochs, options.early_stop, options.monitor):
            trainer.should_stop = True
            if module.position.epoch < options.epochs:
                best = best_epoch(history, options.monitor)
                self._report.message(
                    f"stopped after epoch {module.position.epoch}: no better {options.monitor} "
                    f"since epoch {best}"
                )


class Saver(pl.Callback):
    """Writes snapshots and weights to `folder`, and stops in order when asked to.

    Of several processes the first writes, and whether it is time to is for all to agree on: clocks
    differ, and a signal may reach only one.
    """

    def __init__(self, folder: Path, stop: StopSignal) -> None:
        self.file = folder / "snapshot.pt"
        self.weights = folder / "weights"
        self._stop = stop
        self._handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
        self._saved = time.monotonic()

    def path(self, epoch: int) -> Path:
        """Where the weights after `epoch` epochs are."""
        return self.weights / f"{epoch:04d}.safetensors"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the signals back: Lightning would end in the middle of an optimizer step."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, _: int
    ) -> None:
        """Saves when it is time, at the end of an optimizer step."""
        module = _module(pl_module)
        if batch is None or not module.plan.ends_step(module.position.batch - 1):
            return
        due = time.monotonic() - self._saved >= 60 * module.options.checkpoint_minutes
        due, stop = module.processes.any(due, bool(self._stop))
        if due or stop:
            finite_loss(module)
            self._save(module)
        if stop:
            self._end(module)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, *_: Any
    ) -> None:
        """A stop need not wait for the end of the validation, which is repeated as a whole."""
        module = _module(pl_module)
        if module.processes.any(bool(self._stop))[0]:
            self._save(module)
            self._end(module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps the epoch's weights, then commits to the epoch, then drops what is not needed."""
        module = _module(pl_module)
        if module.processes.first:
            save_weights(self.path(module.position.epoch), module.best_network)
        self._save(module)
        if module.processes.first:
            self._prune(module)
        if module.processes.any(bool(self._stop))[0] and not trainer.should_stop:
            self._end(module)

    def _save(self, module: FitModule) -> None:
        snapshot = module.snapshot()
        if module.processes.first:
            write_snapshot(self.file, snapshot)
        self._saved = time.monotonic()

    def _prune(self, module: FitModule) -> None:
        options, done = module.options, module.position.epoch
        kept = {done, best_epoch(module.position.history, options.monitor)}
        if options.keep_every:
            kept.update(range(options.keep_every, done + 1, options.keep_every))
        for path in self.weights.glob("*.safetensors"):
            if int(path.stem) not in kept:
                files.remove(path)

    def _end(self, module: FitModule) -> None:
        module.processes.wait()  # what is saved is saved before anyone ends
        here = module.position
        raise StoppedError(
            f"stopped by a signal in epoch {here.epoch + 1} after {here.batch} of "
            f"{module.plan.batches} batches; run the same command again to continue",
            self._stop.number,
        )


class ProgressReporter(pl.Callback):
    """Reports examples trained so far, out of those of all epochs."""

    def __init__(self, report: Reporter, unit: str) -> None:
        self._report = report
        self._unit = unit
        self._last = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock of the rate."""
        self._say(_module(pl_module), "")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, _: int
    ) -> None:
        """Says how far it is, a few times a second at most."""
        if time.monotonic() - self._last >= REPORT_SECONDS:
            module = _module(pl_module)
            self._say(module, f"loss {module.mean_loss():.4f}")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Says why the count stands still."""
        module = _module(pl_module)
        if module.position.epoch + 1 < module.options.epochs:
            self._say(module, "validating")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Completes the bar."""
        module = _module(pl_module)
        done = module.position.epoch * module.plan.count
        self._report.progress(done, done, self._unit)

    def _say(self, module: FitModule, note: str) -> None:
        self._last = time.monotonic()
        here, plan, epochs = module.position, module.plan, module.options.epochs
        done = here.epoch * plan.count + plan.before(here.batch)
        note = f"epoch {min(here.epoch + 1, epochs)}/{epochs} {note}".rstrip()
        self._report.progress(done, epochs * plan.count, self._unit, note)


def finite_loss(module: FitModule) -> float:
    """The mean loss of the epoch so far.

    Raises:
        TrainyardError: it is not a number, so that nothing trained from here on is worth keeping.
    """
    loss = module.epoch_loss()
    if not math.isfinite(loss):
        precision = "" if module.trainer.precision == "32-true" else ", or precision=fp32"
        raise TrainyardError(
            f"the training loss became {loss} in epoch {module.position.epoch + 1}; "
            f"lower learning_rate ({module.options.learning_rate:g}){precision}"
        )
    return loss


def _module(module: pl.LightningModule) -> FitModule:
    assert isinstance(module, FitModule)
    return module
