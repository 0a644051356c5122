"""`python -m launched_worker FOLDER`: what `launch` starts in its tests; it ends as requested."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

from components.core.errors import InputError
from components.core.training.launch import run_worker


def work(request: dict[str, Any]) -> None:
    """Ends as told in one process; the others wait for it, as in the middle of a collective."""
    rank = os.environ["RANK"]
    (Path(request["out"]) / rank).write_text(os.environ["OMP_NUM_THREADS"], encoding="utf-8")
    if request["end"] == "well":
        return
    if rank != "1":
        time.sleep(60)
    if request["end"] == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/some/file")
    if request["end"] == "input":
        raise InputError("clips: there are none; add some")
    raise ValueError("a mistake in the program")


if __name__ == "__main__":
    raise SystemExit(run_worker(work))
