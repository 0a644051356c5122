"""What is wrong with parameters of a clip pipeline beside one another, each sound for its stage.

Told before anything runs. What a task of the registry may say is left to the stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.check_changes.stage import STAGE as CHECK
from components.core.settings import build
from components.core.stage import Stage
from pipelines.projects._sweep_problems import own, search_problems


def problems(train: Stage[Any], values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the settings of the stages, each sound for itself, beside one another."""
    found = [*_size_problems(train, values), *search_problems(train, values)]
    found += _frame_problems(values)
    if not values.get("task"):  # which may say these things
        found += build(CHECK.settings, own(CHECK, values)).problems()
        found += _part_problems(values)
    return found


def _part_problems(values: Mapping[str, Any]) -> list[str]:
    """Parts and classes that are needed later and certainly empty."""
    found = []
    if not values["val_size"]:
        found.append("val_size: 0 leaves nothing to choose the best epoch with; give some clips")
    own_test = values["layout"] == "tinyvirat" and values["published_test"]
    if values["part"] == "test" and not (values["test_size"] or values["folds"] or own_test):
        found.append("test_size: 0 leaves nothing to evaluate on; give some clips, or part: val")
    classes = {*values["classes"], *filter(None, [values["other_class"]])}
    if values["classes"] and len(classes) < 2 and not values.get("multi_label"):
        found.append(
            f"classes: {', '.join(classes)} alone is nothing to tell apart; name two, or set "
            "other_class"
        )
    return found


def _frame_problems(values: Mapping[str, Any]) -> list[str]:
    """A network that sees more frames than are stored of any clip."""
    span = (values["clip_frames"] - 1) * values["clip_stride"] + 1
    if values["sampling"] != "uniform" or span <= values["sample_frames"]:
        return []
    return [
        f"clip_frames: {values['clip_frames']} with clip_stride {values['clip_stride']} span "
        f"{span} stored frames, but of each clip {values['sample_frames']} will be stored "
        "(sample_frames); use fewer, or store more"
    ]


def _size_problems(train: Stage[Any], values: Mapping[str, Any]) -> list[str]:
    frame_size, input_size = int(values["frame_size"]), int(values["input_size"])
    stored = frame_size + int(values["crop_margin"])
    if input_size > stored:
        return [
            f"input_size: {input_size} is larger than the frames that will be stored ({stored} "
            f"pixels); use at most {stored}, or a larger frame_size"
        ]
    training = build(train.settings, own(train, values))
    found = training.size_problems(input_size or frame_size)
    return [text if input_size else text.replace("input_size:", "frame_size:") for text in found]
