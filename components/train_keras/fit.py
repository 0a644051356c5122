"""The loop around Keras' `fit`: one epoch at a time, so that it can end and go on at any batch.

Keras' own BackupAndRestore writes its files in place and goes on at the start of an epoch; here the
whole state (weights, optimizer, random states, position) is one file that appears at once.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.core import files
from components.core.errors import InputError, StoppedError, TrainyardError
from components.core.events import Reporter
from components.core.lifetime import StopSignal, orderly_stop
from components.core.metrics.classification import figures, one_hot
from components.core.training.history import Row, as_csv, best_epoch, exhausted
from components.train_keras.data import ClipBatches, Item, ShuffledPlan
from components.train_keras.stage import TrainKerasSettings

STATE, WEIGHTS, LOGS = "state.npz", "weights", "logs"


@dataclass
class Position:
    """Where training stands."""

    epoch: int = 0
    """Whole epochs that are done."""
    batch: int = 0
    """Batches of the next one that are done."""
    loss: float = 0.0
    """Sum over the clips of those batches."""
    right: float = 0.0
    """How many of those clips were recognised."""
    history: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class FitResult:
    """What training left behind."""

    history: list[Row]
    best: int
    """Number of the best epoch, from 1."""
    weights: list[np.ndarray]
    """Of that epoch, in Keras' order."""
    logs: Path
    """Folder with `log.csv` and `tensorboard/`."""


