"""What a registered task wants, as a Task, by `python -m components.read_task`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from registered import fill, meals
from trainyard_process import REPOSITORY

from components.core.artifacts.task import Task
from components.core.errors import ProblemsError
from components.core.registry import VARIABLE, Registry
from components.read_task.stage import STAGE, ReadTaskSettings


@pytest.fixture
def filled(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database of a registry that holds `meals()`."""
    monkeypatch.setenv(VARIABLE, database)
    monkeypatch.delenv("TRAINYARD_RUN_ID", raising=False)
    fill()
    return database


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    places = ["--wanted", str(folder / "wanted"), "--state-dir", str(folder / "state")]
    return subprocess.run(
        [sys.executable, "-m", "components.read_task", *places, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_task_is_written_and_the_run_recorded(filled: str, tmp_path: Path) -> None:
    done = run(tmp_path, "--task", "meals", TRAINYARD_RUN_ID="nightly")
    assert done.returncode == 0, done.stderr
    task = Task.load(tmp_path / "wanted")
    assert task.name == "meals"
    assert task.settings == meals().settings()
    assert "run nightly is recorded as started" in done.stderr
    with Registry() as registry:
        (recorded,) = registry.runs("meals")
    assert (recorded.key, recorded.status) == ("nightly", "started")
    assert str(urlsplit(filled).password) not in done.stdout + done.stderr


def test_a_run_without_an_id_is_not_recorded_and_told(filled: str, tmp_path: Path) -> None:
    done = run(tmp_path, "--task", "meals")
    assert done.returncode == 0, done.stderr
    assert "the run is not recorded, as TRAINYARD_RUN_ID does not name it" in done.stderr
    with Registry() as registry:
        assert registry.runs() == []


def test_without_a_task_nothing_is_asked(tmp_path: Path) -> None:
    done = run(tmp_path, **{VARIABLE: "postgresql://me:hunter2@127.0.0.1:1/x"})
    assert done.returncode == 0, done.stderr
    task = Task.load(tmp_path / "wanted")
    assert (task.name, task.settings) == ("", {})


def test_every_run_reads_what_the_task_says_then_also_where_it_is_resumed(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, state = ReadTaskSettings(task="meals"), tmp_path / "state"
    monkeypatch.setenv("TRAINYARD_RUN_ID", "one")
    STAGE.execute(settings, {}, {"wanted": tmp_path / "a"}, state)
    with Registry() as registry:
        registry.add_task(meals(train=30), replace=True)
    STAGE.execute(settings, {}, {"wanted": tmp_path / "b"}, state)
    monkeypatch.setenv("TRAINYARD_RUN_ID", "two")
    STAGE.execute(settings, {}, {"wanted": tmp_path / "c"}, state)
    sizes = [Task.load(tmp_path / name).settings["train_size"] for name in "abc"]
    assert sizes == [20, 30, 30], "a task can be put right and its run resumed"


def test_a_run_that_is_resumed_is_started_again(filled: str, tmp_path: Path) -> None:
    assert run(tmp_path, "--task", "meals", TRAINYARD_RUN_ID="nightly").returncode == 0
    with Registry() as registry:
        assert registry.fail_run("nightly", "train_keras", "no space left")
        assert run(tmp_path, "--task", "meals", TRAINYARD_RUN_ID="nightly").returncode == 0
        (recorded,) = registry.runs("meals")
        assert (recorded.status, recorded.reason) == ("started", "")
        registry.finish_run("nightly", "meal_model", 1, "/models", {})
        assert run(tmp_path, "--task", "meals", TRAINYARD_RUN_ID="nightly").returncode == 0
        assert registry.runs("meals")[0].status == "finished"


@pytest.mark.parametrize(
    ("task", "dsn", "code", "text"),
    [
        ("meal", None, 3, "task 'meal' is not in the registry; did you mean 'meals'?"),
        ("meals", "", 4, f"{VARIABLE} is not set"),
        ("meals", "postgresql://me:hunter2@127.0.0.1:1/x", 4, "no PostgreSQL answers at"),
        ("meals", "nonsense hunter2", 4, f"{VARIABLE} cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_before_and_in_the_run(
    task: str, dsn: str | None, code: int, text: str, filled: str, tmp_path: Path
) -> None:
    environment = {} if dsn is None else {VARIABLE: dsn}
    for more in ([], ["--dry-run"]):
        done = run(tmp_path, "--task", task, *more, **environment)
        assert done.returncode == code
        assert text in done.stderr
        assert "hunter2" not in done.stdout + done.stderr
    assert not (tmp_path / "wanted").exists()


def test_an_empty_database_is_refused_with_the_remedy(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, database)
    with pytest.raises(ProblemsError, match="run `trainyard registry init`"):
        STAGE.execute(
            ReadTaskSettings(task="meals"), {}, {"wanted": tmp_path / "wanted"}, tmp_path / "state"
        )
