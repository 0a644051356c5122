"""The local backend: kfp's embedded runner in a supervised process group, no cluster needed."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from components.core import files
from components.core.artifacts.study import BEST, REPORT, Study
from components.core.errors import ProblemsError, SettingsError
from components.core.lifetime import GRACE_SECONDS, PARENT_VARIABLE, is_alive
from components.core.notify import Ending, address_problem, notify
from pipelines import catalog, plan
from pipelines.backends import Request
from pipelines.backends._console import Console
from pipelines.backends._follow import Follower
from pipelines.backends._run_folder import RunFolder

_SCRATCH = "trainyard-"

ALONE: dict[str, Any] = {"more_workers": []}
"""Parameters of a machine that is no cluster: a search has one worker."""


class LocalBackend:
    """Runs pipelines on this machine; a run can be stopped, killed and resumed."""

    def render(self, request: Request) -> dict[str, Any]:
        """The run as it would be started: folder, steps and every parameter value.

        Raises:
            SettingsError, InputError: everything that is wrong with the request.
        """
        folder = self._prepare(request)
        return {**folder.record, "folder": str(folder.path)}

    def run(self, request: Request) -> int:
        """Runs the pipeline to its end; 0 on success, else the failed step's exit code."""
        folder = self._prepare(request)
        console = Console(len(folder.record["plan"]))
        with folder.in_use():
            console.say(f"run folder: {folder.path}\nwork kept for resuming: {_state_dir(folder)}")
            began = time.monotonic()
            follower = Follower(folder, console)
            with _short_temporary_folder() as scratch:
                code = _Supervisor(folder, scratch).follow(follower)
            seconds = time.monotonic() - began
        if code == 0:
            skipped = [step for step in folder.record["plan"] if step not in folder.record["steps"]]
            for step in skipped:
                folder.note_step(step, {"status": "skipped"})
            early = follower.decision if skipped else ""
            folder.save(status="finished", seconds=round(seconds, 1), ended_early=early)
            _show_results(folder, console, seconds)
            _notify(folder, console, "succeeded", seconds)
            return 0
        stopped = code in (130, 143)
        folder.save(status="stopped" if stopped else "failed")
        follower.explain(code)
        if not stopped:
            _notify(folder, console, "failed", seconds, follower.failed_step, follower.error)
        if folder.output("triton_publish", "published"):  # only what comes after it failed
            _show_places(folder, console)
        how = "to continue where it stopped (key=value changes a parameter):"
        console.say(f"\n{how}\n  {resume_command(folder)}")
        return code

    def _prepare(self, request: Request) -> RunFolder:
        if request.resume:
            folder = RunFolder.reopen(request.pipeline, request.output)
        else:
            folder = RunFolder.plan(request.pipeline, request.output, request.state_dir)
        folder.check_places()
        given = {**folder.record["given"], **request.values}
        described = plan.read(catalog.load(request.pipeline)).unrolled(ALONE)
        with _in_directory(folder.record["cwd"]):
            places = described.run_places(given, folder.path)
            values = _checked(described, {**given, **places})
        steps = [step.stage.name for step in described.steps]
        alone = {name: value for name, value in ALONE.items() if name in values}
        folder.record.update(given=given, parameters={**values, **alone}, plan=steps)
        return folder


def _checked(described: plan.Plan, given: dict[str, Any]) -> dict[str, Any]:
    """Every parameter's value; problems of the environment are told with those of parameters."""
    problem = address_problem()
    try:
        values = described.resolve_checked(given)
    except ProblemsError as error:
        if not problem:
            raise
        raise ProblemsError([*error.problems, problem], "the run") from None
    if problem:
        raise SettingsError([problem], "the environment")
    return values


