"""Reads from the registry what a task wants, and records that a run works on it.

The registry is the database of TRAINYARD_POSTGRES_DSN (`trainyard registry --help`). What the task
says takes the place of the parameters of the same names. Without a task nothing is asked, and the
parameters say what is wanted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pydantic import Field

from components.core.artifacts.task import Task
from components.core.errors import TrainyardError
from components.core.events import Reporter
from components.core.settings import Settings
from components.core.stage import RUN_VARIABLE, Job, Stage

if TYPE_CHECKING:
    from components.core.registry import Registry


class ReadTaskSettings(Settings):
    """Settings of `read_task`."""

    task: str = Field(
        "",
        description="Name of a task in the registry (TRAINYARD_POSTGRES_DSN); '' for none: the "
        "parameters say what is wanted",
    )


def check(settings: ReadTaskSettings) -> list[TrainyardError]:
    """Whether the registry can be reached and has the task."""
    from components.core.registry import Registry

    if settings.task:
        try:
            with Registry() as registry:
                registry.task(settings.task)
        except TrainyardError as error:
            return [error]
    return []


def read_task(settings: ReadTaskSettings, job: Job) -> None:
    """Writes `wanted`; records the run as started.

    Raises:
        InputError: the registry has no such task.
        ServiceError: the registry cannot be used.
    """
    job.outputs["wanted"].mkdir()
    _asked(settings.task, job).save(job.outputs["wanted"])


def _asked(name: str, job: Job) -> Task:
    from components.core.registry import Registry

    if not name:
        job.report.message("no task: the parameters say what is wanted")
        return Task.create("", {})
    with Registry() as registry:
        task = registry.task(name)
        _start(registry, name, job.report)
    return Task.create(name, task.settings())


def _start(registry: Registry, task: str, report: Reporter) -> None:
    if run := os.environ.get(RUN_VARIABLE):
        registry.start_run(run, task)
        report.message(f"task {task!r}: run {run} is recorded as started")
    else:
        report.warn(f"task {task!r}: the run is not recorded, as {RUN_VARIABLE} does not name it")


STAGE = Stage(
    name="read_task",
    settings=ReadTaskSettings,
    function=read_task,
    outputs={"wanted": "what is wanted (Task)"},
    external=True,
    check=check,
    fresh=True,
)
