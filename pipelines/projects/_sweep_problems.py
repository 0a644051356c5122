"""What is wrong with a search beside the settings of its trainer, told before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.core.stage import Stage
from components.hpo_sweep.plan import SweepPlan
from components.hpo_sweep.stage import STAGE as SWEEP

SWEEP_FIXED = ("trainer", "settings", "worker")
"""Settings of the search that the DAG gives it."""


def own(stage: Stage[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a stage among the values of all parameters."""
    return {name: values[name] for name in stage.settings.model_fields}


def search_problems(train: Stage[Any], values: Mapping[str, Any]) -> list[str]:
    """What the trainer says of the search; without one there is nothing to ask."""
    if not (values["n_trials"] or values["search_space"]):
        return []
    fields = [field for field in SWEEP.settings.model_fields if field not in SWEEP_FIXED]
    asked = {field: values[field] for field in fields}
    sweep = SWEEP.settings(**asked, trainer=train.name, settings=own(train, values))
    wrong = SweepPlan.of(sweep)[1]
    return [text for error in wrong for text in getattr(error, "problems", [str(error)])]
