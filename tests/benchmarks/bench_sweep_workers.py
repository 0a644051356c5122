"""Trials per minute of four workers on one study, against one worker alone.

A worker is the stage as a process, `python -m components.hpo_sweep`, and starts a process for each
trial. The trainer waits, as one does for a GPU, so that two CPUs are enough for four. The time goes
from the start of the processes to the end of the last one. Prints one JSON line; `ratio` is four
workers against one, held to 3.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from components.core.artifacts.split import Split  # noqa: E402
from components.core.artifacts.study import Study  # noqa: E402

TRIALS = 24
EPOCHS = 4
SECONDS = 1.5
"""That the trainer waits in each epoch."""

WORKERS = 4
TARGET = 3.0


def main() -> None:
    """Measures and prints; ends with 1 if the target is missed."""
    with tempfile.TemporaryDirectory() as folder:
        alone = trials_per_minute(Path(folder, "one"), 1)
        together = trials_per_minute(Path(folder, "several"), WORKERS)
    ratio = together / alone
    record = {
        "name": "sweep_workers",
        "trials_per_minute": round(together, 1),
        "one_worker": round(alone, 1),
        "ratio": round(ratio, 2),
        "target": TARGET,
        "ok": ratio >= TARGET,
    }
    print(json.dumps(record), flush=True)
    raise SystemExit(0 if record["ok"] else 1)


def trials_per_minute(folder: Path, workers: int) -> float:
    """Lets so many workers search; all trials have to be there once."""
    for name in ("data", "split"):
        Split.create(name, {"a": "train"}, {}).save(folder / name)
    began = time.monotonic()
    processes = [start(folder, number) for number in range(workers)]
    assert [process.wait(timeout=600) for process in processes] == [0] * workers
    minutes = (time.monotonic() - began) / 60
    trials = Study.load(folder / "study0").trials
    assert [trial.state for trial in trials] == ["complete"] * TRIALS
    assert len({trial.worker for trial in trials}) == workers
    return TRIALS / minutes


def start(folder: Path, number: int) -> subprocess.Popen[bytes]:
    """One worker."""
    settings = {
        "trainer": "toy_trainers.valley",
        "settings": {"epochs": EPOCHS, "seconds": SECONDS},
        "search_space": {"rate": {"low": 1e-4, "high": 1, "log": True}, "depth": [1, 9]},
        "n_trials": TRIALS,
        "pruner": "none",
        "worker": number,
    }
    file = folder / f"worker{number}.json"
    file.write_text(json.dumps(settings), encoding="utf-8")
    places = [f"--data={folder / 'data'}", f"--split={folder / 'split'}"]
    places += [f"--study={folder / f'study{number}'}", f"--state-dir={folder / 'state'}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[:2])}
    environment.pop("TRAINYARD_OPTUNA_STORAGE", None)
    return subprocess.Popen(
        [sys.executable, "-m", "components.hpo_sweep", "-f", str(file), *places],
        env=environment,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
