"""Ties a process to its parent and turns SIGTERM into an orderly stop."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_PR_SET_PDEATHSIG = 1


PARENT_VARIABLE = "TRAINYARD_PARENT_PID"
"""Names the process whose end also ends a stage, where shells stand between the two."""

GRACE_SECONDS = 30.0
"""What a stage gets after SIGTERM to save its work."""


def die_with_parent(number: int = signal.SIGTERM, parent: int = 0) -> None:
    """Makes the kernel send this process signal `number` when its parent dies.

    Uses prctl(2) on Linux and a watching thread elsewhere, so that even a SIGKILLed parent
    leaves no child behind.

    Args:
        number: the signal.
        parent: process id of the parent, where this process has been told it: then an end before
            this call is noticed too.
    """
    parent = parent or os.getppid()
    if sys.platform != "linux":
        watch_process(parent)
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # it died before the call
        os.kill(os.getpid(), number)


def watch_process(pid: int) -> None:
    """Ends this process (SIGTERM, after a grace period SIGKILL) once process `pid` is gone."""

    def watch() -> None:
        while is_alive(pid):
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name=f"watch-{pid}").start()


def watch_runner() -> None:
    """Watches the process named by TRAINYARD_PARENT_PID, if a runner set it."""
    if pid := os.environ.get(PARENT_VARIABLE):
        watch_process(int(pid))


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return sys.platform != "linux"


def exit_on_sigterm() -> None:
    """Lets SIGTERM end this process with code 143 while nothing else handles it.

    The first process of a container ignores signals that it has no handler for, and would keep
    its pod waiting until the grace period is over.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        os.write(2, b"error: stopped by SIGTERM\n")
        os._exit(128 + number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handle)


class StopSignal:
    """Set once SIGTERM or SIGINT has arrived; long loops look at it between steps."""

    number: int = 0
    """That of the first signal; 0 while none has arrived."""

    def __bool__(self) -> bool:
        return bool(self.number)

    def set(self, number: int = signal.SIGTERM) -> None:
        """Asks for the stop, as the signal would."""
        self.number = self.number or int(number)


@contextmanager
def stop_on_sigterm() -> Iterator[StopSignal]:
    """While active, SIGTERM and SIGINT set the yielded flag.

    A second Ctrl-C ends the process. A second SIGTERM does not: runner, process group and watching
    thread may each send one.
    """
    stop = StopSignal()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop and number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        stop.set(number)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def orderly_stop() -> Iterator[StopSignal]:
    """`stop_on_sigterm` in the main thread; elsewhere whoever owns that one handles signals."""
    if threading.current_thread() is threading.main_thread():
        with stop_on_sigterm() as stop:
            yield stop
    else:
        yield StopSignal()
