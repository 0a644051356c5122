"""`python -m components.core.training.node MODULE FOLDER`: one of the machines that train together.

It runs torchrun over all of them. Which one this is, and where they meet, is in the environment,
named as Kubeflow Trainer names it: PET_NNODES, PET_NPROC_PER_NODE, PET_NODE_RANK, PET_MASTER_ADDR
and PET_MASTER_PORT. When a machine is lost, the processes of the others end; all meet again, and
every process goes on from the last checkpoint. FOLDER is that of `launch`, shared by all.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from components.core.lifetime import StopSignal, stop_on_sigterm
from components.core.training.torchrun import DONE, NO_MEETING, command, environment

QUICK_ENDS = 3
"""Attempts in a row that may fail quickly; then it is no lost machine but a mistake."""

QUICK_SECONDS = 600.0
PAUSE_SECONDS = 1.0


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when all is done, 143 after SIGTERM, and 1 when processes keep failing."""
    module, folder = arguments[0], Path(arguments[1])
    quick = 0
    with stop_on_sigterm() as stop:
        while not (folder / DONE).exists():
            began = time.monotonic()
            code = _attempt(module, folder, stop)
            if stop:
                return 128 + stop.number
            if code == 0:
                return 0
            if code != NO_MEETING:
                quick = quick + 1 if time.monotonic() - began < QUICK_SECONDS else 1
                if quick > QUICK_ENDS:
                    return 1
                print("the processes of this machine ended; they meet again", flush=True)
            time.sleep(PAUSE_SECONDS)
    return 0


def _attempt(module: str, folder: Path, stop: StopSignal) -> int:
    """Runs torchrun once; returns its exit code."""
    rank, processes = os.environ["PET_NODE_RANK"], os.environ["PET_NPROC_PER_NODE"]
    host, port = os.environ["PET_MASTER_ADDR"], os.environ["PET_MASTER_PORT"]
    while rank != "0" and not _is_there(host, int(port)):
        time.sleep(PAUSE_SECONDS)
        if stop or (folder / DONE).exists():
            return 0
    options = {
        "nnodes": os.environ["PET_NNODES"],
        "nproc-per-node": processes,
        "node-rank": rank,
        "rdzv-backend": "static",
        "master-addr": host if rank != "0" else "localhost",
        "master-port": port,
    }
    words = [*command(folder / f"failures-{rank}.json", options), "-m", module, str(folder)]
    agent = subprocess.Popen(words, env=environment(int(processes)))
    told = False
    while (code := agent.poll()) is None:
        if stop and not told:
            agent.terminate()
            told = True
        time.sleep(0.1)
    return code


def _is_there(host: str, port: int) -> bool:
    """Whether the first machine can be connected to; before it runs not even its name is known."""
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
