"""Sources, classes, tasks and runs in a real PostgreSQL."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from postgres_server import execute
from registered import SOURCES, fill, meals

from components.core.errors import InputError, ProblemsError, SettingsError
from components.core.registry import VARIABLE, RegisteredTask, Registry


@pytest.fixture
def registry(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry that holds the task `meals`."""
    monkeypatch.setenv(VARIABLE, database)
    fill()
    with Registry() as registry:
        yield registry


def refusal(registry: Registry, task: RegisteredTask, replace: bool = False) -> str:
    with pytest.raises(SettingsError) as caught:
        registry.add_task(task, replace)
    return str(caught.value)


def test_what_was_added_is_there(registry: Registry) -> None:
    assert registry.sources() == sorted(SOURCES)
    assert registry.classes() == ["drinking", "eating"]
    assert registry.tasks() == [meals()]
    assert registry.task("meals") == meals()
    assert registry.task("meals").settings() == {
        "sources": ["kitchen", "canteen"],
        "classes": ["eating", "drinking"],
        "other_class": "Other",
        "train_size": 20,
        "val_size": 5,
        "test_size": 0.25,
        "model_name": "meal_model",
    }
    assert meals(other=False).settings()["other_class"] == ""


def test_a_source_that_is_there_stays_as_it_is(registry: Registry) -> None:
    assert registry.add_source("kitchen", "terrace", "terrace") == ["terrace"]
    assert registry.sources() == ["canteen", "kitchen", "terrace"]


def test_sources_that_cannot_be_are_told_together_and_none_is_added(registry: Registry) -> None:
    with pytest.raises(SettingsError) as caught:
        registry.add_source("terrace", "Kitchen", "a/b", " x", "", ".hidden", "a\0b", "x" * 201)
    assert len(caught.value.problems) == 7
    assert "source 'Kitchen' is known as 'kitchen'" in str(caught.value)
    assert "source 'a/b': accepted are names of folders" in str(caught.value)
    assert registry.sources() == sorted(SOURCES)


def test_the_same_task_once_more_changes_nothing(registry: Registry) -> None:
    assert registry.add_task(meals()) == "unchanged"
    assert registry.add_task(meals(), replace=True) == "unchanged"


def test_another_task_of_the_name_takes_its_place_only_where_that_is_said(
    registry: Registry,
) -> None:
    registry.start_run("first", "meals")
    other = meals(classes=("pouring", "eating"), sources=("canteen",), train=0.5, other=False)
    said = refusal(registry, other)
    assert "classes ['eating', 'drinking'] → ['pouring', 'eating']" in said
    assert "train_size 20 → 0.5" in said
    assert "give --replace" in said
    assert registry.task("meals") == meals()
    assert registry.add_task(other, replace=True) == "replaced"
    assert registry.task("meals") == other
    assert registry.classes() == ["eating", "pouring"], "no task has the other any more"
    assert registry.add_task(meals(classes=("Pouring", "eating")), replace=True) == "replaced"
    assert registry.classes() == ["eating", "Pouring"]
    assert [run.key for run in registry.runs("meals")] == ["first"]


def test_the_order_of_classes_is_part_of_a_task(registry: Registry) -> None:
    assert "classes" in refusal(registry, meals(classes=("drinking", "eating")))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": ""}, "task ''"),
        ({"name": " lunch"}, "task ' lunch': accepted are names"),
        ({"name": "Meals"}, "task 'Meals' is known as 'meals'"),
        ({"model_name": "a b"}, "model_name: got 'a b'"),
        ({"classes": ()}, "no class is named"),
        ({"classes": ("eating",), "other": False}, "1 class is nothing to tell apart"),
        ({"classes": ("eating", "Eating")}, "class named twice: 'Eating'"),
        ({"classes": ("eating", "other")}, "class 'Other' is that of every other folder"),
        ({"classes": ("Eating", "pouring")}, "class 'Eating' is known as 'eating'"),
        ({"classes": ("a/b", "pouring")}, "class 'a/b': accepted are names of folders"),
        ({"sources": ()}, "no source is named"),
        ({"sources": ("kitchen", "kitchen")}, "source named twice: 'kitchen'"),
        ({"sources": ("kitchn",)}, "'kitchn' is not known; did you mean 'kitchen'?"),
        ({"sources": ("Kitchen",)}, "'Kitchen' is not known; did you mean 'kitchen'?"),
        ({"sources": ("b c",)}, "(a new one: `trainyard registry add-source 'b c'`)"),
        ({"train": 1.5}, "train: got 1.5, accepted are clips per class as a whole number"),
        ({"validation": -1}, "validation: got -1"),
        ({"test": math.nan}, "test: got nan"),
        ({"test": math.inf}, "test: got inf"),
        ({"train": 0.7, "validation": 0.2, "test": 0.2}, "fractions add up to 1.1, over 1"),
        ({"validation": 0.5, "test": 0.5, "train": 0}, "leaves nothing to train on"),
    ],
)
def test_a_task_that_cannot_be_is_refused(
    changes: dict[str, Any], text: str, registry: Registry
) -> None:
    assert text in refusal(registry, meals(**{"name": "lunch", **changes}))
    assert registry.tasks() == [meals()]
    assert registry.classes() == ["drinking", "eating"]


def test_everything_wrong_with_a_task_is_told_at_once(registry: Registry) -> None:
    task = meals(name="lunch", sources=("kitchn", "cantine"), train=1.5, classes=("Eating",))
    with pytest.raises(SettingsError) as caught:
        registry.add_task(task)
    assert len(caught.value.problems) == 4


