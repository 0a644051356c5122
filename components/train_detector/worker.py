"""`python -m components.train_detector.worker FOLDER`: one of the processes that train together.

The stage starts it through `components.core.training.launch`; nobody else needs to.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from components.core.events import Reporter
from components.core.training.launch import run_worker
from components.train_detector.stage import STAGE, TrainDetectorSettings
from components.train_detector.training import Continued, prepare, train


def work(request: dict[str, Any]) -> None:
    """Trains with the others; see `training.train_together` for the request."""
    settings = TrainDetectorSettings(**request["settings"])
    told = Reporter(STAGE.name, "silent")  # the stage has told what this would tell
    places = Path(request["dataset"]), Path(request["split"])
    prepared = prepare(settings, *places, told, weights=False)
    (variant,) = [v for v in settings.parsed() if v.name == request["variant"]]
    first = os.environ["RANK"] == "0"
    report = Continued(STAGE.name, request["before"]) if first else told
    train(prepared, variant, Path(request["folder"]), report)


if __name__ == "__main__":
    raise SystemExit(run_worker(work))
