"""`python -m components.train_renderer.worker FOLDER`: one of the processes that train together.

The stage starts it through `components.core.training.launch`; nobody else needs to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.core.events import Reporter
from components.core.training.launch import run_worker
from components.train_renderer.stage import STAGE, TrainRendererSettings
from components.train_renderer.training import prepare, train


def work(request: dict[str, Any]) -> None:
    """Trains with the others; see `training.train_together` for the request."""
    settings = TrainRendererSettings(**request["settings"])
    told = Reporter(STAGE.name, "silent")  # the stage has told what this would tell
    prepared = prepare(settings, Path(request["frames"]), told)
    train(prepared, Path(request["folder"]), Reporter(STAGE.name))


if __name__ == "__main__":
    raise SystemExit(run_worker(work))