def test_parts_that_would_be_empty_are_refused(registry: Registry) -> None:
    said = refusal(registry, meals(name="lunch", validation=0, test=0))
    assert "validation: 0 leaves nothing to choose the best epoch with" in said
    assert "test: 0 leaves nothing to evaluate on" in said


@pytest.mark.parametrize(
    ("train", "validation", "test"), [(1, 1, 1), (0, 0.2, 0.2), (0.8, 0.1, 0.1), (100, 0.5, 1)]
)
def test_sizes_that_can_be(
    train: float, validation: float, test: float, registry: Registry
) -> None:
    task = meals(name="lunch", train=train, validation=validation, test=test)
    assert registry.add_task(task) == "added"
    assert registry.task("lunch") == task


def test_names_are_texts_and_never_sql(registry: Registry) -> None:
    odd = "it's 100%; DROP TABLE x --"
    registry.add_source(odd)
    registry.add_task(meals(name=odd, classes=(odd, "çay içmek"), sources=(odd,)))
    assert registry.task(odd).classes == (odd, "çay içmek")
    registry.start_run(odd, odd)
    assert registry.fail_run(odd, "train", odd)
    (run,) = registry.runs(odd)
    assert (run.key, run.reason) == (odd, odd)


def test_an_unknown_task_is_told_with_the_closest(registry: Registry) -> None:
    for call in (registry.task, lambda name: registry.start_run("k", name)):
        with pytest.raises(InputError, match=r"task 'MEALS' .* did you mean 'meals'\?"):
            call("MEALS")
        with pytest.raises(InputError, match="known are 'meals'"):
            call("zebra")
    assert registry.runs() == []


def test_a_run_from_its_start_to_its_end(registry: Registry) -> None:
    registry.start_run("one", "meals")
    (run,) = registry.runs("meals")
    assert (run.status, run.ended, run.task) == ("started", None, "meals")
    figures = {"macro_f1": 0.75, "accuracy": 1.0, "undefined": math.nan}
    registry.finish_run("one", "meal_model", 3, "s3://models/x", figures)
    run = registry.run("one")  # type: ignore[assignment]
    assert (run.status, run.model, run.version, run.location) == (
        "finished", "meal_model", 3, "s3://models/x",
    )  # fmt: skip
    assert run.metrics == {"macro_f1": 0.75, "accuracy": 1.0}
    assert run.ended is not None
    assert run.ended >= run.started


def test_a_run_that_failed_can_start_again_and_end_well(registry: Registry) -> None:
    registry.start_run("one", "meals")
    began = registry.runs()[0].started
    assert registry.fail_run("one", "train_video", "no space left")
    (run,) = registry.runs()
    assert (run.status, run.stage, run.reason) == ("failed", "train_video", "no space left")
    registry.start_run("one", "meals")
    (run,) = registry.runs()
    assert (run.status, run.stage, run.reason, run.ended) == ("started", "", "", None)
    assert run.started == began
    assert registry.fail_run("one", "evaluate_clips", "again")
    registry.finish_run("one", "meal_model", 1, "/models", {})
    (run,) = registry.runs()
    assert (run.status, run.stage, run.reason) == ("finished", "", "")


def test_what_is_finished_stays_finished(registry: Registry) -> None:
    registry.start_run("one", "meals")
    registry.finish_run("one", "meal_model", 1, "/models", {"macro_f1": 0.5})
    before = registry.run("one")
    assert not registry.fail_run("one", "triton_publish", "too late")
    registry.start_run("one", "meals")
    assert registry.run("one") == before
    registry.finish_run("one", "meal_model", 2, "/models", {})
    after = registry.run("one")
    assert after is not None
    assert (after.version, after.metrics) == (2, {})


def test_being_stopped_does_not_hide_the_failure_behind_it(registry: Registry) -> None:
    registry.start_run("one", "meals")
    assert registry.fail_run("one", "train_video", "broken")
    assert not registry.fail_run("one", "hpo_sweep", "stopped by SIGTERM", stopped=True)
    assert registry.runs()[0].reason == "broken"
    registry.start_run("two", "meals")
    assert registry.fail_run("two", "hpo_sweep", "stopped by SIGTERM", stopped=True)


def test_runs_that_nobody_recorded(registry: Registry) -> None:
    assert not registry.fail_run("none", "train_video", "broken")
    assert registry.run("none") is None
    with pytest.raises(InputError, match="run 'none' is not recorded"):
        registry.finish_run("none", "m", 1, "/models", {})


def test_a_run_belongs_to_one_task(registry: Registry) -> None:
    registry.add_task(meals(name="lunch"))
    registry.start_run("one", "meals")
    with pytest.raises(InputError, match="recorded for the task 'meals', not 'lunch'"):
        registry.start_run("one", "lunch")
    registry.start_run("two", "lunch")
    assert [run.key for run in registry.runs()] == ["two", "one"]
    assert [run.key for run in registry.runs("lunch")] == ["two"]


def test_a_database_that_fails_does_not_hide_what_else_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "postgresql://me:hunter2@127.0.0.1:1/x")
    with pytest.raises(ProblemsError) as caught, Registry() as registry:
        registry.add_task(meals(train=1.5))
    assert "train: got 1.5" in str(caught.value)
    assert "no PostgreSQL answers at 127.0.0.1:1" in str(caught.value)
    with pytest.raises(ProblemsError, match=r"2 problems in the sources"), Registry() as registry:
        registry.add_source("a/b")


def test_others_may_share_the_database(registry: Registry, database: str) -> None:
    execute(database, "CREATE TABLE runs (mine text)")
    registry.start_run("one", "meals")
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    assert execute(database, tables) == [("runs",)]
    assert execute(database, "SELECT count(*) FROM runs") == [(0,)]
