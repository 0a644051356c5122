"""`trainyard registry`: the sources, classes, tasks and runs that several people share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from components.core.wording import counted

if TYPE_CHECKING:
    from components.core.registry import RegisteredTask, Run

SHOWN_REASON = 160
"""Characters of why a run failed, in one line."""

SHOWN_FIGURES = 4
"""Of a run, in one line."""

_SIZE = "clips per class as a whole number, or a fraction below 1"
_json = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group()
def registry() -> None:
    """Look after the sources and tasks in the database of TRAINYARD_POSTGRES_DSN.

    \b
    trainyard registry add-source kitchen canteen
    trainyard registry add-task meals --model-name meals --class eating --class drinking \\
        --source kitchen --source canteen --train 20 --validation 5 --test 5 --other
    trainyard registry show meals > params.yaml
    """


@registry.command()
def init() -> None:
    """Make the tables, or bring them up to date; others do so at their first entry."""
    with _registry() as opened:
        done = opened.initialise()
    click.echo(f"done: {', '.join(done)}" if done else "the registry is up to date")


@registry.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def add_source(names: tuple[str, ...]) -> None:
    """Add sources; NAME is the folder of each, below the folder of all sources."""
    with _registry() as opened:
        new = opened.add_source(*names)
    for name in dict.fromkeys(names):
        click.echo(f"source {name}: {'added' if name in new else 'was there already'}")


@registry.command()
@click.argument("name")
@click.option("--model-name", default="", help="That the model is published under.")
@click.option("--class", "classes", multiple=True, metavar="CLASS", help="One of them; repeatable.")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Repeatable.")
@click.option("--train", metavar="SIZE", help=f"To train on: {_SIZE}; 0 for all the rest.")
@click.option("--validation", metavar="SIZE", help="To choose the best epoch, in the same form.")
@click.option("--test", metavar="SIZE", help="To evaluate the model on, in the same form.")
@click.option("--other", is_flag=True, help='Clips of every other folder are the class "Other".')
@click.option("--replace", is_flag=True, help="Put it in the place of the one of this name.")
def add_task(
    name: str,
    model_name: str,
    classes: tuple[str, ...],
    sources: tuple[str, ...],
    other: bool,
    replace: bool,
    **sizes: str | None,
) -> None:
    """Add task NAME: what a model is wanted for, out of which sources.

    The sources have to be there; classes are added with the task.
    """
    from components.core.registry import RegisteredTask

    found = [] if model_name else ["--model-name: name what the model is published under"]
    numbers = {part: _size(part, text, found) for part, text in sizes.items()}
    task = RegisteredTask(name, model_name or "model", classes, sources, other=other, **numbers)
    with _registry() as opened:
        done = opened.add_task(task, replace, found)
    click.echo(f"task {name}: {done if done != 'unchanged' else 'was there already, the same'}")


@registry.command(name="list")
@_json
def list_command(as_json: bool) -> None:
    """List sources, classes, and tasks with their last run."""
    with _registry() as opened:
        sources, classes, tasks = opened.sources(), opened.classes(), opened.tasks()
        runs = opened.runs()
    last = {task.name: next((run for run in runs if run.task == task.name), None) for task in tasks}
    if as_json:
        shown = [
            {**_task_json(task), "last_run": _run_json(run) if (run := last[task.name]) else None}
            for task in tasks
        ]
        click.echo(json.dumps({"sources": sources, "classes": classes, "tasks": shown}, indent=2))
        return
    for kind, names in (("sources", sources), ("classes", classes)):
        click.echo(f"{kind}: {', '.join(names) or 'none'}")
    rows = [_task_row(task, last[task.name]) for task in tasks]
    head = ("task", "model", "classes", "sources", "train", "val", "test", "last run")
    click.echo("\n" + "\n".join(_table([head, *rows])) if rows else "tasks: none")


@registry.command()
@click.argument("task")
@_json
def show(task: str, as_json: bool) -> None:
    """Show TASK and its runs; what is printed is a file for `trainyard run PIPELINE -f` too."""
    with _registry() as opened:
        found = opened.task(task)
        runs = opened.runs(task)
    if as_json:
        about = {"task": _task_json(found), "parameters": found.settings()}
        click.echo(json.dumps({**about, "runs": [_run_json(run) for run in runs]}, indent=2))
        return
    import yaml

    click.echo(f"# task {found.name}: {_classes(found)} from {', '.join(found.sources)}")
    click.echo(yaml.safe_dump(found.settings(), sort_keys=False, allow_unicode=True), nl=False)
    rows = [("run", "status", "age", "version", "figures", "where"), *map(_run_row, runs)]
    lines = _table(rows) if runs else ["no runs yet"]
    for line in [counted(len(runs), "run"), *lines] if runs else lines:
        click.echo(f"# {line}")


def _registry() -> Any:
    from components.core.registry import Registry

    return Registry()


def _size(part: str, text: str | None, found: list[str]) -> float:
    """A size as a number; what is wrong is told, and another takes its place."""
    if text is None:
        found.append(f"--{part}: say how many: {_SIZE}")
    else:
        try:
            return float(text)
        except ValueError:
            found.append(f"--{part}: got {text!r}, accepted are {_SIZE}")
    return 1.0


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _task_row(task: RegisteredTask, last: Run | None) -> tuple[str, ...]:
    settings = task.settings()
    sizes = (str(settings[name]) for name in ("train_size", "val_size", "test_size"))
    ran = f"{last.status} {_age(last)} ago" if last else "none"
    return (task.name, task.model_name, _classes(task), ", ".join(task.sources), *sizes, ran)


def _run_row(run: Run) -> tuple[str, ...]:
    if run.status in ("failed", "skipped"):
        reason = shorten(run.reason, SHOWN_REASON, placeholder=" …")
        return (run.key, run.status, _age(run), "", f"{run.stage}: {reason}", "")
    figures = list(run.metrics.items())[:SHOWN_FIGURES]
    shown = "  ".join(f"{name} {value:.4g}" for name, value in figures)
    version = f"{run.model} {run.version}" if run.version else ""
    return (run.key, run.status, _age(run), version, shown, run.location)


def _task_json(task: RegisteredTask) -> dict[str, Any]:
    from components.core.registry.records import plain

    sizes = {"train": task.train, "validation": task.validation, "test": task.test}
    return asdict(task) | {part: plain(size) for part, size in sizes.items()}


def _run_json(run: Run) -> dict[str, Any]:
    times = {"started": run.started, "ended": run.ended}
    return asdict(run) | {name: time and time.isoformat() for name, time in times.items()}


def _classes(task: RegisteredTask) -> str:
    return ", ".join([*task.classes, *(["Other"] if task.other else [])])


def _age(run: Run) -> str:
    """How long ago the run ended, or began."""
    seconds = int((datetime.now(UTC) - (run.ended or run.started)).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"
