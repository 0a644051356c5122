"""Searches settings of a trainer that generalise: Optuna, on the trainer's validation figures.

Each trial trains once in a process of its own; poor ones are given up early. Workers that are
started at the same time with other numbers share one study, and one that runs again continues it.
The best settings come out as a file that training takes as it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from components.core.errors import InputError, TrainyardError
from components.core.settings import RUNTIME, Settings
from components.core.stage import Job, Stage


class SweepSettings(Settings):
    """Settings of `hpo_sweep`."""

    trainer: str = Field("train_video", description="Stage that trains, by name")
    settings: str = Field(
        "",
        description="Settings of the trainer to start from: a mapping, or lines of name=value",
    )
    trial_settings: str = Field(
        "",
        description="Settings that trials have other than the final training, such as variants="
        "resnet18: a mapping, or name=value with lines or semicolons between them",
    )
    search_space: dict[str, Any] = Field(
        {},
        description="What is searched: {learning_rate: {low: 1e-4, high: 1e-1, log: true}, "
        "resblocks: {low: 1, high: 4}, optimizer: {choices: [adamw, sgd]}}; [low, high] is a "
        "range too, logarithmic for fractions above 0",
    )
    n_trials: int = Field(
        0, ge=0, description="Trials over all workers; 0 trains with the settings as they are"
    )
    sweep_minutes: float = Field(
        0.0, ge=0, description="No trial begins after so many minutes; 0 for no limit"
    )
    sampler: Literal["tpe", "gp", "random", "cmaes", "grid"] = Field(
        "tpe", description="What chooses the next trial: tpe, gp, random, cmaes or grid"
    )
    pruner: Literal["median", "hyperband", "none"] = Field(
        "median", description="What gives up poor trials by their epochs: median, hyperband or none"
    )
    monitor: str = Field(
        "",
        description="Validation figure to improve; '' for the one that chooses the trainer's best "
        "epoch",
    )
    direction: Literal["", "maximize", "minimize"] = Field(
        "", description="'' minimizes losses and errors, and maximizes other figures"
    )
    startup_trials: int = Field(
        8, ge=1, description="Trials at random before the sampler learns from them"
    )
    try_defaults: bool = Field(
        True, description="The first trial has the settings as they are, to compare with"
    )
    initial_trials: list[dict[str, Any]] = Field(
        [], description="Settings to try first, such as [{learning_rate: 0.01}]"
    )
    sweep_epochs: int = Field(
        0, ge=0, description="Epochs of each trial; 0 for as many as the final training has"
    )
    repeats: int = Field(
        1, ge=1, description="Trainings per trial with other seeds; their mean counts"
    )
    constraints: list[str] = Field(
        [], description="Bounds that the best trial has to keep, such as ['val_loss <= 0.7']"
    )
    study_name: str = Field(
        "", description="Of the study; '' makes one of what is searched, so that it is found again"
    )
    seed: int = Field(0, ge=0, description="Seed of everything that is random")
    worker: int = Field(0, ge=0, description="Number of this worker among those that share a study")
    heartbeat_seconds: int = Field(
        30,
        ge=1,
        description="With PostgreSQL: how often workers say that they are alive; after three times "
        "of silence another takes over the trial",
        json_schema_extra=RUNTIME,
    )

    @field_validator("settings", "trial_settings", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return json.dumps(value) if isinstance(value, Mapping) else value

    @field_validator("constraints")
    @classmethod
    def _bounds(cls, values: list[str]) -> list[str]:
        from components.hpo_sweep.bounds import problems

        if found := problems(values):
            raise ValueError("; ".join(found))
        return values


def check(settings: SweepSettings) -> list[TrainyardError]:
    """Problems with the trainer, its settings and the search space."""
    from components.hpo_sweep.plan import SweepPlan

    return [*sharing_problems(settings), *SweepPlan.of(settings)[1]]


def sharing_problems(settings: SweepSettings) -> list[TrainyardError]:
    """A worker of several, in a pod that shares nothing with the others."""
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ
    shared = os.environ.get("TRAINYARD_OPTUNA_STORAGE") or os.environ.get("TRAINYARD_STATE_DIR")
    if not (settings.worker and in_pod) or shared:
        return []
    return [
        InputError(
            f"worker: {settings.worker} shares no study with the others; mount a volume (--pvc "
            "CLAIM:/path), or give PostgreSQL as TRAINYARD_OPTUNA_STORAGE in the Secret "
            "trainyard-postgres"
        )
    ]


def hpo_sweep(settings: SweepSettings, job: Job) -> None:
    """Reads `data` and `split`, writes `study`.

    Raises:
        SettingsError: the study of this name searches something else.
        ServiceError: the storage cannot be used.
        StoppedError: a signal asked to stop; the trial goes on when the stage runs again.
        TrainyardError: every trial failed.
    """
    from components.hpo_sweep.searching import run

    run(settings, job)


STAGE = Stage(
    name="hpo_sweep",
    settings=SweepSettings,
    function=hpo_sweep,
    inputs={
        "data": "data set that the trainer reads",
        "split": "Split that says what trains and what validates",
    },
    outputs={"study": "Study with every trial, the best settings and a report"},
    external=True,
    idle=lambda settings: not settings.n_trials,
    check=check,
)
