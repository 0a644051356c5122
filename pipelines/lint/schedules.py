"""Checks when and how often something runs: cron expressions, intervals, runs at the same time.

Kubeflow's cron has seconds first (`0 0 3 * * *` is 03:00 every day); that of a Kubernetes CronJob
is the ordinary one of five fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from pipelines.container_rules import Finding

MOST_RUNS = 10
"""That Kubeflow lets a schedule have at the same time."""

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_Field = tuple[str, int, int, tuple[str, ...]]
_SECONDS: _Field = ("second", 0, 59, ())
_ORDINARY: tuple[_Field, ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 6, _DAYS),
)
_SHORTHAND = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EVERY = re.compile(r"@every (\d+(\.\d+)?(h|m|s|ms))+")
_PART = re.compile(r"(\*|\?|\w+)(?:-(\w+))?(?:/(\d+))?")


def lint_schedule(
    *,
    cron: str = "",
    interval: int | None = None,
    max_concurrency: int = 1,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[Finding]:
    """Every finding in a recurring run of Kubeflow.

    Args:
        cron: six fields, seconds first; or
        interval: seconds between runs.
        max_concurrency: runs at the same time.
        start: first moment of the schedule.
        end: last moment of the schedule.
    """
    found: list[Finding] = []
    if bool(cron) == (interval is not None):
        text = "give either a cron expression or an interval"
        found.append(Finding("schedule", text, "such as `0 0 3 * * *`, 03:00 every day"))
    if cron:
        found += cron_findings("schedule: cron", cron, seconds=True)
    if interval is not None and (not _is_whole(interval) or interval < 1):
        found.append(Finding("schedule: interval", f"{interval!r} is refused", "use 1 s or more"))
    if not _is_whole(max_concurrency) or not 1 <= max_concurrency <= MOST_RUNS:
        text = f"{max_concurrency!r} runs at the same time are refused"
        found.append(Finding("schedule: max_concurrency", text, f"use 1 to {MOST_RUNS}"))
    if start and end and start >= end:
        found.append(Finding("schedule: end", "is not after the start", "choose a later one"))
    return found


def cron_findings(where: str, text: str, *, seconds: bool) -> Iterator[Finding]:
    """Findings in a cron expression; with `seconds` it is Kubeflow's, of six fields."""
    if text.startswith("@"):
        if text not in _SHORTHAND and not (_EVERY.fullmatch(text)):
            accepted = f"use {', '.join(_SHORTHAND)} or @every 12h"
            yield Finding(where, f"{text!r} is no shorthand", accepted)
        return
    expected = (_SECONDS, *_ORDINARY) if seconds else _ORDINARY
    fields = text.split()
    if len(fields) != len(expected):
        names = " ".join(name for name, *_ in expected)
        text = f"{text!r} has {len(fields)} fields, not {len(expected)}"
        mend = f"write {names}"
        if seconds and len(fields) == len(_ORDINARY):
            text += ": Kubeflow would take the first one for seconds"
            mend += ", with `0` before the ordinary five"
        yield Finding(where, text, mend)
        return
    for field, written in zip(expected, fields, strict=True):
        if not all(_fits(part, field) for part in written.split(",")):
            name, low, high, words = field
            known = f" or {words[0]} to {words[-1]}" if words else ""
            text = f"{written!r} is no {name}"
            yield Finding(where, text, f"use {low} to {high}{known}, *, ranges, lists and */steps")


def _fits(part: str, field: _Field) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        return False
    first, last, step = match.groups()
    if step is not None and int(step) < 1:
        return False
    if first in ("*", "?"):
        return last is None
    low, high = _number(first, field), _number(last or first, field)
    return low is not None and high is not None and low <= high


def _number(text: str, field: _Field) -> int | None:
    _, low, high, names = field
    if text.upper() in names:
        return names.index(text.upper()) + low
    return int(text) if text.isdigit() and low <= int(text) <= high else None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
