"""A stage that fails is marked in the registry, and a broken registry hides nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from registered import fill
from trainyard_process import REPOSITORY

from components.core.errors import ProblemsError, StoppedError
from components.core.registry import VARIABLE, Registry, Run
from components.core.registry.endings import LONGEST_REASON, reason
from components.hpo_sweep.trainer import _environment

SCRIPT = """
import os, sys, time
from pydantic import Field
from components.core.command_line import main
from components.core.errors import InputError
from components.core.settings import Settings
from components.core.stage import Job, Stage

class WaitSettings(Settings):
    \"\"\"How to end.\"\"\"
    how: str = Field("", description="How to end")

def work(settings, job):
    if settings.how == "wrong":
        raise InputError("clips are missing")
    if settings.how == "telltale":
        password = os.environ["TRAINYARD_POSTGRES_DSN"].split(":")[2].split("@")[0]
        raise InputError(f"clips are missing\\nin s3://a:b@c/x with {password}\\nand more")
    if settings.how == "bug":
        raise KeyError("nobody thought of this")
    if settings.how == "wait":
        print("waiting", flush=True)
        time.sleep(60)
    job.outputs["done"].write_text("done")

raise SystemExit(main(Stage("wait_a_while", WaitSettings, work, outputs={"done": "a file"})))
"""


@pytest.fixture
def recorded(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database of a registry in which the run `nightly` is started."""
    monkeypatch.setenv(VARIABLE, database)
    fill()
    with Registry() as registry:
        registry.start_run("nightly", "meals")
    return database


def start(folder: Path, how: str, **environment: str) -> subprocess.Popen[str]:
    places = ["--done", str(folder / "done"), "--state-dir", str(folder / "state")]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "--how", how, *places],
        cwd=REPOSITORY,
        env={**os.environ, "TRAINYARD_RUN_ID": "nightly", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, how: str, **environment: str) -> tuple[int, str]:
    process = start(folder, how, **environment)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def the_run() -> Run:
    with Registry() as registry:
        (found,) = registry.runs()
    return found


def test_an_error_is_recorded_with_its_stage_and_without_secrets(
    recorded: str, tmp_path: Path
) -> None:
    code, said = run(tmp_path, "telltale")
    assert code == 3
    assert "clips are missing" in said
    found = the_run()
    assert (found.status, found.stage) == ("failed", "wait_a_while")
    assert found.reason == "clips are missing in s3://c/x with <secret> and more"


def test_an_error_that_nobody_foresaw_keeps_its_traceback(recorded: str, tmp_path: Path) -> None:
    code, said = run(tmp_path, "bug")
    assert code == 1
    assert "Traceback" in said
    assert the_run().reason == "KeyError: 'nobody thought of this'"


@pytest.mark.parametrize(
    ("number", "code", "text"),
    [(signal.SIGTERM, 143, "stopped by a signal"), (signal.SIGINT, 130, "stopped by Ctrl-C")],
)
def test_being_stopped_is_recorded(
    number: signal.Signals, code: int, text: str, recorded: str, tmp_path: Path
) -> None:
    process = start(tmp_path, "wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == code
    assert the_run().status == "failed"
    assert the_run().reason.startswith(text)


def test_success_and_runs_that_nobody_recorded_change_nothing(
    recorded: str, tmp_path: Path
) -> None:
    (tmp_path / "well").mkdir()
    assert run(tmp_path / "well", "")[0] == 0
    code, said = run(tmp_path, "wrong", TRAINYARD_RUN_ID="another")
    assert code == 3
    assert "warning" not in said
    code, said = run(tmp_path, "bug", TRAINYARD_RUN_ID="")
    assert code == 1
    assert the_run().status == "started"


def test_a_database_without_a_registry_stays_so(database: str, tmp_path: Path) -> None:
    code, said = run(tmp_path, "wrong", **{VARIABLE: database})
    assert code == 3
    assert "warning" not in said


def test_a_database_that_is_not_there_is_only_warned_about(tmp_path: Path) -> None:
    dead = "postgresql://me:hunter2@127.0.0.1:1/x"
    code, said = run(tmp_path, "wrong", **{VARIABLE: dead})
    assert code == 3
    assert "error: clips are missing" in said
    assert "warning: the registry was not told that this run failed: " in said
    assert "no PostgreSQL answers at 127.0.0.1:1" in said
    assert "hunter2" not in said


def test_a_database_that_never_answers_is_given_up_within_seconds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"postgresql://me:hunter2@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=60"
        began = time.monotonic()
        code, said = run(tmp_path, "wrong", **{VARIABLE: dsn})
    assert code == 3
    assert time.monotonic() - began < 15
    assert "error: clips are missing" in said
    assert "it gave no answer within 5 s" in said


def test_no_driver_is_loaded_unless_there_is_a_registry(tmp_path: Path) -> None:
    script = """
import os, sys
os.environ.pop("TRAINYARD_POSTGRES_DSN", None)
os.environ["TRAINYARD_RUN_ID"] = "nightly"
from components.core.events import Reporter
from components.core.stage import reported_failure
try:
    with reported_failure(Reporter("x")):
        raise KeyError
except KeyError:
    pass
assert not {"psycopg2", "components.core.registry"} & {*sys.modules}
"""
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True)


def test_a_trial_that_fails_is_no_failure_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "postgresql://me:hunter2@db/x")
    assert VARIABLE not in _environment()


def test_reasons_are_short_and_plain(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_OPTUNA_STORAGE", database)
    password = urlsplit(database).password
    assert reason(ValueError(f"a\0b {password}")) == "ValueError: ab <secret>"
    assert reason(ValueError()) == "ValueError"
    assert reason(StoppedError("run the same command again")) == "stopped by a signal"
    assert reason(ProblemsError(["one", "two"], "train")) == "2 problems in train: one; two"
    assert len(reason(ValueError("x" * 9999))) == LONGEST_REASON
