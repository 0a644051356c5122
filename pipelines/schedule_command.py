"""`trainyard schedule`: pipelines that Kubeflow runs again and again, in their latest version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from components.core.errors import SettingsError
from pipelines import cron, option_texts
from pipelines.placement_options import pipeline_options

if TYPE_CHECKING:
    from pipelines.backends._kubeflow_request import Wanted
    from pipelines.backends._kubeflow_schedules import Timing

ONLY_IF_CHANGED = "only_if_changed"
"""Parameter of pipelines that can end early where the data are those of the last model."""

_SHOWN_TIMES = 3
_MOST_AT_ONCE = 100
"""Runs that --catch-up may ask for at once."""

_namespace = click.option("--namespace", default="", help="Your profile, where there are several.")
_dry_run = click.option("--dry-run", is_flag=True, help="Check and show it; change nothing.")


@click.group()
def schedule() -> None:
    """Run a pipeline on Kubeflow again and again, always in its latest version."""


@schedule.command()
@click.argument("pipeline", metavar="PIPELINE")
@click.argument("assignments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("-f", "--file", "files", multiple=True, help="YAML file with parameters; repeatable.")
@click.option("--cron", "cron_text", help="Five fields, or @daily and the like: '0 3 * * *'.")
@click.option("--every", metavar="TIME", help="Interval instead, such as 6h.")
@click.option("--name", help="Of the schedule  [default: the pipeline's name]")
@click.option("--from", "start", metavar="TIME", help="Not before: 2030-01-31 or 2030-01-31T06:00")
@click.option("--until", "end", metavar="TIME", help="Not after.")
@click.option(
    "--max-concurrency", type=int, default=1, show_default=True, help="Runs at once, 1 to 10."
)
@click.option("--catch-up", is_flag=True, help="Make up for runs that were missed.")
@click.option("--only-if-changed", is_flag=True, help="End early where no clip has changed.")
@click.option("--replace", is_flag=True, help="Put it in the place of the one of this name.")
@click.option("--experiment", default="", help="Group of the runs  [default: the pipeline's name]")
@click.option("--service-account", default="", help="What the runs' pods act as.")
@_dry_run
@pipeline_options
def create(
    pipeline: str,
    assignments: tuple[str, ...],
    files: tuple[str, ...],
    name: str | None,
    only_if_changed: bool,
    replace: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Run PIPELINE at the times of --cron, or once in every --every.

    The pipeline is uploaded as it is now; every run takes the latest version there is then.
    Parameters that are not given have that version's defaults.
    """
    from pipelines import catalog
    from pipelines.backends import _kubeflow_schedules
    from pipelines.backends._kubeflow_address import environment_problems
    from pipelines.backends._kubeflow_request import name_problems
    from pipelines.cli import _values as parameter_values

    timing, found = _timing(options)
    try:
        pipeline = catalog.require(pipeline)
        values = parameter_values(pipeline, files, assignments)
    except SettingsError as error:
        named = name_problems(pipeline if name is None else name, "--name")
        raise SettingsError([*error.problems, *found, *named], "the schedule") from None
    if only_if_changed:
        values[ONLY_IF_CHANGED] = True
    if not dry_run:
        found += environment_problems()
    wanted = _wanted(pipeline, values, name, options, found)
    coming = _coming(timing)
    if dry_run:
        from pipelines.jobs import as_yaml

        click.echo(as_yaml([_kubeflow_schedules.render(wanted, timing)]), nl=False)
    else:
        made, done = _kubeflow_schedules.create(wanted, timing, replace)
        click.echo(f"schedule {wanted.name} ({made}): {done}")
    for line in coming:
        click.echo(line, err=True)


@schedule.command(name="list")
@_namespace
def list_command(namespace: str) -> None:
    """List the schedules: name, state, time, id."""
    from pipelines.backends._kubeflow_schedules import listed

    for one in listed(namespace):
        state = "on" if one.enabled else "paused"
        version = "" if one.latest else "  (a fixed version)"
        problem = f"  {one.problem}" if one.problem else ""
        click.echo(f"{one.name}  {state}  {one.when}  {one.id}{version}{problem}")


@schedule.command()
@click.argument("name")
@_namespace
@_dry_run
def pause(name: str, namespace: str, dry_run: bool) -> None:
    """Stop schedule NAME (or its id) from starting runs; those that run go on."""
    from pipelines.backends import _kubeflow_schedules

    found = _kubeflow_schedules.pause(name, namespace, dry_run)
    click.echo(f"schedule {name} ({found}): {'would be ' if dry_run else ''}paused")


@schedule.command()
@click.argument("name")
@_namespace
@_dry_run
def resume(name: str, namespace: str, dry_run: bool) -> None:
    """Let schedule NAME (or its id) start runs again."""
    from pipelines.backends import _kubeflow_schedules

    found = _kubeflow_schedules.resume(name, namespace, dry_run)
    click.echo(f"schedule {name} ({found}): {'would be ' if dry_run else ''}resumed")


