"""Checks Kubeflow's recurring runs that are written as documents (ScheduledWorkflow).

Its controller starts runs through the API server, which refuses those of a schedule that it did not
make itself. Only one that holds a whole Argo workflow gets past it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pipelines.container_rules import Document, Finding
from pipelines.lint.schedules import lint_schedule
from pipelines.lint.secrets import check_value

_REFERENCES = ("pipelineVersionId", "pipelineId", "pipelineName")
_MEND = (
    "use `trainyard schedule create`, or a CronJob that starts runs: `trainyard compile PIPELINE "
    "--format kubernetes --schedule CRON`"
)


def check_scheduled_workflow(where: str, document: Document) -> Iterator[Finding]:
    """When it runs, what it runs, and the values it passes."""
    spec = _mapping(document.get("spec"))
    trigger, workflow = _mapping(spec.get("trigger")), _mapping(spec.get("workflow"))
    yield from _check_trigger(where, trigger, spec.get("maxConcurrency"))
    if named := [field for field in _REFERENCES if spec.get(field)]:
        text = "refers to a pipeline: no run of an applied schedule is ever accepted"
        yield Finding(f"{where}: spec.{named[0]}", text, _MEND)
    elif not workflow.get("spec"):
        yield Finding(f"{where}: spec.workflow.spec", "is missing: nothing would run", _MEND)
    if "status" not in document:
        text = "is missing: the cluster refuses the document"
        yield Finding(f"{where}: status", text, "write `status: {}`")
    parameters = workflow.get("parameters")
    for parameter in parameters if isinstance(parameters, list) else ():
        name = str(_mapping(parameter).get("name"))
        value = _mapping(parameter).get("value")
        yield from check_value(f"{where}: spec.workflow.parameters {name}", name, value, set())


def _check_trigger(where: str, trigger: Document, most: Any) -> Iterator[Finding]:
    cron = _mapping(trigger.get("cronSchedule")).get("cron")
    interval = _mapping(trigger.get("periodicSchedule")).get("intervalSecond")
    for finding in lint_schedule(
        cron=str(cron or ""), interval=interval, max_concurrency=1 if most is None else most
    ):
        yield replace(finding, where=f"{where}: {finding.where}")


def _mapping(value: object) -> Document:
    return value if isinstance(value, dict) else {}
