"""Plans: steps in order, parameters typed, every mistake found before anything runs."""

import pytest
from kfp import dsl

from components.check_changes.component import check_changes
from components.core.errors import SettingsError
from components.dataset_sync.component import dataset_sync
from components.split_clips.component import split_clips
from pipelines import catalog, plan, plan_tasks
from pipelines.notification import notification


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


def test_steps_below_conditions_are_wired_to_the_pipeline_itself(described: plan.Plan) -> None:
    steps = {step.task: step for step in described.steps}
    changed = plan_tasks.Condition("check-changes", "Output", "yes")
    for task, step in steps.items():
        always = task in ("dataset-sync", "check-changes")
        assert step.conditions == (() if always else (changed,)), task
        assert set(step.after) <= set(steps), "groups are no steps"
        assert set(step.parameters) == set(step.stage.settings.model_fields)
        assert always or {"check-changes", "dataset-sync"} <= set(step.after)
    assert steps["split-clips"].artifacts == {"clips": ("dataset-sync", "clips")}
    assert steps["train-video"].artifacts["split"] == ("split-clips", "split")


def test_groups_in_groups_are_read_too() -> None:
    @dsl.pipeline(name="nested")
    def nested(source: str, size: float = 2.0, repository: str = "") -> None:
        with dsl.ExitHandler(notification("nested", "hook")):
            clips = dataset_sync(source=source).outputs["clips"]
            first = check_changes(clips=clips, repository=repository)
            with dsl.If(first.outputs["Output"] == "yes"):
                second = check_changes(clips=clips, model_name="two")
                with dsl.If(second.outputs["Output"] == "no"):
                    split_clips(clips=clips, test_size=size, val_size=3.0)

    sync, first, second, split = plan.read(nested).steps
    conditions = [
        plan_tasks.Condition("check-changes", "Output", "yes"),
        plan_tasks.Condition("check-changes-2", "Output", "no"),
    ]
    assert [s.task for s in (sync, first, second)] == [
        "dataset-sync",
        "check-changes",
        "check-changes-2",
    ]
    assert sync.conditions == first.conditions == ()
    assert [list(second.conditions), list(split.conditions)] == [conditions[:1], conditions]
    assert sync.parameters == {"source": "source"}
    assert first.parameters == {"repository": "repository"}
    assert second.constants == {"model_name": "two"}
    assert split.parameters == {"test_size": "size"}
    assert split.constants == {"val_size": 3.0}
    assert split.artifacts == {"clips": ("dataset-sync", "clips")}
    assert set(split.after) == {"dataset-sync", "check-changes", "check-changes-2"}


def test_groups_that_cannot_be_planned_are_named() -> None:
    @dsl.pipeline(name="loop")
    def loop(source: str) -> None:
        with dsl.ParallelFor([1, 2]) as size:
            split_clips(clips=dataset_sync(source=source).outputs["clips"], folds=size)

    @dsl.pipeline(name="other")
    def other(source: str) -> None:
        with dsl.If(source != "none"):
            dataset_sync(source=source)

    with pytest.raises(ValueError, match=r"for-loop-\d: cannot read a pipeline with param"):
        plan.read(loop)
    with pytest.raises(ValueError, match=r"condition-\d: cannot read the condition"):
        plan.read(other)
