"""What keeping a study in PostgreSQL costs a trial, with eight workers, beside a journal file.

Eight processes share one study, as the workers of a sweep do: TPE, four settings, ten reported
figures per trial, the pruner asked after each (and not obeyed, so that all trials are alike).

waiting  trials that wait 0.2 s before each report, as a worker waits for its trainer: by how much
         a trial takes longer than that. Held to 150 ms on two CPUs
busy     trials that wait for nothing: the time over the number of trials that all workers finish
         in it. Held to the same

Both hold all that Optuna does for a trial, sampling included. PostgreSQL writes to the disk here,
unlike in tests. Database and journal take turns; each figure is the better of two rounds. Prints
one JSON line per figure: milliseconds, and `ratio` to the target.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import optuna  # noqa: E402
from optuna.storages import BaseStorage, JournalStorage, RDBStorage  # noqa: E402
from optuna.storages.journal import JournalFileBackend  # noqa: E402
from postgres_server import new_database, running_postgres  # noqa: E402

WORKERS = 8
REPORTS = 10
ROUNDS = 2
WARM_UP = 2
"""Trials of each worker before its time is taken: the first ones load most of the libraries."""

TARGET = 150.0
STUDY = "benchmark"


@dataclass(frozen=True)
class Load:
    """What each worker does."""

    name: str
    trials: int
    wait: float
    """Seconds before each report."""

    def milliseconds(self, workers: list[float]) -> float:
        """The figure of this load, from the seconds that each worker took."""
        if self.wait:
            return 1e3 * (sum(workers) / len(workers) / self.trials - REPORTS * self.wait)
        return 1e3 * max(workers) / (self.trials * len(workers))


LOADS = (Load("waiting", 6, 0.2), Load("busy", 20, 0.0))


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
        journal.append(load.milliseconds(share(f"{folder}/{load.name}{number}.log", load)))
    return min(postgres), min(journal)


def share(place: str, load: Load) -> list[float]:
    """Lets all workers work on a new study; the seconds that each took, once it was warm."""
    optuna.create_study(study_name=STUDY, storage=opened(place))
    context = multiprocessing.get_context("spawn")
    start, taken = context.Barrier(WORKERS), context.Queue()
    workers = [
        context.Process(target=work, args=(place, load, number, start, taken), daemon=True)
        for number in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    seconds = [taken.get(timeout=300) for _ in workers]
    for worker in workers:
        worker.join()
    finished = optuna.load_study(study_name=STUDY, storage=opened(place)).trials
    assert len(finished) == WORKERS * (WARM_UP + load.trials)
    assert all(len(trial.intermediate_values) == REPORTS for trial in finished)
    return seconds


def work(place: str, load: Load, seed: int, start: Barrier, taken: Queue[float]) -> None:
    """One worker, in a process of its own."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(
        study_name=STUDY,
        storage=opened(place),
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(),
    )

    def objective(trial: optuna.Trial) -> float:
        loss = trial.suggest_float("dropout", 0.0, 0.9)
        loss += trial.suggest_float("lr", 1e-5, 1.0, log=True)
        loss += trial.suggest_int("batch_size", 2, 16) / 16
        loss += trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "sgd"
        for epoch in range(REPORTS):
            time.sleep(load.wait)
            trial.report(loss + 1 / (1 + epoch), epoch)
            trial.should_prune()
        return loss

    study.optimize(objective, n_trials=WARM_UP)
    start.wait(timeout=120)
    time.sleep(load.wait * seed / WORKERS)  # or all would report at the same moments
    began = time.perf_counter()
    study.optimize(objective, n_trials=load.trials)
    taken.put(time.perf_counter() - began)


def opened(place: str) -> BaseStorage:
    """The storage at the URL of a database, or at a path."""
    if "://" in place:
        return RDBStorage(place.replace("postgresql:", "postgresql+psycopg2:", 1))
    return JournalStorage(JournalFileBackend(place))


def report(load: Load, postgres: float, journal: float) -> bool:
    """Prints one line; says whether the target is met."""
    record = {
        "name": f"sweep_storage_{load.name}",
        "ms_per_trial": round(postgres, 1),
        "journal_ms_per_trial": round(journal, 1),
        "ratio": round(postgres / TARGET, 3),
        "target": 1.0,
        "ok": postgres < TARGET,
    }
    print(json.dumps(record), flush=True)
    return record["ok"] is True


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    main()
