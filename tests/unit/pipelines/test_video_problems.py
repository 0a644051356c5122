"""Values that are sound for each stage, and cannot work beside one another."""

from typing import Any

import pytest

from components.core.errors import SettingsError
from pipelines import catalog, plan

VIDEO = {"source": "clips"}


def refused(name: str, **values: Any) -> str:
    with pytest.raises(SettingsError) as told:
        plan.read(catalog.load(name)).resolve({**VIDEO, **values})
    return str(told.value)


@pytest.mark.parametrize("name", ["action_recognition", "video_classification"])
def test_parts_that_would_be_empty_and_frames_that_are_not_stored(name: str) -> None:
    said = refused(name, val_size=0, test_size=0, clip_frames=60)
    assert "val_size: 0 leaves nothing to choose the best epoch with" in said
    assert "test_size: 0 leaves nothing to evaluate on; give some clips, or part: val" in said
    assert "clip_frames: 60 with clip_stride 1 span 60 stored frames" in said


def test_one_class_alone_and_a_class_that_no_folder_can_have() -> None:
    said = refused("video_classification", classes=["up"])
    assert "classes: up alone is nothing to tell apart" in said
    said = refused("video_classification", classes=["walk_y", "down"])
    assert "classes: walk_y: with class_rule first_underscore no class has an underscore" in said


def test_sizes_are_whole_numbers_or_fractions_and_numbers_finite() -> None:
    said = refused("video_classification", train_size=1.5, learning_rate=float("inf"))
    assert "train_size: got 1.5, accepted are a fraction below 1 and whole numbers" in said
    assert "learning_rate: " in said
    assert "finite number" in said


def test_what_a_task_may_say_is_left_to_it() -> None:
    values = {**VIDEO, "task": "meals", "test_size": 0, "only_if_changed": True}
    described = plan.read(catalog.load("video_classification"))
    assert described.resolve(values)["task"] == "meals"
    assert "set model_name too" in refused("video_classification", only_if_changed=True)
