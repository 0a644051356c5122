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
from pathlib import Path
from types import FrameType

from components.core.lifetime import die_with_parent
from pipelines import catalog


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
            for task in group.dag.tasks.values():
                task.ClearField("retry_policy")  # meant for pods; here --resume is the retry
        try:
            pipeline(**request["values"])
        except RuntimeError as error:
            print(error, flush=True)
            return 1
    return 0


def _pass_signals_on() -> None:
    """SIGTERM goes to the whole group once; this process then ends when its stage has."""

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(os.getpgid(0), signal.SIGTERM)

    signal.signal(signal.SIGTERM, handle)


if __name__ == "__main__":
    raise SystemExit(main())
