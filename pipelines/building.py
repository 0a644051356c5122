"""How a pipeline is built: placements, storage and notification, applied while its DAG is drawn.

A project draws its DAG once, with `step`. What the steps ask of a cluster is not its business: it
comes from the options in force, so that one definition compiles for any cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

from kfp import dsl

from pipelines import catalog
from pipelines.placement import PLACEMENTS, Placement, place

Storage = Literal["artifact", "volume"]


@dataclass(frozen=True)
class BuildOptions:
    """What a compiled pipeline is made with, besides the DAG."""

    placements: Mapping[str, Placement] = field(default_factory=lambda: dict(PLACEMENTS))
    """By stage."""
    storage: Storage = "artifact"
    """artifact: outputs pass whole through the artifact store; volume: they stay on a volume that
    every step mounts, and artifacts say only where."""
    state_dir: str = ""
    """Where stages keep their work, on a volume; '' for the pod's own disk, lost with it."""
    notify: str = ""
    """Secret with TRAINYARD_WEBHOOK_URL, told when a run ends; '' for nobody."""


_OPTIONS: ContextVar[BuildOptions | None] = ContextVar("build options", default=None)


def current() -> BuildOptions:
    """The options in force while a DAG is drawn."""
    return _OPTIONS.get() or BuildOptions()


@contextmanager
def using(options: BuildOptions) -> Iterator[None]:
    """DAGs that are drawn meanwhile have these options."""
    token = _OPTIONS.set(options)
    try:
        yield
    finally:
        _OPTIONS.reset(token)


def build(name: str, options: BuildOptions) -> Any:
    """The pipeline (a kfp GraphComponent), drawn anew with the given options.

    Raises:
        SettingsError: there is no such pipeline.
    """
    drawn = catalog.load(name)
    info = drawn.pipeline_spec.pipeline_info
    with using(options):
        return dsl.pipeline(name=info.name, display_name=info.display_name)(drawn.pipeline_func)


def step(stage: str, task: Any, chosen: Mapping[str, Any]) -> Any:
    """Places a task of a stage as the options in force say; returns the task.

    Args:
        stage: name of the stage.
        task: the KFP task made from its component.
        chosen: the pipeline's parameters named in GPU_PARAMETERS.
    """
    return place(task, current().placements[stage], chosen)
