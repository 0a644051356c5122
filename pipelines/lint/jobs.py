"""Checks Jobs, and CronJobs that make them: how often they start, and for how long they try."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.container_rules import Document, Finding
from pipelines.lint.schedules import cron_findings
from pipelines.lint.workloads import Object

LONGEST_CRON_JOB = 52
_CONCURRENCY = ("Allow", "Forbid", "Replace")
_COUNTS = (
    "activeDeadlineSeconds", "backoffLimit", "backoffLimitPerIndex", "completions",
    "maxFailedIndexes", "parallelism", "ttlSecondsAfterFinished",
)  # fmt: skip
_CRON_COUNTS = (
    "failedJobsHistoryLimit", "startingDeadlineSeconds", "successfulJobsHistoryLimit"
)  # fmt: skip
_MODES = ("NonIndexed", "Indexed")


def check_job(where: str, spec: Document) -> Iterator[Finding]:
    """Every finding in the specification of a Job, its pod excepted."""
    pod = (spec.get("template") or {}).get("spec") or {}
    restart = pod.get("restartPolicy")
    if restart not in ("Never", "OnFailure"):
        yield Finding(f"{where}: restartPolicy", f"{restart!r} is refused in Jobs", "set Never")
    if spec.get("podFailurePolicy") and restart != "Never":
        text = "works with restartPolicy Never only"
        yield Finding(f"{where}: podFailurePolicy", text, "set Never")
    yield from check_counts(where, spec, _COUNTS)
    yield from _check_mode(where, spec)
    if spec.get("backoffLimit") is None:
        yield Finding(f"{where}: backoffLimit", "is not set", "say how many failures to retry")
    deadline = spec.get("activeDeadlineSeconds", pod.get("activeDeadlineSeconds"))
    if not isinstance(deadline, int) or deadline == 0:
        yield Finding(
            f"{where}: activeDeadlineSeconds",
            "is not set: a Job that hangs would hold its node for ever",
            "set it to what the work may take, waiting for a node included",
        )
    if not spec.get("ttlSecondsAfterFinished"):
        text = "is not set: finished Jobs pile up"
        yield Finding(f"{where}: ttlSecondsAfterFinished", text, "set it, e.g. 604800", "warning")


def _check_mode(where: str, spec: Document) -> Iterator[Finding]:
    mode = spec.get("completionMode")
    if mode is not None and mode not in _MODES:
        text = f"unknown mode {mode!r}"
        yield Finding(f"{where}: completionMode", text, f"use {' or '.join(_MODES)}")
    if mode == "Indexed" and spec.get("completions") is None:
        text = "is not set, which an indexed Job is refused without"
        yield Finding(f"{where}: completions", text, "say how many indices there are")


def check_cron_job(one: Object) -> Iterator[Finding]:
    """When a CronJob starts a Job, and whether beside the one before."""
    schedule = str(one.spec.get("schedule") or "")
    yield from cron_findings(f"{one.where}: schedule", schedule, seconds=False)
    yield from check_counts(one.where, one.spec, _CRON_COUNTS)
    if len(one.name) > LONGEST_CRON_JOB:
        text = f"has {len(one.name)} characters; its Jobs get 11 more"
        yield Finding(f"{one.where}: metadata.name", text, f"use at most {LONGEST_CRON_JOB}")
    policy = one.spec.get("concurrencyPolicy")
    if policy not in _CONCURRENCY:
        text = f"is {policy!r}"
        yield Finding(f"{one.where}: concurrencyPolicy", text, f"set {' or '.join(_CONCURRENCY)}")


def check_counts(where: str, spec: Document, names: tuple[str, ...]) -> Iterator[Finding]:
    """Numbers that are whole and not negative, where they are given."""
    for name in names:
        value = spec.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            yield Finding(f"{where}: {name}", "is no whole number", "use 0 or more, unquoted")
        elif value is not None and value < 0:
            yield Finding(f"{where}: {name}", f"{value} is negative", "use 0 or more")