class _Supervisor:
    """Owns the worker's process group: starts it, reads it, stops it, leaves nothing behind."""

    def __init__(self, folder: RunFolder, scratch: Path) -> None:
        self._folder = folder
        self._scratch = scratch
        self._stopped_by = 0
        self._process: subprocess.Popen[str] | None = None

    def follow(self, follower: Follower) -> int:
        """Feeds every line of output to `follower`; returns the exit code of the run."""
        with self._signals(follower):
            self._process = self._start()
            if self._stopped_by:  # it came before there was anything to stop
                self._signal_group(signal.SIGTERM)
            assert self._process.stdout is not None
            for line in self._process.stdout:
                follower.line(line.rstrip("\n"))
            code = self._process.wait()
            self._end_group()
        if self._stopped_by:
            return 128 + self._stopped_by
        return 0 if code == 0 else follower.exit_code

    def _start(self) -> subprocess.Popen[str]:
        request = self._scratch / "request.json"
        record = self._folder.record
        files.write_json(
            request,
            {
                "pipeline": record["pipeline"],
                "values": record["parameters"],
                "pipeline_root": str(self._folder.path / "artifacts"),
            },
        )
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.backends._local_worker", str(request)],
            cwd=record["cwd"],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": os.pathsep.join([_python3_folder(self._scratch), os.environ.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
            ),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self._scratch),
            "TRAINYARD_EVENTS": "json",
            "TRAINYARD_RUN_ID": self._folder.record["run_id"],
            "TRAINYARD_STATE_DIR": _state_dir(self._folder),
            PARENT_VARIABLE: str(os.getpid()),
        }

    @contextmanager
    def _signals(self, follower: Follower) -> Iterator[None]:
        def handle(number: int, frame: FrameType | None) -> None:
            follower.stopping = True
            again, self._stopped_by = bool(self._stopped_by), number
            self._signal_group(signal.SIGKILL if again else signal.SIGTERM)

        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        previous = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _signal_group(self, number: int) -> bool:
        """Signals the whole group; False when nobody is left in it."""
        if self._process is None:
            return False
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _end_group(self) -> None:
        if not self._signal_group(signal.SIGTERM):
            return
        for number, seconds in ((0, GRACE_SECONDS), (signal.SIGKILL, 5.0)):
            self._signal_group(number)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if not self._signal_group(0):
                    return
                time.sleep(0.05)


def resume_command(folder: RunFolder) -> str:
    """The command that continues a run from where it stopped."""
    return shlex.join(
        ["trainyard", "run", folder.record["pipeline"], "--resume", "--output", str(folder.path)]
    )


def _state_dir(folder: RunFolder) -> str:
    return str(folder.record["state_dir"])


def _python3_folder(scratch: Path) -> str:
    """A folder whose `python3` is this very interpreter."""
    beside = Path(sys.executable).parent
    if (beside / "python3").exists():
        return str(beside)
    launcher = scratch / "python3"
    launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
    launcher.chmod(0o755)
    return str(scratch)


@contextmanager
def _short_temporary_folder() -> Iterator[Path]:
    """kfp leaves a temporary folder per step; here they vanish with the run. Sockets lie in it
    too, so its path has to be short."""
    for left in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*-*"):
        owner = left.name.removeprefix(_SCRATCH).partition("-")[0]
        if owner.isdigit() and not is_alive(int(owner)):  # its run was killed
            shutil.rmtree(left, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _in_directory(path: str) -> Iterator[None]:
    """Relative paths among the parameters mean what they meant when the run was started."""
    previous = os.getcwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(previous)


def _show_results(folder: RunFolder, console: Console, seconds: float) -> None:
    if early := folder.record["ended_early"]:
        console.say(f"\nended early: {early}")
    console.say(f"\nfinished in {seconds:.1f} s")
    if (found := folder.output("hpo_sweep", "study")) and (study := Study.load(found)).trials:
        console.say(f"search:           {study.outcome}")
        console.say(f"                  {found / REPORT}")
        console.say(f"best settings:    {found / BEST}")
    _show_places(folder, console)


def _show_places(folder: RunFolder, console: Console) -> None:
    report = folder.output("evaluate_clips", "report")
    if report:
        copy = folder.path / "report.html"
        with files.atomic_path(copy) as temporary:
            shutil.copy(report, temporary)
        console.say(f"report:           {copy}")
    repository = folder.record["parameters"].get("repository")
    if repository:
        place = repository if "://" in repository else Path(folder.record["cwd"], repository)
        console.say(f"model repository: {place}")
    console.say(f"all outputs:      {folder.path / 'outputs'}")


def _notify(
    folder: RunFolder, console: Console, state: str, seconds: float, step: str = "", error: str = ""
) -> None:
    record = folder.record
    ending = Ending(
        record["pipeline"],
        folder.path.name,
        state,
        failed_step=step,
        error=error,
        seconds=seconds,
        ended_early=state == "succeeded" and bool(record["ended_early"]),
    )
    if problem := notify(ending, record["parameters"]):
        console.say(f"warning: {problem}")


BACKEND = LocalBackend()
