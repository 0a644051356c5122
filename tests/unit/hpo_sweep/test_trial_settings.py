"""What trials have other than the final training."""

import os
from pathlib import Path
from typing import Any

import pytest

from components.core.settings import build
from components.hpo_sweep.plan import SweepPlan
from components.hpo_sweep.stage import SweepSettings

TESTS = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{TESTS}{os.pathsep}{TESTS.parent}")


def planned(**given: Any) -> tuple[SweepPlan | None, str]:
    start = {
        "trainer": "toy_trainers.valley",
        "search_space": {"rate": {"low": 1e-4, "high": 1, "log": True}},
        "n_trials": 2,
        "settings": "epochs=9\nshape=square",
    }
    plan, problems = SweepPlan.of(build(SweepSettings, {**start, **given}))
    return plan, "\n".join(str(problem) for problem in problems)


def test_trials_have_them_and_the_final_training_does_not() -> None:
    for given in (
        "shape=round; epochs=3",
        "shape=round\nepochs=3",
        {"shape": "round", "epochs": 3},
    ):
        plan, problems = planned(trial_settings=given)
        assert plan is not None, problems
        made = plan.training({"rate": 0.5}, 0)
        assert (made["shape"], made["epochs"], made["rate"]) == ("round", 3, 0.5)
        assert plan.epochs == 3  # what the pruner goes by
        assert plan.base["shape"] == "square"
        assert plan.base["epochs"] == 9


def test_the_study_is_another_with_them_only() -> None:
    without, _ = planned()
    same, _ = planned(trial_settings="  ")
    other, _ = planned(trial_settings="shape=round")
    assert without is not None
    assert same is not None
    assert other is not None
    assert without.definition == same.definition != other.definition
    assert "trial_settings" not in without.definition


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trial_settings": "shap=round"}, "trial_settings.shap: the trainer has no such setting"),
        ({"trial_settings": "rate=0.1"}, "trial_settings.rate: it is searched as well"),
        ({"trial_settings": "seed=3"}, "trial_settings.seed: it is what trials are compared by"),
        ({"trial_settings": "epochs=3", "sweep_epochs": 2}, "trial_settings.epochs: sweep_epochs"),
        ({"trial_settings": "shape=oval"}, "trial_settings: shape:"),
        ({"trial_settings": "{"}, "trial_settings: no JSON mapping"),
        ({"trial_settings": "round"}, "'round' is not of the form key=value"),
    ],
)
def test_problems_are_told(given: dict[str, Any], said: str) -> None:
    plan, problems = planned(**given)
    assert plan is None
    assert said in problems
