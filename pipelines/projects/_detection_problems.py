"""What is wrong with parameters of a detection pipeline beside one another, each sound for itself.

Told before anything runs.
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
    found = search_problems(train, values)
    found += build(CHECK.settings, own(CHECK, values)).problems()
    return found + _part_problems(values)


def _part_problems(values: Mapping[str, Any]) -> list[str]:
    """Parts that are needed later and certainly empty."""
    found = []
    own_val = values["strategy"] in ("every_tenth", "published")
    if not values["val_size"] and not own_val:
        found.append("val_size: 0 leaves nothing to choose the best epoch with; give some images")
    if values["part"] == "test" and values["strategy"] == "every_tenth":
        found.append("part: strategy every_tenth makes no test part; use part: val")
    own_test = values["folds"] or values["published_test"]
    if values["part"] == "test" and not values["test_size"] and not own_test:
        found.append("test_size: 0 leaves nothing to evaluate on; give some images, or part: val")
    return found
