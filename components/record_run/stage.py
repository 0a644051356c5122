"""Records in the registry what a run has published, and sums the run up for people.

The registry is the database of TRAINYARD_POSTGRES_DSN, where `read_task` recorded the run as
started. Without a task nothing is asked, and the summary is all.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from components.core import files
from components.core.artifacts.evaluation import Evaluation
from components.core.artifacts.publication import Publication
from components.core.settings import Settings
from components.core.stage import RUN_VARIABLE, Job, Stage

UNNAMED = "(without an id)"


class RecordSettings(Settings):
    """Settings of `record_run`."""

    task: str = Field(
        "",
        description="Name of a task in the registry (TRAINYARD_POSTGRES_DSN); '' for none: "
        "nothing is recorded",
    )


def record_run(settings: RecordSettings, job: Job) -> None:
    """Reads `published` and `evaluation`; writes `record` and the registry.

    Raises:
        InputError: an input is no such artifact, or the run is recorded for another task.
        ServiceError: the registry cannot be used.
    """
    published = Publication.load(job.inputs["published"])
    evaluation = Evaluation.load(job.inputs["evaluation"])
    location = _location(published.repository, job.inputs["published"])
    run = os.environ.get(RUN_VARIABLE, "")
    done = _record(settings.task, run, published, location, evaluation)
    job.report.message(done)
    text = summary(settings.task, run, published, location, evaluation, done)
    files.write_text(job.outputs["record"], text)


def summary(
    task: str, run: str, published: Publication, location: str, evaluation: Evaluation, done: str
) -> str:
    """The run in a few lines of Markdown.

    Args:
        task: its name in the registry; '' for none.
        run: its id; '' where it has none.
        published: where the model is.
        location: of the model repository.
        evaluation: of the model.
        done: what became of the record.
    """
    facts = {
        "task": task or "none",
        "run": run or UNNAMED,
        "model": published.model,
        "version": f"{published.version}{' (it was there already)' if published.reused else ''}",
        "repository": location,
        "evaluated on": f"{evaluation.clips} clips ({evaluation.part})",
    }
    lines = [
        f"# {published.model}, version {published.version}",
        "",
        f"{done[0].upper()}{done[1:]}.",
        "",
    ]
    lines += _table("", "", {name: _cell(value) for name, value in facts.items()})
    figures = {_cell(name): f"{value:.4g}" for name, value in evaluation.figures.items()}
    return "\n".join([*lines, "", *_table("figure", "value", figures), ""])


def _record(
    task: str, run: str, published: Publication, location: str, evaluation: Evaluation
) -> str:
    """Writes the registry, if a task is given; says what was done."""
    from components.core.registry import Registry

    if not task:
        return "no registry was asked: the run has no task"
    if not run:
        return f"nothing is recorded: {RUN_VARIABLE} does not name the run"
    with Registry() as registry:
        registry.start_run(run, task)  # as a rule it is there; what was published is not lost
        registry.finish_run(run, published.model, published.version, location, evaluation.figures)
    return f"recorded in the registry as finished, for the task {task}"


def _location(repository: str, published: Path) -> str:
    """The repository's place as others see it; one inside of the artifact is relative to that."""
    return repository if "://" in repository else str(published / repository)


def _table(first: str, second: str, rows: dict[str, str]) -> list[str]:
    return [f"| {first} | {second} |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


STAGE = Stage(
    name="record_run",
    settings=RecordSettings,
    function=record_run,
    inputs={
        "published": "where the model was published (Publication)",
        "evaluation": "its evaluation (Evaluation)",
    },
    outputs={"record": "the run in a few lines (Markdown)"},
    external=True,
)