class Fit:
    """One training, in a folder that keeps its state.

    Args:
        model: compiled, with its first weights.
        train: training clips.
        val: validation clips.
        settings: of the stage.
        folder: where the state is kept; another one for another training.
        report: gets the progress and the figures of each epoch.
    """

    def __init__(
        self,
        model: keras.Model,
        train: ClipBatches,
        val: ClipBatches,
        settings: TrainKerasSettings,
        folder: Path,
        report: Reporter,
    ) -> None:
        self._model, self._train, self._val = model, train, val
        self._settings, self._folder, self._report = settings, folder, report
        sizes = len(train), settings.batch_size
        self._plan = ShuffledPlan(*sizes, seed=settings.seed, buffer=settings.shuffle_size)
        self._position = Position()
        self._saved = time.monotonic()

    def run(self) -> FitResult:
        """Trains to the end, from where an earlier call stopped.

        Raises:
            StoppedError: a signal asked to stop; everything is saved.
            InputError: the state is damaged.
            TrainyardError: the loss is no longer finite.
        """
        (self._folder / WEIGHTS).mkdir(parents=True, exist_ok=True)
        for place in (self._folder, self._folder / WEIGHTS, self._folder / LOGS):
            files.remove_partials(place)
        self._build()
        self._restore()
        options = self._settings
        with orderly_stop() as stop:
            while not exhausted(
                self._position.history, options.epochs, options.early_stop, options.monitor
            ):
                self._epoch(stop)
        history = self._position.history
        best = best_epoch(history, options.monitor)
        if len(history) < options.epochs:
            self._report.message(
                f"stopped after epoch {len(history)}: no better {options.monitor} since epoch "
                f"{best}"
            )
        with np.load(self._weights(best)) as kept:
            weights = [kept[name] for name in kept.files]
        return FitResult(history, best, weights, self._folder / LOGS)

    def _build(self) -> None:
        """Makes what Keras would make of the first batch."""
        model = self._model
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
        if model.distribute_strategy.num_replicas_in_sync > 1:
            clips = np.zeros((1, *model.input_shape[1:]), np.float32)
            model.test_on_batch(clips, np.ones((1, model.output_shape[1]), np.float32))
            model.reset_metrics()
            # Keras would add up the devices' shares of that batch, which may be unequal.
            model._maybe_symbolic_build = lambda **_: None

    def _epoch(self, stop: StopSignal) -> None:
        began, here, plan = time.monotonic(), self._position, self._plan
        if here.batch < plan.batches:
            items = [(here.epoch, batch) for batch in plan.examples(here.epoch, here.batch)]
            pace = _Pace(replace(here), plan, stop, self._is_due, self._tell)
            self._keras(self._model.fit, self._train, items, shuffle=False, callbacks=[pace])
            self._position = here = pace.position
        if not math.isfinite(here.loss):
            raise TrainyardError(
                f"the training loss of epoch {here.epoch + 1} is not finite; use a lower "
                "learning_rate, or precision: fp32"
            )
        if stop:
            self._end(stop)
        if here.batch < plan.batches:  # it was time to save
            self._save()
            return
        row = {
            "epoch": here.epoch + 1.0,
            "train_loss": here.loss / plan.count,
            "train_accuracy": here.right / plan.count,
            **self._validate(),
            "seconds": round(time.monotonic() - began, 3),
        }
        if stop:
            self._end(stop)
        self._commit(row)

    def _validate(self) -> dict[str, float]:
        plan = ShuffledPlan(len(self._val), self._settings.batch_size, shuffle=False)
        items = [(0, batch) for batch in plan.examples(0)]
        found = self._keras(self._model.predict, self._val, items)
        targets, classes = self._val.targets, found.shape[1]
        chances = np.clip(found[np.arange(len(targets)), targets], keras.config.epsilon(), 1)
        chosen = one_hot(found.argmax(axis=1), classes)
        names = [str(number) for number in range(classes)]
        scores = figures(one_hot(targets, classes), chosen, names, multi_label=False).scalars
        return {
            "val_loss": float(-np.log(chances).mean()),
            "val_accuracy": scores["accuracy"],
            "val_macro_f1": scores.get("macro_f1", 0.0),
        }

    def _keras(
        self, function: Callable[..., Any], clips: ClipBatches, items: Sequence[Item], **own: Any
    ) -> Any:
        """Runs a function of the model over some batches; failures to read keep their reason."""
        try:
            return function(clips.dataset(items), verbose=0, **own)
        except tf.errors.ResourceExhaustedError:
            raise TrainyardError(
                "the GPU has not enough memory; use a smaller batch_size, clip_frames or input_size"
            ) from None
        except tf.errors.OpError:
            if clips.failure is None:
                raise
            raise clips.failure from None

    def _commit(self, row: Row) -> None:
        """Keeps the epoch: its weights if they are the best, then its place in the history."""
        history = [*self._position.history, row]
        kept = self._weights(best_epoch(history, self._settings.monitor))
        if kept == self._weights(len(history)):
            with files.atomic_path(kept) as temporary, open(temporary, "wb") as file:
                np.savez(file, *self._model.get_weights())
        self._position = Position(len(history), history=history)
        self._save()
        for path in kept.parent.iterdir():
            if path != kept:
                path.unlink()
        shown = {k: v for k, v in row.items() if k.startswith(("train_", "val_"))}
        self._report.metrics(shown, step=len(history))
        self._log(row)

    def _log(self, row: Row) -> None:
        folder = self._folder / LOGS
        folder.mkdir(exist_ok=True)
        files.write_text(folder / "log.csv", as_csv(self._position.history))
        writer = tf.summary.create_file_writer(str(folder / "tensorboard"))
        with writer.as_default(step=int(row["epoch"])):
            for name, value in row.items():
                if name != "epoch":
                    tf.summary.scalar(f"epoch/{name}", value)
        writer.close()

    def _weights(self, epoch: int) -> Path:
        return self._folder / WEIGHTS / f"{epoch:04d}.npz"

    def _is_due(self) -> bool:
        return time.monotonic() - self._saved >= 60 * self._settings.checkpoint_minutes

    def _tell(self, position: Position) -> None:
        done = position.epoch * self._plan.count + self._plan.before(position.batch)
        seen = self._plan.before(position.batch)
        note = f"epoch {position.epoch + 1}, loss {position.loss / max(seen, 1):.4f}"
        self._report.progress(done, self._settings.epochs * self._plan.count, "clips", note)

    def _end(self, stop: StopSignal) -> None:
        self._save()
        text = "stopped by a signal; run the same command again to continue"
        raise StoppedError(text, stop.number)

    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._model.optimizer.variables]

    def _save(self) -> None:
        values = [keras.ops.convert_to_numpy(variable) for variable in self._variables()]
        about = json.dumps(vars(self._position))
        with files.atomic_path(self._folder / STATE) as temporary, open(temporary, "wb") as file:
            np.savez(file, *values, position=np.array(about))
        self._saved = time.monotonic()

    def _restore(self) -> None:
        path = self._folder / STATE
        if not path.exists():
            return
        try:
            with np.load(path) as kept:
                self._position = Position(**json.loads(str(kept["position"])))
                for number, variable in enumerate(self._variables()):
                    variable.assign(kept[f"arr_{number}"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is damaged ({error}); remove {self._folder} to train anew"
            ) from None


class _Pace(keras.callbacks.Callback):  # type: ignore[misc]
    """Counts what is done, and ends Keras' epoch where the state has to be saved."""

    def __init__(
        self,
        position: Position,
        plan: ShuffledPlan,
        stop: StopSignal,
        is_due: Callable[[], bool],
        tell: Callable[[Position], None],
    ) -> None:
        super().__init__()
        self.position = position
        self._first = replace(position)
        self._plan, self._stop, self._is_due, self._tell = plan, stop, is_due, tell

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keras gives the means over the clips since its epoch began."""
        here, first = self.position, self._first
        here.batch += 1
        seen = self._plan.before(here.batch) - self._plan.before(first.batch)
        here.loss = first.loss + float(logs["loss"]) * seen
        here.right = first.right + float(logs["accuracy"]) * seen
        self._tell(here)
        if self._stop or self._is_due() or not math.isfinite(here.loss):
            self.model.stop_training = True
