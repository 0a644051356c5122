"""What every stage is: settings, inputs, outputs and one function, run the same way everywhere."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

from components import __version__
from components.core import files
from components.core.artifacts import base
from components.core.errors import InputError, ProblemsError, StoppedError, TrainyardError
from components.core.events import Reporter
from components.core.given import OPTIONAL, changed
from components.core.lifetime import exit_on_sigterm, watch_runner
from components.core.settings import Settings, build, is_content
from components.core.state import StateDir, default_root

S = TypeVar("S", bound=Settings)

STOP_AGAIN_SECONDS = 2.0

DECISION_VARIABLE = "TRAINYARD_DECISION_FILE"
"""Environment variable that names a file for the answer of a stage that decides something."""

RUN_VARIABLE = "TRAINYARD_RUN_ID"
REGISTRY_VARIABLE = "TRAINYARD_POSTGRES_DSN"
"""Environment variables: where both are set, the registry is told when a stage fails."""


@dataclass(frozen=True)
class Job:
    """What a stage function gets besides its settings."""

    inputs: Mapping[str, Path]
    """Resolved input directories by name."""
    outputs: Mapping[str, Path]
    """Where to write each output (a directory or file to create); committed when all is done."""
    work: Path
    """Scratch that survives kills and restarts with the same key; for resuming."""
    report: Reporter
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Output name → finite scalars to show in the Kubeflow UI."""


def no_check(settings: Any) -> list[TrainyardError]:
    """The default `Stage.check`: nothing beyond the settings' own validation."""
    return []


def is_never_idle(settings: Any) -> bool:
    """The default `Stage.idle`."""
    return False


