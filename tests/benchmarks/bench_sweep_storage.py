"""What keeping a study in PostgreSQL costs a trial, with eight workers, beside a journal file.

Eight processes are workers of one sweep: TPE, four settings, ten reported figures per trial, the
pruner asked after each. All that the stage's worker does is done, but the trainer is no process: it
only waits, and does not stop when the pruner wants it to, so that all trials are alike.

waiting  the trainer takes 0.2 s before each figure: by how much longer a worker takes from one
         trial to the next. Held to 150 ms on two CPUs
busy     it takes none: the time from one trial to the next of any worker. Held to the same

Sampling is part of both. PostgreSQL writes to the disk here, unlike in tests. Database and journal
take turns; each figure is the better of two rounds, and leaves out the first trials, which load
libraries. Prints one JSON line per figure: milliseconds, and `ratio` to the target.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from postgres_server import new_database, running_postgres  # noqa: E402

from components.core.events import Reporter  # noqa: E402
from components.core.stage import Job  # noqa: E402
from components.hpo_sweep import space, storage  # noqa: E402
from components.hpo_sweep.plan import SweepPlan  # noqa: E402
from components.hpo_sweep.searching import Worker  # noqa: E402
from components.hpo_sweep.stage import SweepSettings  # noqa: E402
from components.hpo_sweep.trainer import Description  # noqa: E402

WORKERS = 8
REPORTS = 10
ROUNDS = 2
WARM_UP = 2
"""Trials of each worker whose time is not counted."""

TARGET = 150.0
NAME, MONITOR = "benchmark", "val_accuracy"
FIELDS = {
    "dropout": {"type": "number"},
    "learning_rate": {"type": "number"},
    "batch_size": {"type": "integer"},
    "optimizer": {"type": "string"},
}
SPACE = {
    "dropout": {"low": 0.0, "high": 0.9},
    "learning_rate": {"low": 1e-5, "high": 1.0, "log": True},
    "batch_size": {"low": 2, "high": 16},
    "optimizer": {"choices": ["adam", "sgd"]},
}


@dataclass(frozen=True)
class Load:
    """What each worker does."""

    name: str
    trials: int
    wait: float
    """Seconds before each report."""

    def milliseconds(self, workers: list[list[float]]) -> float:
        """The figure of this load, from the moments at which each worker began its trials."""
        warm = [began[WARM_UP:] for began in workers]
        if self.wait:
            spans = [b - a for began in warm for a, b in pairwise(began)]
            return 1e3 * (mean(spans) - REPORTS * self.wait)
        moments = sorted(moment for began in warm for moment in began)
        return 1e3 * (moments[-1] - moments[0]) / (len(moments) - 1)


LOADS = (Load("waiting", 6, 0.2), Load("busy", 10, 0.0))


class WaitingTrainer:
    """Trains as little as possible, and notes when it began."""

    def __init__(self, load: Load, number: int, start: Barrier) -> None:
        self._load, self._number, self._start = load, number, start
        self.began: list[float] = []

    def run(
        self,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Path],
        folder: Path,
        state: Path,
        on_metrics: Callable[[int, Mapping[str, float]], bool],
    ) -> SimpleNamespace:
        """As `components.hpo_sweep.trainer.Trainer.run` does."""
        if not self.began:
            self._start.wait(timeout=120)
            # or all would report at the same moments
            time.sleep(self._load.wait * self._number / WORKERS)
        self.began.append(time.monotonic())
        figures = {MONITOR: 1.0 - float(settings["dropout"])}
        for epoch in range(REPORTS):
            time.sleep(self._load.wait)
            on_metrics(epoch, figures)
        return SimpleNamespace(metrics=figures)


def main() -> None:
    """Measures and prints; ends with 1 if a target is missed."""
    with running_postgres(durable=True) as server, tempfile.TemporaryDirectory() as folder:
        results = [report(load, *compare(load, server, Path(folder))) for load in LOADS]
    raise SystemExit(0 if all(results) else 1)


def compare(load: Load, server: str, folder: Path) -> tuple[float, float]:
    """Milliseconds per trial with PostgreSQL and with a journal file."""
    postgres, journal = [], []
    for number in range(ROUNDS):
        with new_database(server) as database:
            postgres.append(load.milliseconds(share(database, load)))
        file = folder / f"{load.name}{number}" / "journal.log"
        journal.append(load.milliseconds(share(str(file), load)))
    return min(postgres), min(journal)


def share(place: str, load: Load) -> list[list[float]]:
    """Lets all workers work on a new study; the moments at which each began its trials."""
    os.environ[storage.VARIABLE] = place
    context = multiprocessing.get_context("spawn")
    start, noted = context.Barrier(WORKERS), context.Queue()
    workers = [
        context.Process(target=work, args=(load, number, start, noted), daemon=True)
        for number in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    began = [noted.get(timeout=300) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(map(len, began)) == WORKERS * (WARM_UP + load.trials)
    return began


def work(load: Load, number: int, start: Barrier, noted: Queue[list[float]]) -> None:
    """One worker, in a process of its own."""
    settings = SweepSettings(n_trials=WORKERS * (WARM_UP + load.trials), worker=number)
    trainer: Any = WaitingTrainer(load, number, start)
    dimensions, problems = space.parse(SPACE, FIELDS)
    assert not problems
    told = Description([], FIELDS, [], [])
    plan = SweepPlan(settings, trainer, told, {}, dimensions, {}, [], MONITOR, "maximize")
    shared = storage.open_storage(Path("unused"), settings.heartbeat_seconds)
    job = Job({}, {}, Path("unused"), Reporter("hpo_sweep", "silent"))
    Worker(plan, job, shared, NAME, "definition", Path("unused")).work()
    noted.put(trainer.began)


def report(load: Load, postgres: float, journal: float) -> bool:
    """Prints one line; says whether the target is met."""
    met = postgres < TARGET
    record = {
        "name": f"sweep_storage_{load.name}",
        "ms_per_trial": round(postgres, 1),
        "journal_ms_per_trial": round(journal, 1),
        "ratio": round(postgres / TARGET, 3),
        "target": 1.0,
        "ok": met,
    }
    print(json.dumps(record), flush=True)
    return met


if __name__ == "__main__":
    main()
