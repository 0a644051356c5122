"""Recurring runs of Kubeflow that always take the pipeline's latest version.

The server allows them (a reference without a version), the SDK does not. There is no call that
changes one: a changed schedule is a new one, and the old one goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import kfp_server_api

from components.core.errors import InputError, SettingsError
from components.core.settings import closest
from pipelines import cron
from pipelines.backends._kubeflow_api import Document, Kubeflow, plain
from pipelines.backends._kubeflow_compare import schedule_differences
from pipelines.backends._kubeflow_refusals import AbsentError
from pipelines.backends._kubeflow_request import (
    Wanted,
    shared_documents,
)
from pipelines.backends._kubeflow_upload import (
    Place,
    find_experiment,
    find_pipeline,
    in_namespace,
    latest_version,
    prepare,
)
from pipelines.job_rules import errors
from pipelines.lint import lint_schedule


@dataclass(frozen=True)
class Timing:
    """When a schedule starts runs: `cron` or `every`."""

    cron: str = ""
    """Five fields, as `pipelines.cron.parse` returns them."""
    every: int = 0
    """Seconds."""
    start: datetime | None = None
    end: datetime | None = None
    max_concurrency: int = 1
    catch_up: bool = False
    """Runs that were missed, as while the schedule was paused, are made up for."""


@dataclass(frozen=True)
class Schedule:
    """A schedule on the server."""

    id: str
    name: str
    enabled: bool
    when: str
    """For people: a cron expression of five fields, or an interval."""
    pipeline: str
    """Id."""
    latest: bool
    """Whether runs take the pipeline's latest version."""
    problem: str = ""


def schedule_body(wanted: Wanted, timing: Timing, place: Place) -> Any:
    """The recurring run as kfp_server_api has it."""
    window = {"start_time": timing.start, "end_time": timing.end}
    six = cron.to_kubeflow(timing.cron) if timing.cron else ""
    _check(timing, six)
    if timing.cron:
        trigger = kfp_server_api.V2beta1Trigger(
            cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=six, **window)
        )
    else:
        trigger = kfp_server_api.V2beta1Trigger(
            periodic_schedule=kfp_server_api.V2beta1PeriodicSchedule(
                interval_second=str(timing.every), **window
            )
        )
    return kfp_server_api.V2beta1RecurringRun(
        display_name=wanted.name,
        description=wanted.definition.summary,
        pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(
            pipeline_id=place.pipeline
        ),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=dict(wanted.parameters)),
        experiment_id=place.experiment,
        namespace=wanted.namespace or None,
        service_account=wanted.service_account or None,
        max_concurrency=str(timing.max_concurrency),
        no_catchup=not timing.catch_up,
        trigger=trigger,
        mode=kfp_server_api.RecurringRunMode.ENABLE,
    )


def _check(timing: Timing, six: str) -> None:
    found = lint_schedule(
        cron=six,
        interval=None if six else timing.every,
        max_concurrency=timing.max_concurrency,
        start=timing.start,
        end=timing.end,
    )
    if wrong := errors(found):
        raise SettingsError(wrong, "the schedule")


def render(wanted: Wanted, timing: Timing) -> Document:
    """The requests that create the schedule; ids that only a server can give are in `<…>`."""
    place = Place("<pipeline>", "<version>", "<experiment>")
    body = plain(schedule_body(wanted, timing, place))
    return {**shared_documents(wanted), "recurring_run": body}


def create(wanted: Wanted, timing: Timing, replace: bool = False) -> tuple[str, str]:
    """Makes the schedule, unless the same one exists; returns its id and what was done.

    Raises:
        InputError: one of this name is of another pipeline, or has another content and `replace`
            is not set.
        TrainyardError: as `Kubeflow.call`.
    """
    namespace = wanted.namespace
    api = _connected(namespace)
    existing = [s for s in _listed(api, namespace) if s.get("display_name") == wanted.name]
    same = _same(api, wanted, timing, existing, replace) if existing else None
    place = prepare(api, wanted)
    if same:
        paused = "" if _enabled(same) else ", but is paused; resume it"
        return str(same["recurring_run_id"]), f"is there already{paused}"
    latest = latest_version(api, place.pipeline)
    newer = (
        "" if latest == wanted.definition.version else f"; its runs take {latest}, uploaded later"
    )
    old = {str(other["recurring_run_id"]) for other in existing}

    def made() -> Document | None:
        listed = _listed(api, namespace)
        same = (s for s in listed if s.get("display_name") == wanted.name)
        return next((s for s in same if str(s["recurring_run_id"]) not in old), None)

    model = schedule_body(wanted, timing, place)
    if old and not any(map(_enabled, existing)):
        model.mode = kfp_server_api.RecurringRunMode.DISABLE
        newer += "; it is paused, as the old one was"
    send = api.schedules.recurring_run_service_create_recurring_run
    new = api.call("create the schedule", send, model, made=made)
    for doomed in old:
        api.call(
            f"delete the old schedule {doomed} (the new one is there: delete the old one yourself)",
            api.schedules.recurring_run_service_delete_recurring_run,
            doomed,
        )
    return str(new["recurring_run_id"]), ("replaced" if old else "created") + newer


