"""What workers do in the tests of the pool; a module, because workers import it by name."""

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.core.errors import InputError


def work(task: tuple[str, Any], tick: Callable[[], None]) -> Any:
    """Does what the task's first part says with its second."""
    kind, value = task
    if kind == "square":
        return value * value
    if kind == "sleep":
        time.sleep(value)
        return value
    if kind == "process":
        time.sleep(0.3)
        return os.getpid()
    if kind == "refuse":
        raise InputError(value)
    if kind == "divide":
        return 1 / value
    if kind == "signal":
        os.kill(os.getpid(), value)
    if kind == "exit":
        os._exit(value)
    if kind == "killed once":
        mark = Path(value)
        if mark.exists():
            return "second time"
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "hang":
        while True:
            time.sleep(1)
    if kind == "work slowly":
        until = time.monotonic() + value
        while time.monotonic() < until:
            time.sleep(0.1)
            tick()
        return "done"
    if kind == "no space":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")
    raise AssertionError(kind)
