"""Plans: steps in order, parameters typed, every mistake found before anything runs."""

import pytest

from components.core.errors import SettingsError
from pipelines import catalog, plan


@pytest.fixture(scope="module")
def described() -> plan.Plan:
    return plan.read(catalog.load("action_recognition"))


def test_steps_come_in_an_order_that_respects_the_wiring(described: plan.Plan) -> None:
    order = [step.task for step in described.steps]
    for step in described.steps:
        assert all(order.index(earlier) < order.index(step.task) for earlier in step.after)
    assert order[0] == "dataset-sync"
    assert set(order[-2:]) & {"triton-publish", "evaluate-clips"}


def test_values_come_back_typed_and_complete(described: plan.Plan) -> None:
    values = described.resolve({"source": "/clips", "epochs": "7", "learning_rate": "1e-3"})
    assert values["epochs"] == 7
    assert isinstance(values["epochs"], int)
    assert values["learning_rate"] == 0.001
    assert set(values) == set(described.parameters)
    assert next(iter(values)) == "source"


def test_mistakes_of_all_stages_come_together(described: plan.Plan) -> None:
    with pytest.raises(SettingsError) as caught:
        described.resolve(
            {"epoch": 1, "val_size": 2000.5, "fold": 3, "epochs": [1], "class_rule": "x"}
        )
    text = str(caught.value)
    for expected in ("epoch: unknown", "source: required", "epochs: ", "fold: ", "class_rule: "):
        assert expected in text
    assert len(caught.value.problems) == len(set(caught.value.problems)) >= 5


def test_placeholders_of_kubeflow_are_refused(described: plan.Plan) -> None:
    with pytest.raises(SettingsError, match="placeholder"):
        described.resolve({"source": "/clips/{{$.x}}"})


def test_unknown_pipelines_get_a_hint() -> None:
    with pytest.raises(SettingsError, match="did you mean 'action_recognition'"):
        catalog.require("action_recogniton")
    assert catalog.require("action-recognition") == "action_recognition"
