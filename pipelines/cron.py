"""Cron in its ordinary form of five fields, and in that of Kubeflow, which begins with seconds.

Reading and reckoning are cronsim's, which follows Debian's cron. Kubeflow (robfig/cron) differs in
three ways that matter: it begins with seconds, knows Sunday only as 0, and lacks `L`, `W` and `#`.
"""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_FIELDS = "minute hour day-of-month month day-of-week"
_NAMES = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC SUN MON TUE WED THU FRI SAT"
_KNOWN_TO_BOTH = re.compile(rf"([-*,/0-9]|{_NAMES.replace(' ', '|')})+")


def parse(text: str) -> str:
    """The five fields of a cron expression, checked; nicknames such as @daily are written out.

    Raises:
        ValueError: what is wrong, and what is accepted.
    """
    accepted = f"expected five fields ({_FIELDS}) such as '0 3 * * *', or one of @hourly … @yearly"
    plain = NICKNAMES.get(text.strip().lower(), text)
    if plain.strip().startswith("@"):
        raise ValueError(f"{text!r} is no cron expression; {accepted}, or --every 6h")
    # of a range of one, cronsim would make one that goes on to the end
    fields = re.sub(r"\b(\w+)-\1/\d+", r"\1", plain.upper()).split()
    if len(fields) == 6:
        raise ValueError(
            f"{text!r} has six fields; {accepted}: the seconds that Kubeflow wants are added here"
        )
    if len(fields) != 5:
        raise ValueError(f"{text!r} has {len(fields)} fields; {accepted}")
    for name, field in zip(_FIELDS.split(), fields, strict=True):
        if not _KNOWN_TO_BOTH.fullmatch(field):
            raise ValueError(f"{text!r}: {name} {field!r} is wrong; {accepted}")
    joined = " ".join(fields)
    try:
        if not next_times(joined, datetime.now(UTC), 1):
            raise ValueError(f"{text!r} never comes: there is no such day")
    except CronSimError as error:
        wrong = str(error).removeprefix("Bad ")
        raise ValueError(f"{text!r}: {wrong} is wrong; {accepted}") from None
    return joined


def to_kubeflow(fields: str) -> str:
    """Six fields for Kubeflow, of what `parse` returned: seconds first, Sunday as 0."""
    *others, weekday = fields.split()
    if not weekday.startswith("*"):  # `1/2` and `5-7` mean Sunday too here, and not there
        days = {int(day) % 7 for day in _weekdays(fields)}
        weekday = ",".join(map(str, sorted(days)))
    return " ".join(["0", *others, weekday])


def from_kubeflow(text: str) -> str:
    """The five fields of an expression in Kubeflow's form; itself where it has no such form."""
    fields = text.split()
    five = " ".join(fields[1:])
    if len(fields) != 6 or fields[0] != "0":
        return text
    try:
        return parse(five.replace("?", "*"))
    except ValueError:
        return text


def next_times(
    fields: str, after: datetime, count: int = 3, until: datetime | None = None
) -> list[datetime]:
    """The next times of what `parse` returned, in UTC; fewer where `until` comes before."""
    times = itertools.islice(CronSim(fields, after.astimezone(UTC)), count)
    return [time for time in times if until is None or time <= until]


def _weekdays(fields: str) -> set[int]:
    days = CronSim(fields, datetime.now(UTC)).weekdays
    return {day for day in days if isinstance(day, int)}
