"""The state directory that makes a stage resumable: key, lock, results.

<root>/<stage>/<key>/
    lock         held (flock) while a process works here
    inputs.json  what the key stands for, for people
    work/        the stage's own resumable scratch
    results/<token>/<output>   complete outputs; the rename that makes <token> appear commits
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.core import files
from components.core.errors import LockedError

LOCK_SECONDS = 60.0


def default_root() -> Path:
    """`TRAINYARD_STATE_DIR`, or `.trainyard` in the working directory."""
    return Path(os.environ.get("TRAINYARD_STATE_DIR") or ".trainyard").absolute()


def digest(value: Any, length: int = 64) -> str:
    """SHA-256 (hex) of a JSON-serialisable value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


class StateDir:
    """One stage's state for one key (settings, input fingerprints, code version)."""

    def __init__(self, root: Path, stage: str, identity: Mapping[str, Any]) -> None:
        self.key = digest(identity, 16)
        self.path = root / stage / self.key
        self.work = self.path / "work"
        self._identity = identity

    def result(self, token: str) -> Path | None:
        """The complete outputs stored under `token`, if there are any."""
        path = self.path / "results" / token
        return path if path.is_dir() else None

    @contextmanager
    def locked(self, waiting: Callable[[str], None] = lambda text: None) -> Iterator[None]:
        """Holds the directory's lock; waits up to a minute for a process that is just ending.

        Raises:
            LockedError: another process keeps working here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "lock", "a+", encoding="utf-8") as lock:
            _acquire(lock.fileno(), self.path, waiting)
            lock.truncate(0)
            lock.write(f"{socket.gethostname()} pid {os.getpid()}\n")
            lock.flush()
            if not (self.path / "inputs.json").exists():
                files.write_json(self.path / "inputs.json", self._identity)
            files.remove_partials(self.path)
            files.remove_partials(self.path / "results")
            self.work.mkdir(exist_ok=True)
            yield

    @contextmanager
    def new_result(self, token: str) -> Iterator[Path]:
        """Yields a temporary directory for the outputs; it becomes the result on success."""
        with files.atomic_path(self.path / "results" / token) as temporary:
            temporary.mkdir()
            yield temporary


def _acquire(descriptor: int, path: Path, waiting: Callable[[str], None]) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            owner = (path / "lock").read_text(encoding="utf-8").strip() or "another process"
            if time.monotonic() > deadline:
                raise LockedError(
                    f"{path} is in use by {owner}; wait for it to end, or stop it, and run again"
                ) from None
            if not told:
                waiting(f"waiting for {owner}, which works in {path}")
                told = True
            time.sleep(0.2)
