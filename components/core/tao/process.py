"""Runs a program of TAO as in its image: output followed line by line, the exit status the truth.

The image keeps the vendor's PATH and PYTHONPATH in TAO_PATH and TAO_PYTHONPATH (images/tao), as our
own interpreter comes first in ours. Outside of the image those of the process are taken.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from components.core.errors import StoppedError, TrainyardError
from components.core.events import Reporter
from components.core.lifetime import StopSignal, orderly_stop
from components.core.tao.commands import shown, unsafe
from components.core.tao.key import Key

PATH_VARIABLE, PYTHONPATH_VARIABLE = "TAO_PATH", "TAO_PYTHONPATH"

STOP_SECONDS = 20.0
"""What a program gets after SIGTERM; less than a stage has itself."""

TAIL = 30
"""Lines of output in an error."""

LOOK_SECONDS = 1.0
"""Between two looks at the status."""

FAILED = "Execution status: FAIL"
"""What the vendor's launchers print last, some of which end with 0 all the same."""

MEMORY = re.compile(
    r"out of GPU memory|CUDA out of memory|ResourceExhausted|OOM when", re.IGNORECASE
)

GUARD = """
import os, signal, sys, time
sys.stdin.buffer.read()
group, ends = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
try:
    os.killpg(group, signal.SIGTERM)
    while time.monotonic() < ends:
        time.sleep(0.1)
        os.killpg(group, 0)
    os.killpg(group, signal.SIGKILL)
except ProcessLookupError:
    pass
"""
"""Ends a process group when this process is gone: a launcher's children would train on."""

