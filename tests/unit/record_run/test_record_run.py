"""What a run published, in the registry and in a few lines for people."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from registered import fill
from trainyard_process import REPOSITORY

from components.core.artifacts.evaluation import Evaluation
from components.core.artifacts.publication import Publication
from components.core.registry import VARIABLE, Registry, Run

FIGURES = {"macro_f1": 0.75, "accuracy": 0.8}


def write_inputs(folder: Path, repository: str = "s3://models/here", **fields: Any) -> None:
    """The indexes alone, which is all that is read."""
    for name in ("published", "evaluation"):
        (folder / name).mkdir(parents=True)
    values = {"fingerprint": "p", "model": "meal_model", "version": 4, "reused": False}
    published = Publication(**{**values, "repository": repository, "bundle": "b", **fields})
    published.save(folder / "published")
    Evaluation(
        fingerprint="e",
        task="clip_classification",
        multi_label=False,
        classes=["eating", "drinking"],
        part="test",
        clips=10,
        models={"m": "b"},
        dataset="d",
        parent="p",
        splits=["s"],
        code_version="0",
        settings={},
        figures=FIGURES,
        files={},
    ).save(folder / "evaluation")


def record(folder: Path, task: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    places = {name: str(folder / name) for name in ("published", "evaluation", "record")}
    options = [word for name, place in places.items() for word in (f"--{name}", place)]
    return subprocess.run(
        [sys.executable, "-m", "components.record_run", "--task", task, *options,
         "--state-dir", str(folder / "state")],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip


@pytest.fixture
def filled(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database of a registry that holds the task `meals`."""
    monkeypatch.setenv(VARIABLE, database)
    monkeypatch.setenv("TRAINYARD_RUN_ID", "nightly")
    fill()
    return database


def runs() -> list[Run]:
    with Registry() as registry:
        return registry.runs("meals")


def test_a_run_is_finished_with_what_it_published(filled: str, tmp_path: Path) -> None:
    write_inputs(tmp_path)
    with Registry() as registry:
        registry.start_run("nightly", "meals")
        registry.fail_run("nightly", "train_keras", "tried again since")
    done = record(tmp_path, "meals")
    assert done.returncode == 0, done.stderr
    (run,) = runs()
    assert (run.status, run.model, run.version) == ("finished", "meal_model", 4)
    assert (run.location, run.metrics, run.reason) == ("s3://models/here", FIGURES, "")
    text = (tmp_path / "record").read_text(encoding="utf-8")
    for part in ("meal_model, version 4", "| task | meals |", "| run | nightly |",
                 "| repository | s3://models/here |", "| macro_f1 | 0.75 |"):  # fmt: skip
        assert part in text
    assert "Recorded in the registry as finished, for the task meals." in text
    assert str(urlsplit(filled).password) not in text + done.stdout + done.stderr


def test_a_run_whose_start_nobody_recorded_is_not_lost(filled: str, tmp_path: Path) -> None:
    write_inputs(tmp_path)
    assert record(tmp_path, "meals").returncode == 0
    assert [run.status for run in runs()] == ["finished"]


def test_a_repository_inside_of_the_artifact_is_named_in_full(filled: str, tmp_path: Path) -> None:
    write_inputs(tmp_path, repository="model_repository", reused=True)
    assert record(tmp_path, "meals").returncode == 0
    assert runs()[0].location == str(tmp_path / "published" / "model_repository")
    assert "| version | 4 (it was there already) |" in (tmp_path / "record").read_text()


def test_without_a_task_there_is_a_summary_and_nothing_is_asked(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    done = record(tmp_path, **{VARIABLE: "postgresql://me:hunter2@127.0.0.1:1/x"})
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "record").read_text(encoding="utf-8")
    assert "No registry was asked: the run has no task." in text
    assert "| version | 4 |" in text


def test_a_run_without_an_id_is_told_and_not_recorded(filled: str, tmp_path: Path) -> None:
    write_inputs(tmp_path)
    assert record(tmp_path, "meals", TRAINYARD_RUN_ID="").returncode == 0
    assert "TRAINYARD_RUN_ID does not name the run" in (tmp_path / "record").read_text()
    assert runs() == []


@pytest.mark.parametrize(
    ("task", "dsn", "code", "text"),
    [
        ("meal", None, 3, "did you mean 'meals'?"),
        ("meals", "", 4, f"{VARIABLE} is not set"),
        ("meals", "postgresql://me:hunter2@127.0.0.1:1/x", 4, "no PostgreSQL answers at"),
    ],
)
def test_what_cannot_be_recorded_is_an_error(
    task: str, dsn: str | None, code: int, text: str, filled: str, tmp_path: Path
) -> None:
    write_inputs(tmp_path)
    done = record(tmp_path, task, **({} if dsn is None else {VARIABLE: dsn}))
    assert done.returncode == code
    assert text in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert not (tmp_path / "record").exists()