@schedule.command()
@click.argument("name")
@_namespace
@_dry_run
def delete(name: str, namespace: str, dry_run: bool) -> None:
    """Delete schedule NAME (or its id); the runs it has started stay."""
    from pipelines.backends import _kubeflow_schedules

    found = _kubeflow_schedules.delete(name, namespace, dry_run)
    click.echo(f"schedule {name} ({found}): {'would be ' if dry_run else ''}deleted")


def _wanted(
    pipeline: str,
    values: Mapping[str, Any],
    name: str | None,
    options: Mapping[str, Any],
    found: list[str],
) -> Wanted:
    """What the schedule runs; only parameters that were given, so that later versions fit."""
    from dataclasses import replace

    from pipelines.backends._kubeflow_request import wanted
    from pipelines.cluster_options import cluster_options

    name = pipeline if name is None else name
    cluster = cluster_options("kubeflow", name, "", options, values)
    assert cluster is not None
    made = wanted(pipeline, values, name, cluster, found, where="the schedule")
    given = {key: value for key, value in made.parameters.items() if key in values}
    return replace(made, parameters=given)


def _timing(options: Mapping[str, Any]) -> tuple[Timing, list[str]]:
    """When runs start, and what is wrong with that."""
    from pipelines.backends._kubeflow_schedules import Timing

    found: list[str] = []
    fields, interval = "", 0
    text, every = options["cron_text"], options["every"]
    if bool(text) == bool(every):
        found.append("give either --cron '0 3 * * *' or --every 6h")
    try:
        fields = cron.parse(text) if text else ""
    except ValueError as error:
        found.append(f"--cron {error}")
    try:
        interval = _interval(every) if every else 0
    except ValueError as error:
        found.append(f"--every {every}: {error}")
    start, end = (_moment(option, options[option], found) for option in ("start", "end"))
    if end and end <= datetime.now(UTC):
        found.append(f"--until {options['end']}: it has passed already")
    elif end and start and end <= start:
        found.append(f"--until {options['end']}: it is not after --from {options['start']}")
    elif end and fields and not cron.next_times(fields, start or datetime.now(UTC), 1, end):
        found.append(f"--cron {text!r} does not come before --until {options['end']}")
    if not 1 <= options["max_concurrency"] <= 10:
        found.append(f"--max-concurrency {options['max_concurrency']}: Kubeflow accepts 1 to 10")
    timing = Timing(fields, interval, start, end, options["max_concurrency"], options["catch_up"])
    if (fields or interval) and _missed(timing) > _MOST_AT_ONCE:
        found.append(
            f"--catch-up asks for more than {_MOST_AT_ONCE} runs at once, for all times since "
            f"--from {options['start']}; give a later --from, or leave --catch-up out"
        )
    return timing, found


def _interval(text: str) -> int:
    """Seconds of an interval."""
    interval = option_texts.seconds(text)
    if text.strip().isdecimal():
        raise ValueError("name its unit, such as 30m, 6h or 1d")
    if not 60 <= interval <= 366 * 86400:
        raise ValueError("accepted are 1m to 366d")
    return interval


def _missed(timing: Timing) -> int:
    """How many runs are to be made up for at once; counted to one more than may be."""
    now = datetime.now(UTC)
    until = min(now, timing.end or now)
    if not timing.catch_up or timing.start is None or timing.start >= until:
        return 0
    if timing.cron:
        return len(cron.next_times(timing.cron, timing.start, _MOST_AT_ONCE + 1, until))
    return int((until - timing.start).total_seconds()) // timing.every


def _moment(option: str, text: str | None, found: list[str]) -> datetime | None:
    """A moment; UTC, where it names no offset."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if not 2000 <= moment.year < 3000:
            raise ValueError("what is reckoned from it may have no date")
    except ValueError:
        name = {"start": "--from", "end": "--until"}[option]
        found.append(f"{name} {text}: expected a time such as 2030-01-31 or 2030-01-31T06:00+01:00")
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _coming(timing: Timing) -> list[str]:
    """The next times, in words."""
    after = max(timing.start or datetime.now(UTC), datetime.now(UTC))
    if timing.cron:
        times = cron.next_times(timing.cron, after, _SHOWN_TIMES, timing.end)
        note = (
            "These are UTC; where the controller of Kubeflow has CRON_SCHEDULE_TIMEZONE set, the "
            "same clock times in that zone."
        )
    else:
        steps = (after + timedelta(seconds=timing.every * n) for n in range(1, _SHOWN_TIMES + 1))
        times = [time for time in steps if timing.end is None or time <= timing.end]
        note = "These are UTC, and reckoned from now; the server begins when it first sees it."
    shown = ", ".join(f"{time.astimezone(UTC):%a %Y-%m-%d %H:%M}" for time in times)
    missed = _missed(timing)
    at_once = f"--catch-up: {missed} runs are asked for at once, for the times since --from"
    return [*([at_once] if missed else []), f"next: {shown}", note]