_END = re.compile(rb"\r\n|\n|\r")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a program of TAO gets: the vendor's paths, and none of our variables.

    It sends no usage data to the vendor unless TELEMETRY_OPT_OUT says so.
    """
    ours = ("TRAINYARD_", "TAO_PATH", "TAO_PYTHONPATH", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    kept["PATH"] = os.environ.get(PATH_VARIABLE) or os.environ.get("PATH", os.defpath)
    kept.pop("PYTHONPATH", None)
    if paths := os.environ.get(PYTHONPATH_VARIABLE, ""):
        kept["PYTHONPATH"] = paths
    kept.setdefault("TELEMETRY_OPT_OUT", "yes")
    kept.setdefault("PYTHONUNBUFFERED", "1")
    return {**kept, **(more or {})}


def program_problem(name: str, image: str) -> str:
    """Why a program cannot be started; '' when it can.

    Args:
        name: of the program, which is the head's.
        image: tag of the image that holds it.
    """
    if shutil.which(name, path=environment()["PATH"]):
        return ""
    return (
        f"the program {name} is not there; run this step in the image tao with NVIDIA's release "
        f"{image} (images/README.md)"
    )


def run(
    command: Sequence[str],
    *,
    key: Key,
    log: Path,
    report: Reporter,
    folder: Path,
    look: Callable[[], None] = lambda: None,
    more: Mapping[str, str] | None = None,
    results: Sequence[Path] = (),
) -> str:
    """Runs a program to its end.

    Args:
        command: with the key as it is.
        key: shown by its name wherever output, log or error would hold it.
        log: file that the output is appended to.
        report: told every line but those of progress bars.
        folder: working directory.
        look: called every second, and at the end.
        more: environment variables beside the usual ones.
        results: folders that the program writes into; by default `folder`. However it ends, the
            key is taken out of their text files.

    Returns:
        The output.

    Raises:
        TrainyardError: it cannot be started, or failed; with the end of its output.
        StoppedError: a signal asked to stop; the program has ended.
    """
    if problems := unsafe(command, key):
        raise TrainyardError("\n".join(problems))
    report.message(f"$ {shown(command, key)}")
    tail: deque[str] = deque(maxlen=TAIL)
    output: list[str] = []
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        orderly_stop() as stop,
        _hidden_in(results or [folder], key),
        open(log, "a", encoding="utf-8") as written,
    ):
        written.write(f"$ {shown(command, key)}\n")
        with _started(command, environment(more), folder) as process:
            for line, is_bar in _lines(process, stop, look):
                hidden = key.hidden(line)
                written.write(hidden + "\n")
                written.flush()
                output.append(hidden)
                if hidden.strip() and not is_bar:
                    tail.append(hidden)
                    report.message(hidden)
    look()
    if stop:
        name = signal.Signals(stop.number).name
        raise StoppedError(f"stopped by {name}; run the same command again to resume", stop.number)
    if process.returncode or any(FAILED in line for line in tail):
        raise TrainyardError(_failed(command, process.returncode, list(tail), log))
    return "\n".join(output)


@contextmanager
def _hidden_in(folders: Sequence[Path], key: Key) -> Iterator[None]:
    """Afterwards no text file below the folders holds the key."""
    try:
        yield
    finally:
        for folder in folders:
            key.hide_below(folder)


@contextmanager
def _started(
    command: Sequence[str], variables: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The running program; nothing of it is left afterwards, nor when this process is killed."""
    try:
        process = subprocess.Popen(
            command,
            executable=shutil.which(command[0], path=variables["PATH"]),
            env=dict(variables),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise TrainyardError(f"{command[0]} cannot be started: {error.strerror}") from None
    arguments = [sys.executable, "-S", "-c", GUARD, str(process.pid), str(STOP_SECONDS)]
    try:
        guard = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            guard.kill()
            guard.communicate()
    finally:
        _signal(process, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()


def _lines(
    process: subprocess.Popen[bytes], stop: StopSignal, look: Callable[[], None]
) -> Iterator[tuple[str, bool]]:
    """Lines of the output, and whether each is a progress bar's, which only returns the carriage.

    Ends with the process: children that keep the pipe open are not waited for.
    """
    stream = process.stdout
    assert stream
    os.set_blocking(stream.fileno(), False)
    rest, looked, ends = b"", 0.0, float("inf")
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if stop and ends == float("inf"):
                _signal(process, signal.SIGTERM)
                ends = time.monotonic() + STOP_SECONDS
            if time.monotonic() > ends:
                _signal(process, signal.SIGKILL)
            selector.select(0.2)
            ended = process.poll() is not None
            chunk = _available(stream)
            parts, rest = _split(rest + (chunk or b""))
            yield from parts
            if time.monotonic() - looked > LOOK_SECONDS:
                looked = time.monotonic()
                look()
            if chunk == b"" or (ended and not chunk):
                break
    process.wait()
    if rest:
        yield rest.decode("utf-8", "replace"), False


def _available(stream: IO[bytes]) -> bytes | None:
    """What can be read now; b'' at the end, None where nothing has come."""
    try:
        return os.read(stream.fileno(), 1 << 16)
    except BlockingIOError:
        return None


def _split(content: bytes) -> tuple[list[tuple[str, bool]], bytes]:
    """Whole lines with whether only a carriage return ends them, and the rest."""
    found: list[tuple[str, bool]] = []
    place = 0
    for match in _END.finditer(content):
        if match[0] == b"\r" and match.end() == len(content):
            break  # a line feed may follow
        found.append((content[place : match.start()].decode("utf-8", "replace"), match[0] == b"\r"))
        place = match.end()
    return found, content[place:]


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """To the program and everything that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _failed(command: Sequence[str], code: int, tail: Sequence[str], log: Path) -> str:
    ended = f"ended with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
    text = "\n".join(tail)
    hint = ""
    if MEMORY.search(text):
        hint = "\nThe GPU's memory is too small: use a smaller batch, input or backbone."
    elif code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        hint = "\nIt was probably killed for its memory: ask for more memory or /dev/shm."
    shown_tail = "\n".join(f"  | {line}" for line in tail)
    return f"{command[0]} {command[1]} {ended}; the end of {log.name}:\n{shown_tail}{hint}"