@dataclass(frozen=True)
class Stage(Generic[S]):
    """A stage's definition; `stage.py` of each stage folder holds one, named STAGE."""

    name: str
    settings: type[S]
    function: Callable[[S, Job], None]
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Name of each input artifact → what it is. Those named `study` and `task` are optional: their
    settings take the place of those given, so that the result is that of a run with them."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Name of each output → what it is."""
    external: bool = False
    """Touches the outside world: its result is reused only within the same run."""
    decides: str = ""
    """Output whose metadata holds an `answer` that later steps depend on, and its `reason`."""
    idle: Callable[[S], bool] = is_never_idle
    """Whether it only hands on what it gets, so that its Job needs no GPU."""
    check: Callable[[S], list[TrainyardError]] = no_check
    """Problems with the outside world (source missing, service unreachable), before any work."""
    fresh: bool = False
    """Never reused, not even where a run is resumed: what it reads may be another by then."""

    @property
    def optional(self) -> set[str]:
        """Inputs that need not be given."""
        return OPTIONAL & {*self.inputs}

    def execute(
        self,
        settings: S,
        inputs: Mapping[str, Path],
        outputs: Mapping[str, Path],
        state_root: Path | None = None,
        report: Reporter | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Runs the stage, or reuses or resumes what an earlier run left, and publishes.

        Returns:
            Per output name, the scalars the stage wants shown beside it.

        Raises:
            TrainyardError: anything the caller can act on; nothing half-written is published.
        """
        report = report or Reporter(self.name)
        resolved = {
            name: base.resolve(Path(inputs[name]))
            for name in self.inputs
            if name in inputs or name not in self.optional
        }
        settings = changed(settings, resolved, self.name, report)
        resolved = {name: path for name, path in resolved.items() if name not in OPTIONAL}
        identity = {
            "stage": self.name,
            "code": __version__,
            "settings": {**settings.identity(), **_contents(settings)},
            "inputs": {name: base.fingerprint(path) for name, path in resolved.items()},
        }
        state = StateDir(state_root or default_root(), self.name, identity)
        run = os.environ.get(RUN_VARIABLE) or _timestamp()
        token = _timestamp() if self.fresh else run if self.external else "result"
        with files.full_disk_named(state.path), _stoppable(), state.locked(report.message):
            result = state.result(token)
            if result:
                report.state("reused", key=state.key)
                report.message(f"already done (key {state.key}), reusing its result")
            else:
                if problems := [*self.check(settings), *self._occupied(outputs)]:
                    raise ProblemsError(problems, self.name)
                report.state("started", key=state.key)
                result = self._run(settings, resolved, state, token, report)
            metadata = _read_metadata(result)
            for name in self.outputs:
                if name in outputs and (result / name).exists():
                    _publish(result / name, Path(outputs[name]))
                    report.artifact(name, Path(outputs[name]))
        if self.decides:
            _tell_decision(metadata[self.decides], report)
        return metadata

    def _occupied(self, outputs: Mapping[str, Path]) -> list[TrainyardError]:
        """Outputs that could not be published after all the work.

        What a stage of the outside world wrote earlier may be there: it is compared afterwards.
        """
        problems: list[TrainyardError] = []
        for path in (Path(outputs[name]) for name in self.outputs if name in outputs):
            if problem := files.place_problem(path.parent):
                problems.append(InputError(f"{path} cannot be written: {problem}"))
            elif not self.external and files.holds_something(path):
                problems.append(InputError(files.occupied(path)))
        return problems

    def _run(
        self,
        settings: S,
        inputs: Mapping[str, Path],
        state: StateDir,
        token: str,
        report: Reporter,
    ) -> Path:
        began = time.monotonic()
        with state.new_result(token) as folder:
            places = {name: folder / name for name in self.outputs}
            job = Job(inputs, places, state.work, report)
            self.function(settings, job)
            files.write_json(folder / "metadata.json", job.metadata)
        report.state("finished", seconds=round(time.monotonic() - began, 3))
        result = state.result(token)
        assert result is not None
        return result

    def run_component(self, arguments: Mapping[str, Any]) -> str:
        """Runs inside a KFP executor: `arguments` are the component function's `locals()`.

        Artifacts are recognised by having a `path`; everything else is a setting.

        Returns:
            The answer of a stage that decides something; '' of any other.
        """
        exit_on_sigterm()
        watch_runner()
        report = Reporter(self.name)
        paths = {
            key: Path(value.path) for key, value in arguments.items() if hasattr(value, "path")
        }
        left_out = {*paths, *self.optional}
        values = {key: value for key, value in arguments.items() if key not in left_out}
        with reported_failure(report):
            settings = build(self.settings, values, self.name)
            inputs = {name: paths[name] for name in self.inputs if name in paths}
            outputs = {name: paths[name] for name in self.outputs if name in paths}
            metadata = self.execute(settings, inputs, outputs, report=report)
        for name, figures in metadata.items():
            if name in arguments:
                arguments[name].metadata.update(figures)
        return str(metadata[self.decides]["answer"]) if self.decides else ""


@contextmanager
def reported_failure(report: Reporter) -> Iterator[None]:
    """Ends the process with the error's message and exit code instead of a traceback.

    The registry is told of every failure, those with a traceback too.
    """
    try:
        yield
    except (TrainyardError, StoppedError) as error:
        report.state("failed", message=str(error), exit_code=error.exit_code)
        print(f"error: {error}", file=sys.stderr, flush=True)
        _tell_registry(report, error)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt as error:
        report.state("failed", message="interrupted", exit_code=130)
        _tell_registry(report, error)
        raise SystemExit(130) from None
    except Exception as error:
        _tell_registry(report, error)
        raise


def recorded_run() -> str:
    """Id of the run, where the registry is to be told how it ends; '' elsewhere."""
    return os.environ.get(RUN_VARIABLE, "") if os.environ.get(REGISTRY_VARIABLE) else ""


def _tell_registry(report: Reporter, error: BaseException) -> None:
    if run := recorded_run():
        from components.core.registry.endings import record_failure

        with suppress(KeyboardInterrupt):  # somebody does not want to wait for it
            record_failure(run, report.stage, error, report.warn)


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM raises StoppedError in the main thread; state and outputs stay consistent.

    Python drops an exception that strikes inside a destructor, so it is raised again until the
    stage has ended.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, STOP_AGAIN_SECONDS)
        raise StoppedError("stopped by SIGTERM; run the same command again to resume")

    def unraisable(dropped: sys.UnraisableHookArgs) -> None:
        if not isinstance(dropped.exc_value, StoppedError):
            hook(dropped)

    numbers = (signal.SIGTERM, signal.SIGALRM)
    try:
        previous = {number: signal.signal(number, handle) for number in numbers}
    except ValueError:  # not the main thread: whoever owns it handles signals
        yield
        return
    hook, sys.unraisablehook = sys.unraisablehook, unraisable
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in previous.items():
            signal.signal(number, handler)


def _contents(settings: Settings) -> dict[str, str]:
    """Field → fingerprint of the file or artifact that it names."""
    fields = type(settings).model_fields.items()
    named = {name: getattr(settings, name) for name, field in fields if is_content(field)}
    return {name: base.content(Path(path)) for name, path in named.items() if path}


def _publish(source: Path, destination: Path) -> None:
    is_artifact = source.is_dir() and any((source / name).exists() for name in base.INDEX_FILES)
    if os.environ.get("TRAINYARD_ARTIFACTS") == "location" and is_artifact:
        base.write_location(destination, str(source), base.fingerprint(source))
    else:
        files.publish(source, destination)


def _tell_decision(decision: Mapping[str, Any], report: Reporter) -> None:
    """Tells a parent process, or the driver of a run on a cluster, how it was decided."""
    told = {"answer": decision["answer"], "reason": decision["reason"]}
    report.state("decided", **told)
    if place := os.environ.get(DECISION_VARIABLE):
        # Not renamed into place: Kubernetes mounts the file itself into the container.
        Path(place).write_text(json.dumps(told), encoding="utf-8")


def _read_metadata(result: Path) -> dict[str, dict[str, Any]]:
    content = json.loads((result / "metadata.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