def _same(
    api: Kubeflow, wanted: Wanted, timing: Timing, existing: list[Document], replace: bool
) -> Document | None:
    """The one of the schedules of this name that is as wanted, before anything is made.

    Raises:
        InputError: there is none, and the others must not be replaced.
    """
    pipeline = find_pipeline(api, wanted.definition.name, wanted.namespace) or {}
    experiment = find_experiment(api, wanted.experiment, wanted.namespace) or {}
    place = Place(
        str(pipeline.get("pipeline_id", "")), "", str(experiment.get("experiment_id", ""))
    )
    for other in existing:
        if (theirs := _pipeline_id(other)) != place.pipeline or not theirs:
            raise InputError(
                f"there is a schedule {wanted.name!r} of another pipeline, "
                f"{_pipeline_called(api, theirs)}; choose another --name, or delete it: "
                f"trainyard schedule delete {other['recurring_run_id']}"
            )
    body = plain(schedule_body(wanted, timing, place))
    differences = [schedule_differences(other, body) for other in existing]
    if [] in differences:
        return existing[differences.index([])]
    if not replace:
        raise InputError(
            f"there is a schedule {wanted.name!r} with another {', '.join(differences[0])}; give "
            "--replace to put this one in its place, or choose another --name"
        )
    return None


def _pipeline_id(schedule: Document) -> str:
    return str((schedule.get("pipeline_version_reference") or {}).get("pipeline_id", ""))


def _pipeline_called(api: Kubeflow, pipeline: str) -> str:
    """The name of a pipeline, for people; its id where it is gone."""
    if not pipeline:
        return "which was never uploaded by itself"
    try:
        found = api.call("find it", api.pipelines.pipeline_service_get_pipeline, pipeline)
    except AbsentError:
        return f"{pipeline}, which is deleted"
    return repr(found.get("display_name") or found.get("name") or pipeline)


def listed(namespace: str) -> list[Schedule]:
    """All schedules, by name."""
    found = [_schedule(one) for one in _listed(_connected(namespace), namespace)]
    return sorted(found, key=lambda schedule: (schedule.name, schedule.id))


def pause(name: str, namespace: str, dry_run: bool = False) -> str:
    """Stops a schedule, by name or id, from starting runs; returns its id."""
    method = "recurring_run_service_disable_recurring_run"
    return _change(name, namespace, "pause", method, dry_run)


def resume(name: str, namespace: str, dry_run: bool = False) -> str:
    """Lets a paused schedule, by name or id, go on; returns its id."""
    method = "recurring_run_service_enable_recurring_run"
    return _change(name, namespace, "resume", method, dry_run)


def delete(name: str, namespace: str, dry_run: bool = False) -> str:
    """Deletes a schedule, by name or id; runs that it has started stay. Returns its id."""
    method = "recurring_run_service_delete_recurring_run"
    return _change(name, namespace, "delete", method, dry_run)


def _change(name: str, namespace: str, verb: str, method: str, dry_run: bool) -> str:
    api = _connected(namespace)
    known = list(_listed(api, namespace))
    found = [s for s in known if name in (s.get("display_name"), s.get("recurring_run_id"))]
    if not found:
        there = ", ".join(sorted({str(s.get("display_name")) for s in known})) or "none"
        hint = closest(name, [str(s.get("display_name")) for s in known])
        raise InputError(f"there is no schedule {name!r}{hint} (there: {there})")
    ids = [str(schedule["recurring_run_id"]) for schedule in found]
    if len(found) > 1:
        raise InputError(f"several schedules are called {name!r}; give an id: {', '.join(ids)}")
    if not dry_run:
        api.call(f"{verb} the schedule", getattr(api.schedules, method), ids[0])
    return ids[0]


def _connected(namespace: str) -> Kubeflow:
    api = Kubeflow.connect(namespace)
    api.require_namespace_known(namespace)
    return api


def _listed(api: Kubeflow, namespace: str) -> Any:
    return api.pages(
        "list the schedules",
        api.schedules.recurring_run_service_list_recurring_runs,
        "recurringRuns",
        **in_namespace(namespace),
    )


def _schedule(document: Document) -> Schedule:
    reference = document.get("pipeline_version_reference") or {}
    error = document.get("error") or {}
    return Schedule(
        id=str(document.get("recurring_run_id", "")),
        name=str(document.get("display_name", "")),
        enabled=_enabled(document),
        when=_when(document.get("trigger") or {}),
        pipeline=str(reference.get("pipeline_id", "")),
        latest=bool(reference.get("pipeline_id")) and not reference.get("pipeline_version_id"),
        problem=str(error.get("message", "")),
    )


def _enabled(document: Document) -> bool:
    return document.get("status", document.get("mode")) not in ("DISABLED", "DISABLE")


def _when(trigger: Document) -> str:
    """A trigger for people; others than we make are shown as they are."""
    found = []
    if periodic := trigger.get("periodic_schedule"):
        seconds = str(periodic.get("interval_second", ""))
        found.append(f"every {_interval(int(seconds)) if seconds.isdecimal() else '?'}")
    if schedule := trigger.get("cron_schedule"):
        found.append(cron.from_kubeflow(str(schedule.get("cron", ""))) or "?")
    unknown = set(trigger) - {"periodic_schedule", "cron_schedule"}
    found += [f"{key}: {trigger[key]}" for key in sorted(unknown)]
    return " and ".join(found) or "at no time"


def _interval(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
