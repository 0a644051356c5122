"""A trainer as a process of its own: what it can be asked to do, its events, and its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from components.core import events, files
from components.core.artifacts import base
from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError, TrainyardError
from components.core.lifetime import GRACE_SECONDS, PARENT_VARIABLE

DESCRIBED = ("settings", "problems", "values")

MODEL = "model"
"""The output of every trainer."""

_TAIL_LINES = 8

OnMetrics = Callable[[int, Mapping[str, float]], bool]
"""Gets an epoch and its figures; True asks the trainer to stop."""


class TrialError(TrainyardError):
    """The trainer failed; the message says why."""


class PrunedError(Exception):
    """The trainer was stopped because it was asked to."""


class TrainerEndedError(Exception):
    """Something from outside ended the trainer; it can go on where it stopped."""


@dataclass(frozen=True)
class Description:
    """What a trainer says of itself."""

    inputs: list[str]
    settings: dict[str, Any]
    """Name → JSON schema."""
    problems: list[list[str]]
    """What is wrong with each of the candidates."""
    values: list[dict[str, Any]]
    """What each of them gives, in its proper type; nothing where something is wrong."""

    def default(self, name: str) -> Any:
        """The default of a setting; None where it has none."""
        return self.settings.get(name, {}).get("default")


class Trainer:
    """A stage that trains, by name (of ours) or by the dotted name of its module."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._module = name if "." in name else f"components.{name}"

    def describe(self, candidates: Sequence[Mapping[str, Any]] = ()) -> Description:
        """Asks the trainer for its settings, and what it says of some.

        Raises:
            InputError: there is no such trainer here.
        """
        process = subprocess.run(
            [sys.executable, "-m", self._module, "--describe"],
            input=json.dumps(list(candidates)),
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
        )
        if process.returncode:
            said = (process.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise InputError(
                f"trainer: {self.name!r} cannot be run as python -m {self._module} ({said}); "
                "expected a stage that trains, such as train_video, in an image that has it"
            )
        try:
            told = json.loads(process.stdout.strip().splitlines()[-1])
            told = {key: told[key] for key in ("inputs", "outputs", *DESCRIBED)}
        except (IndexError, KeyError, TypeError, ValueError):
            raise InputError(
                f"trainer: {self.name!r} does not describe itself; expected a stage that trains, "
                "such as train_video"
            ) from None
        if MODEL not in told["outputs"]:
            raise InputError(
                f"trainer: {self.name!r} writes {', '.join(told['outputs'])} and no model; "
                "expected a stage that trains, such as train_video"
            )
        return Description(told["inputs"], told["settings"], told["problems"], told["values"])

    def run(
        self,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Path],
        folder: Path,
        state: Path,
        on_metrics: OnMetrics,
    ) -> ModelBundle:
        """Trains once; the same settings and inputs go on where an earlier process stopped.

        Args:
            settings: of the trainer.
            inputs: as the trainer names them.
            folder: gets `settings.json`, `log.txt`, the model, and `work`, a link to what the
                trainer keeps for itself, such as curves for TensorBoard.
            state: where the trainer keeps its work.
            on_metrics: called for the figures of each epoch.

        Raises:
            PrunedError: `on_metrics` asked for the end.
            TrainerEndedError: the process was ended from outside.
            TrialError: it failed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / "settings.json", dict(settings))
        places = {**inputs, MODEL: folder / MODEL}
        words = [word for name, place in places.items() for word in (_option(name), str(place))]
        command = [sys.executable, "-m", self._module, "-f", str(folder / "settings.json"), *words]
        process = subprocess.Popen(
            [*command, "--state-dir", str(state)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=_environment(),
            start_new_session=True,  # a Ctrl-C is for this process to pass on
        )
        try:
            listener = _Listener(on_metrics, process.terminate, partial(_link, folder, state))
            assert process.stdout is not None
            with open(folder / "log.txt", "a", encoding="utf-8") as log:
                for line in process.stdout:
                    listener.line(line.rstrip("\n"), log.write)
            code = process.wait()
        finally:
            _end(process)
        if listener.asked:
            raise PrunedError
        if code in (130, 143) or code < 0:
            raise TrainerEndedError(f"signal {code - 128 if code > 0 else -code} ended it")
        if code:
            raise TrialError(listener.reason(code))
        return ModelBundle.load(base.resolve(folder / MODEL))


class _Listener:
    """Reads what the trainer prints."""

    def __init__(
        self,
        on_metrics: OnMetrics,
        stop: Callable[[], None],
        on_key: Callable[[str, str], None],
    ) -> None:
        self._on_metrics = on_metrics
        self._stop = stop
        self._on_key = on_key
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._message = ""
        self.asked = False
        """Whether the trainer was asked to stop."""

    def line(self, text: str, log: Callable[[str], Any]) -> None:
        event = events.parse(text)
        shown = events.log_line(event) if event else text
        if shown:
            self._tail.append(shown)
            log(f"{shown}\n")
        if event is None or not _is_sound(event):
            return
        if event["event"] == "state" and event["status"] == "failed":
            self._message = event["message"]
        if event["event"] == "state" and "key" in event:
            self._on_key(event["stage"], event["key"])
        # What comes after the decision to stop depends on how fast the machine is.
        if event["event"] == "metrics" and event["step"] is not None and not self.asked:
            self.asked = self._on_metrics(event["step"], event["values"])
            if self.asked:
                self._stop()

    def reason(self, code: int) -> str:
        """Why the trainer failed, as far as it said."""
        return self._message or "\n".join([f"exit code {code}; it ended with:", *self._tail])


def _is_sound(event: Mapping[str, Any]) -> bool:
    """Whether an event has what is read of it; a trainer may print what it likes."""
    match event["event"]:
        case "state":
            texts = [event.get("status"), event.get("message", ""), event.get("key", "")]
            return all(isinstance(text, str) for text in [*texts, event.get("stage")])
        case "metrics":
            step, values = event.get("step"), event.get("values")
            numbers = isinstance(values, dict) and all(
                isinstance(value, int | float) for value in values.values()
            )
            return numbers and (step is None or (isinstance(step, int) and step >= 0))
        case _:
            return True


def _link(folder: Path, state: Path, stage: str, key: str) -> None:
    """Makes `work` in the trial's folder lead to the work of the trainer."""
    work = Path(os.path.relpath(state / stage / key / "work", folder))
    with files.atomic_path(folder / "work") as temporary:
        temporary.symlink_to(work)


def _end(process: subprocess.Popen[str]) -> None:
    """Leaves no trainer behind; it gets the time to save its work."""
    if process.poll() is None:
        process.terminate()
        watchdog = threading.Timer(GRACE_SECONDS, process.kill)
        watchdog.start()
        try:
            if process.stdout is not None:
                process.stdout.read()
            process.wait()
        finally:
            watchdog.cancel()
    if process.stdout is not None:
        process.stdout.close()


def _environment() -> dict[str, str]:
    own = {"TRAINYARD_EVENTS": "json", PARENT_VARIABLE: str(os.getpid())}
    inherited = {
        name: value
        for name, value in os.environ.items()
        # Where results are published and the databases are no business of a trainer, and a trial
        # that fails is no failure of the run.
        if name not in ("TRAINYARD_ARTIFACTS", "TRAINYARD_OPTUNA_STORAGE", "TRAINYARD_POSTGRES_DSN")
    }
    return {**inherited, **own}


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
