"""Plans: steps in order, parameters typed, every mistake found before anything runs."""

import pytest
from kfp import dsl

from components.check_changes.component import check_changes
from components.core.command_line import text_fields
from components.core.errors import SettingsError
from components.core.settings import build, parse_assignments
from components.dataset_sync.component import dataset_sync
from components.split_clips.component import split_clips
from components.train_video.stage import TrainSettings
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
        filled = {*step.parameters, *step.constants, *step.texts, *step.items}
        assert filled == set(step.stage.settings.model_fields)
        assert always or {"check-changes", "dataset-sync"} <= set(step.after)
    assert steps["split-clips"].artifacts == {"clips": ("dataset-sync", "clips")}
    assert steps["train-video"].artifacts["split"] == ("split-clips", "split")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"network": "stn_resizer_2d", "frame_size": 30}, "frame_size: 30 pixels cannot be halved"),
        ({"network": "stn_resizer_3d", "input_size": 30}, "input_size: 30 pixels cannot be halved"),
        ({"frame_size": 56, "input_size": 73}, "input_size: 73 is larger than the frames that wil"),
        (
            {"network": "transformer_resizer", "read_at": 4, "target_size": 113},
            "target_size: 113 pixels cannot be halved twice",
        ),
        ({"frame_size": 8}, "clip_frames, frame_size: 8x8 pixels, but at least 16x16 are needed"),
        ({"network": "trilinear", "target_size": 16, "frame_size": 1}, ""),
        ({"frame_size": 56, "input_size": 72}, ""),  # the crop margin is stored too
    ],
)
def test_sizes_that_cannot_work_are_found_before_anything_runs(
    given: dict[str, object], text: str, described: plan.Plan
) -> None:
    found = described.problems({"source": "/clips", **given})
    assert found == [] if not text else (len(found) == 1 and text in found[0]), found


def test_groups_in_groups_are_read_too() -> None:
    @dsl.pipeline(name="nested")
    def nested(source: str, size: float = 2.0, repository: str = "") -> None:
        with dsl.ExitHandler(notification("nested", "hook")):
            clips = dataset_sync(source=source).outputs["clips"]
            first = check_changes(dataset=clips, repository=repository)
            with dsl.If(first.outputs["Output"] == "yes"):
                second = check_changes(dataset=clips, model_name="two")
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


def test_a_search_goes_before_the_training_and_has_its_settings(described: plan.Plan) -> None:
    steps = {step.task: step for step in described.steps}
    assert steps["train-video"].artifacts["study"] == ("hpo-sweep", "study")
    alone, joined = steps["hpo-sweep"], steps["hpo-sweep-2"]
    assert alone.constants == {"trainer": "train_video", "worker": 0}
    assert joined.items == {"worker": "more_workers"}
    assert joined.artifacts == alone.artifacts
    assert joined.texts == alone.texts
    given = {"source": "/clips", "epochs": 7, "learning_rate": 1e-5, "flip": True, "multi_label": 1}
    given |= {"flip_pairs": "left=right, up=down", "milestones": [2, 3.5], "freeze": ""}
    values = described.resolve({**given, "schedule": "multistep", "flip_pairs": "left=right"})
    text = described.settings(alone, values).settings  # type: ignore[attr-defined]
    read = parse_assignments(text.splitlines(), text_fields(TrainSettings))
    expected = {name: values[name] for name in TrainSettings.model_fields}
    assert build(TrainSettings, read).model_dump() == expected


def test_a_step_of_a_loop_stands_once_for_each_item(described: plan.Plan) -> None:
    names = {step.task for step in described.steps}
    assert {s.task for s in described.unrolled({}).steps} == names - {"hpo-sweep-2"}
    unrolled = described.unrolled({"more_workers": [1, 4]})
    added = [step for step in unrolled.steps if step.task not in names]
    assert [(s.task, s.constants["worker"], s.items) for s in added] == [
        ("hpo-sweep-2-1", 1, {}),
        ("hpo-sweep-2-4", 4, {}),
    ]
    with pytest.raises(SettingsError, match="more_workers: "):
        described.unrolled({"more_workers": 3}).resolve({"source": "/clips", "more_workers": 3})


@pytest.mark.parametrize("numbers", [[0, 1], [1, 1], [1000], ["a"]])
def test_numbers_of_workers_are_different_ones_from_1(
    numbers: list[object], described: plan.Plan
) -> None:
    with pytest.raises(SettingsError, match="more_workers"):
        described.resolve({"source": "/clips", "more_workers": numbers})


@pytest.mark.parametrize("value", ['a"b', "a\\b", "a\nb"])
def test_values_that_would_break_a_text_are_refused(value: str, described: plan.Plan) -> None:
    with pytest.raises(SettingsError, match=r"pretrained: the value .* Kubeflow cannot hand on"):
        described.resolve({"source": "/clips", "pretrained": value})
    assert described.resolve({"source": f"/{value}"})["source"] == f"/{value}"


def test_items_of_the_wrong_type_are_told_as_such_alone() -> None:
    found = plan.read(catalog.load("weed_detection")).problems(
        {"annotations": "/boxes", "anchor_sizes": [16, "a"]}
    )
    assert found == [
        "anchor_sizes.1: Input should be a valid number, unable to parse string as a number "
        "(got 'a')"
    ]


def test_networks_and_other_settings_of_a_detection_are_told_together() -> None:
    given: dict[str, object] = {"variants": "resnet19", "channels": 33, "min_size": -1}
    given |= {"part": "tset", "iou": 2, "score_thresholds": "raccoon=3", "overlap_iou": 5}
    given |= {"anchor_sizes": [16, 32]}
    found = plan.read(catalog.load("weed_detection")).problems({"annotations": "/boxes", **given})
    assert {text.split(":")[0] for text in found} == set(given)
    assert len(found) == len(given)


@pytest.mark.parametrize("name", catalog.names())
def test_settings_in_texts_are_no_lists_of_texts(name: str) -> None:
    """Kubeflow puts their values into JSON as they are: quotation marks would end it."""
    found = plan.read(catalog.load(name))
    searches = [step for step in found.steps if step.stage.name == "hpo_sweep"]
    trainers = {step.constants["trainer"] for step in searches if step.texts}
    assert bool(trainers) == bool(searches)
    for trainer in trainers:
        schema = plan.load_stage(trainer).settings.model_json_schema()["properties"]
        for setting, field in schema.items():
            assert field["type"] in ("string", "integer", "number", "boolean", "array"), setting
            assert field.get("items", {}).get("type") != "string", setting


def test_groups_that_cannot_be_planned_are_named() -> None:
    @dsl.pipeline(name="loop")
    def loop(source: str) -> None:
        with dsl.ParallelFor([1, 2]) as size:
            split_clips(clips=dataset_sync(source=source).outputs["clips"], folds=size)

    @dsl.pipeline(name="other")
    def other(source: str) -> None:
        with dsl.If(source != "none"):
            dataset_sync(source=source)

    with pytest.raises(ValueError, match=r"for-loop-\d: cannot read a loop over anything but"):
        plan.read(loop)
    with pytest.raises(ValueError, match=r"condition-\d: cannot read the condition"):
        plan.read(other)
