"""`trainyard registry`, as a person and a program see it."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import CliRunner, Result
from registered import fill, meals
from trainyard_process import run as trainyard

from components.core.registry import VARIABLE, Registry
from pipelines.cli import main

ADD = [
    "add-task", "meals", "--model-name", "meal_model", "--class", "eating", "--class", "drinking",
    "--source", "kitchen", "--source", "canteen", "--train", "20", "--validation", "5",
    "--test", "0.25", "--other",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _environment(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, database)


def registry(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["registry", *words])
    assert result.exit_code == code, result.output
    return result


def output(*words: str) -> str:
    return registry(*words).stdout


def refusal(*words: str, code: int = 2) -> str:
    result = registry(*words, code=code)
    assert result.stdout == ""
    return result.stderr


def test_from_an_empty_database_to_a_task(database: str) -> None:
    assert "run `trainyard registry init`" in refusal("list", code=4)
    assert output("init") == "done: 0001_tables\n"
    assert output("init") == "the registry is up to date\n"
    assert output("list") == "sources: none\nclasses: none\ntasks: none\n"
    assert output("add-source", "kitchen") == "source kitchen: added\n"
    assert output("add-source", "kitchen", "canteen") == (
        "source kitchen: was there already\nsource canteen: added\n"
    )
    assert output(*ADD) == "task meals: added\n"
    assert output(*ADD) == "task meals: was there already, the same\n"
    with Registry() as opened:
        assert opened.task("meals") == meals()
    assert "give --replace" in refusal(*ADD, "--class", "pouring")
    assert output(*ADD, "--class", "pouring", "--replace") == "task meals: replaced\n"


def test_the_first_entry_makes_the_tables() -> None:
    assert output("add-source", "kitchen") == "source kitchen: added\n"


def test_everything_wrong_is_told_at_once() -> None:
    fill()
    said = refusal("add-task", "lunch", "--class", "Eating", "--source", "kitchn", "--train", "x")
    for part in (
        "--model-name: name what",
        "--train: got 'x', accepted are clips per class",
        "--validation: say how many",
        "--test: say how many",
        "1 class is nothing to tell apart",
        "class 'Eating' is known as 'eating'",
        "did you mean 'kitchen'? (a new one: `trainyard registry add-source kitchn`)",
    ):
        assert part in said
    assert said.startswith("error: 7 problems in task 'lunch':")


def test_a_well_formed_task_with_a_missing_option_is_not_added() -> None:
    fill()
    words = [*ADD]
    words[1] = "lunch"
    del words[words.index("--test") : words.index("--test") + 2]
    assert "--test: say how many" in refusal(*words)
    with Registry() as opened:
        assert [task.name for task in opened.tasks()] == ["meals"]


def test_tasks_are_listed_with_their_last_run() -> None:
    fill(meals(), meals(name="lunch", other=False, train=0))
    with Registry() as opened:
        opened.start_run("one", "meals")
        opened.fail_run("one", "train_keras", "broken")
        opened.start_run("two", "meals")
    lines = output("list").splitlines()
    assert lines[:2] == ["sources: canteen, kitchen", "classes: drinking, eating"]
    columns = lines[3].index("last run")
    assert lines[4].startswith("lunch  meal_model  eating, drinking ")
    assert lines[4][columns:] == "none"
    assert lines[5].startswith("meals  meal_model  eating, drinking, Other ")
    assert lines[5][columns:].startswith("started ")
    told = json.loads(output("list", "--json"))
    assert told["sources"] == ["canteen", "kitchen"]
    assert [task["name"] for task in told["tasks"]] == ["lunch", "meals"]
    assert told["tasks"][0]["last_run"] is None
    assert told["tasks"][1]["last_run"]["key"] == "two"


def test_a_task_is_shown_as_parameters_and_with_its_runs(tmp_path: Path) -> None:
    fill()
    assert output("show", "meals").splitlines()[-1] == "# no runs yet"
    with Registry() as opened:
        opened.start_run("first", "meals")
        opened.fail_run("first", "train_keras", "no space left" + " x" * 200)
        opened.start_run("second", "meals")
        opened.finish_run("second", "meal_model", 3, "s3://models/here", {"macro_f1": 0.81234})
        opened.start_run("third", "meals")
    shown = output("show", "meals")
    assert yaml.safe_load(shown) == meals().settings()
    runs = [line for line in shown.splitlines() if line.startswith("#")][1:]
    assert runs[0] == "# 3 runs"
    third, second, first = runs[2:]
    assert third.split()[1:3] == ["third", "started"]
    assert "meal_model 3" in second
    assert "macro_f1 0.8123" in second
    assert "s3://models/here" in second
    assert "train_keras: no space left" in first
    assert "no space left x" in first
    assert "x …" in first
    told = json.loads(output("show", "meals", "--json"))
    assert told["parameters"] == meals().settings()
    assert told["task"]["train"] == 20
    assert [run["status"] for run in told["runs"]] == ["started", "finished", "failed"]
    assert told["runs"][1]["metrics"] == {"macro_f1": 0.81234}


def test_an_unknown_task_is_told_with_the_closest() -> None:
    fill()
    assert "did you mean 'meals'?" in refusal("show", "meal", code=3)


@pytest.mark.parametrize(
    "words", [["init"], ["list"], ["show", "x"], ["add-source", "x"], ["add-source", "a/b"], ADD]
)
def test_a_database_that_cannot_be_used_is_told_without_its_password(
    words: list[str], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for dsn, text in (
        ("", "is not set"),
        ("postgresql://me:hunter2@127.0.0.1:1/x", "no PostgreSQL answers"),
        ("postgresql://me:hun/ter2@db/x", "the address cannot be read"),
        (f"{database}_missing", "has no such database"),
    ):
        monkeypatch.setenv(VARIABLE, dsn)
        result = CliRunner().invoke(main, ["registry", *words])
        assert result.exit_code == (2 if words[-1] == "a/b" else 4)
        assert text in result.stderr
        for secret in ("hunter2", "ter2", str(urlsplit(database).password)):
            assert secret not in result.output


def test_help_needs_no_database(tmp_path: Path) -> None:
    for words in ([], ["init"], ["add-source"], ["add-task"], ["list"], ["show"]):
        done = trainyard(tmp_path, "registry", *words, "--help", **{VARIABLE: ""})
        assert done.returncode == 0
        assert "Usage: trainyard registry" in done.stdout
