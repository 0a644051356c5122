"""Options of `compile` and `apply` for retraining on a schedule, and the CronJob they ask for."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from components.core.errors import SettingsError

if TYPE_CHECKING:
    from pipelines.building import BuildOptions
    from pipelines.kubernetes_format import Document

F = TypeVar("F", bound=Callable[..., Any])

_NEEDED = ("time_zone", "name", "experiment", "service_account", "assignments")
"""Options that mean something with --schedule only."""


def schedule_options(command: F) -> F:
    """Adds KEY=VALUE and the options of a schedule."""
    for option in (
        click.option("--service-account", help="What the runs' pods act as  [Kubeflow's default]"),
        click.option("--experiment", help="Kubeflow's group of runs  [default: the pipeline]"),
        click.option("--name", help="Of the schedule  [default: retrain-PIPELINE]"),
        click.option("--time-zone", help="Of --schedule, such as Europe/Berlin  [default: UTC]"),
        click.option(
            "--schedule",
            metavar="CRON",
            help="Add a CronJob that runs the newest version at these times with the given "
            "parameters; five fields, such as '0 3 * * *' for 03:00 every day.",
        ),
        click.argument("assignments", nargs=-1, metavar="[KEY=VALUE]..."),
    ):
        command = option(command)
    return command


def wanted_schedule(
    pipelines: Sequence[str],
    built: BuildOptions,
    options: Mapping[str, Any],
    problems: Sequence[str] = (),
) -> list[Document]:
    """The ConfigMap and the CronJob that the options ask for; nothing without --schedule.

    Args:
        pipelines: what is compiled.
        built: how.
        options: by the names of `schedule_options`, and `namespace`.
        problems: what is wrong already.

    Raises:
        SettingsError: with that, and everything that is wrong with them.
    """
    found = list(problems)
    if not options["schedule"]:
        if given := [name for name in _NEEDED if options[name]]:
            shown = ["KEY=VALUE" if n == "assignments" else f"--{n}" for n in given]
            text = f"{', '.join(shown)}: for --schedule only".replace("_", "-")
            found.append(text)
    elif len(pipelines) != 1:
        found.append("--schedule: name one PIPELINE")
    else:
        return _retraining(pipelines[0], built, options, found)
    if found:
        raise SettingsError(list(dict.fromkeys(found)), "the command line")
    return []


def _retraining(
    pipeline: str, built: BuildOptions, options: Mapping[str, Any], found: list[str]
) -> list[Document]:
    from components.core.settings import parse_assignments
    from pipelines import catalog, plan
    from pipelines.backends._kubeflow_request import name_problems, parameter_problems
    from pipelines.building import build
    from pipelines.quantities import dns_label, is_dns_label
    from pipelines.run_starter import LONGEST_SCHEDULE_NAME, RunOrder, schedule_documents

    # Bad options cannot be drawn; everything else is looked at all the same.
    drawn = catalog.load(pipeline) if found else build(pipeline, built)
    described = plan.read(drawn)
    text = [p.name for p in described.parameters.values() if p.type == "str"]
    values: dict[str, Any] = {}
    try:
        values = parse_assignments(options["assignments"], text)
    except SettingsError as error:
        found += error.problems
    found += parameter_problems(described, values, built.placements)
    found += name_problems(options["experiment"] or pipeline, "--experiment")
    cron = _cron(options["schedule"], found)
    zone = options["time_zone"] or "Etc/UTC"
    if (known := zoneinfo.available_timezones()) and zone not in known:
        found.append(f"--time-zone: {zone!r} is none; accepted are names such as Europe/Berlin")
    name = options["name"] or dns_label(f"retrain-{pipeline}")[:LONGEST_SCHEDULE_NAME].rstrip("-")
    if not is_dns_label(name) or len(name) > LONGEST_SCHEDULE_NAME:
        accepted = f"at most {LONGEST_SCHEDULE_NAME} of a-z, 0-9 and inner dashes"
        found.append(f"--name {name!r}: accepted are {accepted}")
    if found:
        raise SettingsError(list(dict.fromkeys(found)), "the command line")
    typed = described.resolve(values)
    order = RunOrder(
        pipeline=str(drawn.pipeline_spec.pipeline_info.name),
        parameters={key: typed[key] for key in values},
        experiment=options["experiment"] or pipeline,
        namespace=options["namespace"],
        service_account=options["service_account"] or "",
    )
    return schedule_documents(order, name, cron, zone, options["image_registry"])


def _cron(text: str, found: list[str]) -> str:
    """The five fields as a CronJob has them: Sunday is 0 there, as it is for Kubeflow."""
    from pipelines.cron import parse, to_kubeflow

    try:
        return to_kubeflow(parse(text)).partition(" ")[2]
    except ValueError as error:
        found.append(f"--schedule: {error}")
        return ""
