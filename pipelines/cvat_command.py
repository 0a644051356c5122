"""`trainyard cvat`: tasks of an annotation server, looked after from the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from components.core.wording import counted

if TYPE_CHECKING:
    from components.core.cvat import Cvat, TaskInfo

yes_option = click.option("--yes", is_flag=True, help="Do it; without, only the plan is shown.")

_STATUS = click.Choice(["annotation", "validation", "completed"])


@click.group()
def cvat() -> None:
    """Look after the tasks of the CVAT server of TRAINYARD_CVAT_URL.

    A TASK is its number or its exact name. Every command says first what it will do; those that
    change or remove what is drawn do nothing without --yes.

    \b
    trainyard cvat list --status completed
    trainyard cvat backup --all backups
    trainyard cvat push-verified --from 'auto_annotation_*' --to 'FieldData_*' --yes
    """


@cvat.command(name="list")
@click.option("--status", type=_STATUS, help="Only these.")
@click.option("--name", default="", metavar="PATTERN", help="Only these, such as 'FieldData_*'.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_command(status: str | None, name: str, as_json: bool) -> None:
    """List the tasks."""
    tasks = connected().tasks(status or "", [name] if name else [])
    if as_json:
        click.echo(json.dumps([asdict(task) for task in tasks], indent=2))
        return
    rows = [("task", "status", "frames", "updated", "name")]
    rows += [
        (
            task.id,
            "completed" if task.completed else task.status,
            f"{task.frames}{' (video)' if task.video else ''}",
            task.updated[:16].replace("T", " "),
            task.name,
        )
        for task in tasks
    ]
    for line in table(rows) if tasks else ["no tasks"]:
        click.echo(line)


@cvat.command()
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--all", "everything", is_flag=True, help="All tasks.")
@click.option("--images", is_flag=True, help="Also as CVAT can restore it, with images.")
def backup(tasks: tuple[str, ...], folder: Path, everything: bool, images: bool) -> None:
    """Save TASKs into FOLDER/<time>/<task>: CVAT XML, COCO, Pascal VOC and all records as JSON."""
    from pipelines.cvat_backup import back_up

    if bool(tasks) == everything:
        raise click.UsageError("name tasks, or give --all")
    server = connected()
    found = server.tasks() if everything else named(server, tasks)
    say(f"saving {counted(len(found), 'task')} into {folder}", found)
    for line in back_up(server, found, folder, images):
        click.echo(line)


@cvat.command()
@click.argument("tasks", nargs=-1, required=True, metavar="TASK...")
def complete(tasks: tuple[str, ...]) -> None:
    """Set TASKs completed, with all of their jobs."""
    server = connected()
    found = named(server, tasks)
    say(f"completing {counted(len(found), 'task')}", found)
    for task in found:
        changed = server.set_completed(task.id)
        click.echo(f"task {task.id}: {counted(changed, 'job')} changed")


@cvat.command()
@click.argument("tasks", nargs=-1, required=True, metavar="TASK...")
@yes_option
def delete(tasks: tuple[str, ...], yes: bool) -> None:
    """Delete TASKs with everything that is drawn in them; numbers or exact names, no patterns."""
    server = connected()
    found = named(server, tasks)
    say(f"deleting {counted(len(found), 'task')} with all annotations", found)
    if not confirmed(yes):
        return
    for task in found:
        there = server.delete_task(task.id)
        click.echo(f"task {task.id}: {'deleted' if there else 'was deleted already'}")


@cvat.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the images, to send them  [default: FOLDER]",
)
@click.option(
    "--share",
    default="",
    metavar="PREFIX",
    help="Where the images lie on CVAT's share, / for its root, in place of sending",
)
@click.option("--into", is_flag=True, help="Fill the tasks of these names, in place of new ones.")
@click.option("--replace", is_flag=True, help="With --into: what is drawn there goes; needs --yes.")
@yes_option
def upload_xml(
    folder: Path, images: Path | None, share: str, into: bool, replace: bool, yes: bool
) -> None:
    """Upload all CVAT XML files of FOLDER, or one file: each task in them becomes a task."""
    from pipelines.cvat_uploads import prepared

    if replace and not into:
        raise click.UsageError("--replace needs --into")
    if into and (share or images):
        raise click.UsageError("--into takes tasks that have their images; leave the others out")
    uploads = prepared(connected(), folder, images or folder, share, into, replace)
    click.echo(f"uploading {counted(len(uploads), 'task')}:")
    for upload in uploads:
        click.echo(f"  {upload}")
    if replace and not confirmed(yes):
        return
    for upload in uploads:
        click.echo(upload.send())


@cvat.command()
@click.option("--from", "source", default="", metavar="PATTERN", help="Verified tasks.")
@click.option("--to", "target", default="", metavar="PATTERN", help="Tasks of the ground truth.")
@click.option(
    "--pair",
    "pairs",
    multiple=True,
    metavar="VERIFIED=TRUTH",
    help="One pair of tasks, by number or name; repeatable.",
)
@click.option(
    "--key",
    default="FieldData",
    show_default=True,
    help="Names that are equal from this text on are a pair.",
)
@click.option(
    "--iou",
    default=0.7,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Overlap from which two boxes are the same object.",
)
@click.option(
    "--remove-missing",
    is_flag=True,
    help="Remove boxes of the ground truth that the verified task does not have.",
)
@yes_option
def push_verified(
    source: str,
    target: str,
    pairs: tuple[str, ...],
    key: str,
    iou: float,
    remove_missing: bool,
    yes: bool,
) -> None:
    """Bring what people have verified into the ground truth.

    Completed tasks are paired by their names. In every frame and class boxes are matched one to
    one: matched ones are updated where they differ, further ones added as manual.
    """
    from pipelines.cvat_push import paired, plans

    if bool(pairs) == bool(source or target) or bool(source) != bool(target):
        raise click.UsageError("give --from and --to, or one or more --pair")
    server = connected()
    found, left = paired(server, source, target, pairs, key)
    for line in left:
        click.echo(line)
    made = plans(server, found, iou, remove_missing)
    for one in made:
        click.echo(str(one))
    if not any(one.changes for one in made):
        click.echo("the ground truth holds all of it already")
    elif confirmed(yes):
        for one in made:
            click.echo(one.carry_out())


@cvat.command()
@click.argument("task")
@click.option(
    "--model",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="The trained detector (a folder with model.json).",
)
@click.option(
    "--evaluation",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="Its evaluation.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Folder for files and report.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of auto_annotate, such as score_threshold=0.5; repeatable.",
)
@yes_option
def rerun(
    task: str,
    model: Path,
    evaluation: Path,
    output: Path | None,
    assignments: tuple[str, ...],
    yes: bool,
) -> None:
    """Annotate TASK once more: boxes that a model drew are replaced, those of people stay."""
    from pipelines.cvat_rerun import Rerun

    again = Rerun.planned(connected(), task, model, evaluation, assignments)
    click.echo(str(again))
    if confirmed(yes):
        again.carry_out(output)


def connected() -> Cvat:
    """The server of the environment, once it has let us in."""
    from components.core.cvat import Cvat

    server = Cvat.from_environment()
    server.check()
    return server


def named(server: Cvat, tasks: Sequence[str]) -> list[TaskInfo]:
    """The tasks of these numbers or exact names."""
    from components.core.detection.task_lookup import lookup

    return lookup(server.tasks(), tasks)


def say(what: str, tasks: Sequence[TaskInfo]) -> None:
    """The plan: what, and with which tasks."""
    click.echo(f"{what}:" if tasks else f"{what}: there are none")
    for task in tasks:
        click.echo(f"  {task.id}  {task.name}  ({counted(task.frames, 'frame')}, {task.status})")


def confirmed(yes: bool) -> bool:
    """Whether to go on; says so where not."""
    if not yes:
        click.echo("nothing was changed; add --yes")
    return yes


def table(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Rows of cells as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
