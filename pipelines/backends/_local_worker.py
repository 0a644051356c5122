"""The process in which kfp's embedded runner executes a pipeline.

It stands between the command line and the stages so that everything below can be read, stopped
and counted as one process group.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import warnings
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

from components.core.lifetime import die_with_parent
from pipelines import catalog
from pipelines.plan_tasks import in_order


def main() -> int:
    """Runs the request (a JSON file named by the first argument); returns the exit code."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    _pass_signals_on()
    die_with_parent()
    from kfp import local

    warnings.filterwarnings("ignore", category=RuntimeWarning, module="kfp")
    warnings.filterwarnings("ignore", category=UserWarning, module="kfp")
    # kfp rewrites every 'python3' in a command, in user values too, to sys.executable; with this
    # name the rewriting changes nothing, and PATH (set by the parent) says which python3 it is.
    sys.executable = "python3"
    with tempfile.TemporaryDirectory() as workspace:
        local.init(
            local.SubprocessRunner(use_venv=False),
            pipeline_root=request["pipeline_root"],
            workspace_root=workspace,
        )
        pipeline = catalog.load(request["pipeline"])
        spec = pipeline.pipeline_spec
        for group in (spec.root, *spec.components.values()):
            _one_by_one(group.dag.tasks)
        try:
            pipeline(**request["values"])
        except RuntimeError as error:
            print(error, flush=True)
            return 1
    return 0


def _one_by_one(tasks: Any) -> None:
    """Each task waits for the one before, so that none begins once one has failed or was stopped.

    Args:
        tasks: the map of a group's tasks; those that end a group are not among ours.
    """
    order = in_order({name: task.dependent_tasks for name, task in tasks.items()})
    for name in order:
        tasks[name].ClearField("retry_policy")  # meant for pods; here --resume is the retry
    for before, name in pairwise(order):
        if before not in tasks[name].dependent_tasks:
            tasks[name].dependent_tasks.append(before)


def _pass_signals_on() -> None:
    """SIGTERM goes to the whole group once; this process then ends when its stage has."""

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(os.getpgid(0), signal.SIGTERM)

    signal.signal(signal.SIGTERM, handle)


if __name__ == "__main__":
    raise SystemExit(main())
