"""Prunes the detector of a TAO experiment with NVIDIA's programs and retrains it.

Retraining takes the specification `retrain`, or that of the training with the pruned network in it;
the user's files stay as they are. It goes on where it was stopped.
"""

from __future__ import annotations

from pydantic import Field

from components.core.errors import TrainyardError
from components.core.settings import PLACE, RUNTIME, Settings
from components.core.stage import Job, Stage
from components.core.tao import task


class PruneSettings(Settings):
    """Settings of `tao_prune`."""

    project: str = Field(description=task.PROJECT, json_schema_extra=PLACE)
    experiment: str = Field(description=task.EXPERIMENT)
    release: str = Field("", description=task.RELEASE)
    prune_threshold: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Share of a layer's largest norm below which filters are taken out; more "
        "makes the network smaller, 0 hands it on as it is",
    )
    processes: int = Field(0, ge=0, description=task.GPUS, json_schema_extra=RUNTIME)
    amp: bool = Field(False, description=task.AMP)


def check(settings: PruneSettings) -> list[TrainyardError]:
    """Everything wrong with the project and its specifications."""
    if not settings.prune_threshold:
        return []
    from components.tao_prune.pruning import problems

    return problems(settings)


def idle(settings: PruneSettings) -> bool:
    """Whether the network is only handed on."""
    return not settings.prune_threshold


def prune(settings: PruneSettings, job: Job) -> None:
    """Reads `model` and `records`, writes `pruned`.

    Raises:
        SettingsError: the project or its specifications cannot be used, or GPUs are missing.
        InputError: model or records are those of another experiment.
        TrainyardError: one of NVIDIA's programs failed.
        StoppedError: a signal asked to stop; what is done so far is kept.
    """
    from components.tao_prune.pruning import run

    run(settings, job)


STAGE = Stage(
    name="tao_prune",
    settings=PruneSettings,
    function=prune,
    inputs={
        "model": "the trained detector (ModelBundle of tao_train)",
        "records": "what the head trains on (TaoData)",
    },
    outputs={"pruned": "the pruned and retrained detector (ModelBundle)"},
    external=True,
    idle=idle,
    check=check,
)
