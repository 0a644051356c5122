"""The pool: results in order, and no crash, hang or death of a worker ends the run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pool_tasks
import pytest

from components.core.errors import TrainyardError
from components.core.video.pool import Failure, WorkerPool


def run(tasks: list, workers: int = 2, stall: float = 30.0) -> list:
    return list(WorkerPool(pool_tasks.work, workers, stall).run(tasks))


def children(of: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == of and fields[0] != "Z":
                yield int(entry.name)


def test_results_come_in_order() -> None:
    tasks = [("sleep", 0.3), *(("square", n) for n in range(100))]
    assert run(tasks, workers=3) == [0.3, *(n * n for n in range(100))]
    assert run([]) == []


def test_work_is_shared() -> None:
    processes = run([("process", 0)] * 8, workers=3)
    assert len(set(processes)) == 3
    assert os.getpid() not in processes


def test_a_task_that_fails_says_why() -> None:
    found = run([("refuse", "too dark"), ("divide", 0), ("square", 3)])
    assert found == [
        Failure("too dark"),
        Failure("ZeroDivisionError: division by zero"),
        9,
    ]


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (("signal", signal.SIGSEGV), "it brought its process down (SIGSEGV), twice"),
        (("signal", signal.SIGKILL), "it brought its process down (SIGKILL), twice"),
        (("exit", 7), "it ended its process (exit code 7), twice"),
    ],
)
def test_a_crash_costs_one_task(task: tuple, reason: str) -> None:
    tasks = [("square", 2), task, *(("square", n) for n in range(20))]
    assert run(tasks) == [4, Failure(reason), *(n * n for n in range(20))]


def test_every_task_may_crash() -> None:
    found = run([("signal", signal.SIGSEGV)] * 5, workers=3)
    assert [type(result) for result in found] == [Failure] * 5


def test_a_worker_killed_from_outside_costs_nothing(tmp_path: Path) -> None:
    found = run([("killed once", str(tmp_path / "mark")), ("square", 5)])
    assert found == ["second time", 25]


def test_a_hang_costs_one_task() -> None:
    began = time.monotonic()
    tasks = [("square", 2), ("hang", 0), *(("square", n) for n in range(20))]
    found = run(tasks, stall=2.0)
    assert found == [4, Failure("no progress for 2 s"), *(n * n for n in range(20))]
    assert time.monotonic() - began < 20


def test_slow_is_not_hanging() -> None:
    assert run([("work slowly", 3.0)], stall=1.5) == ["done"]


def test_an_os_error_ends_the_run_and_the_workers() -> None:
    before = set(children(os.getpid()))
    with pytest.raises(OSError, match="No space left"):
        run([("square", 1), ("no space", 0), ("sleep", 60)])
    assert set(children(os.getpid())) <= before


def test_closing_ends_the_workers() -> None:
    before = set(children(os.getpid()))
    results = WorkerPool(pool_tasks.work, 2, 30.0).run([("square", 1), *[("sleep", 60)] * 4])
    assert next(results) == 1
    assert len(set(children(os.getpid())) - before) == 2
    results.close()
    assert set(children(os.getpid())) <= before


def test_a_worker_that_cannot_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TrainyardError, match=r"cannot start \(exit code 1\)"):
        run([("square", 1)])


def test_a_worker_that_is_killed_while_it_starts_is_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    python = tmp_path / "python"
    python.write_text(
        f"#!/bin/sh\nif [ ! -e {killed} ]; then touch {killed}; kill -9 $$; fi\n"
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert run([("square", 1), ("square", 2), ("square", 3)]) == [1, 4, 9]
    assert killed.exists()


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import pool_tasks; from components.core.video.pool import WorkerPool\n"
        "list(WorkerPool(pool_tasks.work, 2, 300.0).run([('sleep', 600)] * 4))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, cwd=tmp_path)
    deadline = time.monotonic() + 30
    while len(workers := list(children(process.pid))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(workers) == 2
    time.sleep(0.5)
    process.kill()
    process.wait()
    while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(worker) for worker in workers)


def alive(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
