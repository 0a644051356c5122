"""A Study: the best trial, what lies in its directory, and what is refused."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.core.artifacts import base
from components.core.artifacts.study import Study, Trial, trial_table
from components.core.errors import InputError
from components.core.settings import read_file

SPACE = {"lr": {"low": 1e-4, "high": 1e-1, "log": True}, "epochs": {"low": 2, "high": 9}}
BASE = {"lr": 0.01, "epochs": 5, "optimizer": "sgd"}


def trial(number: int, value: float | None = None, **fields: Any) -> Trial:
    fields = {"state": "complete", "settings": {"lr": 0.1 / (number + 1), "epochs": 3}} | fields
    return Trial(number=number, value=value, **fields)


def study(trials: list[Trial], **fields: Any) -> Study:
    known: dict[str, Any] = {
        "name": "digits",
        "trainer": "train_video",
        "monitor": "val_macro_f1",
        "direction": "maximize",
        "search_space": SPACE,
        "settings": BASE,
        "seed": 3,
        "sampler": "tpe",
        "pruner": "median",
    }
    return Study.create(**known | fields, trials=trials)


@pytest.mark.parametrize(("direction", "best"), [("maximize", 3), ("minimize", 1)])
def test_the_best_trial_is_complete_feasible_and_the_first_of_equals(
    direction: str, best: int
) -> None:
    made = study(
        [
            trial(0, 0.5),
            trial(1, 0.2),
            trial(2, 0.2),
            trial(4, 0.9),
            trial(3, 0.9),
            trial(5, 5.0, feasible=False),
            trial(6, -5.0, feasible=False),
            trial(7, 7.0, state="pruned"),
            trial(8, -7.0, state="pruned"),
            trial(9, state="failed", error="out of memory"),
        ],
        direction=direction,
    )
    assert made.best == best
    assert made.best_trial is not None
    assert made.best_settings == {**BASE, **made.best_trial.settings}


def test_without_a_complete_trial_the_base_settings_pass_through(tmp_path: Path) -> None:
    for trials in ([], [trial(0, state="failed")], [trial(0, 0.4, state="pruned")]):
        made = study(trials)
        assert (made.best, made.best_trial, made.best_settings) == (-1, None, BASE)
        made.write(tmp_path)
        assert read_file(tmp_path / "best.json") == BASE
        assert len((tmp_path / "trials.csv").read_text().splitlines()) == 1 + len(trials)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    written = study(
        [
            trial(0, 0.5, metrics={"val_loss": 0.7}, intermediate={1: 0.25, 2: 0.5}, seconds=3.25),
            trial(1, state="failed", error='exit 1: "no", sir', worker=2),
            trial(2, 0.75, retry_of=1, settings={"lr": 1e-3, "epochs": 4}),
        ]
    )
    written.write(tmp_path)
    assert Study.load(tmp_path) == written
    assert base.fingerprint(tmp_path) == written.fingerprint
    best = read_file(tmp_path / "best.json")
    assert best == {"lr": 1e-3, "epochs": 4, "optimizer": "sgd"}
    rows = list(csv.DictReader(io.StringIO((tmp_path / "trials.csv").read_text())))
    assert [*rows[0]] == [
        *("number", "state", "value", "lr", "settings.epochs", "val_loss"),
        *("seconds", "epochs", "worker", "feasible", "retry_of", "error"),
    ]
    assert (rows[0]["epochs"], rows[0]["seconds"]) == ("2", "3.250")
    assert rows[0]["settings.epochs"] == "3"
    assert (rows[1]["value"], rows[1]["error"], rows[1]["worker"]) == ("", 'exit 1: "no", sir', "2")
    assert (float(rows[2]["lr"]), rows[2]["retry_of"]) == (1e-3, "1")


def test_every_searched_setting_has_its_column_even_before_a_trial() -> None:
    assert trial_table(study([])).startswith("number,state,value,lr,settings.epochs,seconds,")


def test_the_fingerprint_tells_results_apart_and_not_how_long_they_took() -> None:
    first = study([trial(0, 0.5, seconds=1, worker=0), trial(1, state="failed", error="a")])
    same = study([trial(0, 0.5, seconds=9, worker=1), trial(1, state="failed", error="b")])
    assert first.fingerprint == same.fingerprint
    others = [
        study([trial(0, 0.6), trial(1, state="failed")]),
        study([trial(0, 0.5)]),
        study([trial(0, 0.5), trial(1, state="failed")], settings={**BASE, "optimizer": "adam"}),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_figures_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    made = study([trial(0, 0.5, metrics={"a": nan, "b": 1.0}, intermediate={1: inf, 2: 0.5})])
    made.write(tmp_path)
    (read,) = Study.load(tmp_path).trials
    assert (read.metrics, read.intermediate) == ({"b": 1.0}, {2: 0.5})


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_complete_trial_has_a_finite_value(value: float | None) -> None:
    with pytest.raises(ValidationError):
        trial(0, value)


def test_a_damaged_study_is_an_input_error(tmp_path: Path) -> None:
    study([trial(0, 0.5)]).write(tmp_path)
    content = json.loads((tmp_path / "study.json").read_text())
    content["trials"][0]["state"] = "running"
    (tmp_path / "study.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"damaged index, trials\.0\.state"):
        Study.load(tmp_path)
