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

_RANGES = {
    "minute": range(60),
    "hour": range(24),
    "day-of-month": range(1, 32),
    "month": range(1, 13),
    "day-of-week": range(7),  # 7 is Sunday too
}
_FIELDS = " ".join(_RANGES)
_NAMES = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC SUN MON TUE WED THU FRI SAT"
_KNOWN_TO_BOTH = re.compile(rf"([-*,/0-9]|{_NAMES.replace(' ', '|')})+")


def parse(text: str) -> str:
    """The five fields of a cron expression, checked; nicknames such as @daily are written out.

    Raises:
        ValueError: what is wrong, and what is accepted.
    """
    accepted = f"expected five fields ({_FIELDS}) such as '0 3 * * *', or one of @hourly … @yearly"
    plain = NICKNAMES.get(text.strip().lower(), text)
    if zone := re.match(r"\s*(CRON_)?TZ=\S*", text):
        raise ValueError(
            f"{text!r}: times are UTC here; leave {zone[0].strip()} out, and write the times in UTC"
        )
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
    if wrong := [_problem(n, field) for n, field in enumerate(fields) if _problem(n, field)]:
        raise ValueError(f"{text!r}: {'; '.join(wrong)}")
    joined = " ".join(fields)
    try:
        comes = next_times(joined, datetime.now(UTC), 1)
    except CronSimError:  # each field alone is right: it is the day that the months lack
        comes = []
    if not comes:
        raise ValueError(f"{text!r} never comes: no such month has such a day")
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


def _problem(position: int, field: str) -> str:
    """What is wrong with one field, and what is accepted."""
    name, accepted = list(_RANGES.items())[position]
    alone = " ".join(field if other == position else "*" for other in range(5))
    last = 7 if name == "day-of-week" else accepted[-1]
    try:
        CronSim(alone, datetime.now(UTC))
        right = _KNOWN_TO_BOTH.fullmatch(field)
    except CronSimError:
        right = None
    if not right:
        values = f"accepted are *, {accepted[0]} to {last}, ranges, lists and steps such as */2"
        return f"{name} {field!r} is wrong: {values}"
    if any(int(step) >= len(accepted) for step in re.findall(r"/(\d+)", field)):
        return f"{name} {field!r} is wrong: its step may be 1 to {len(accepted) - 1}"
    return ""


def _weekdays(fields: str) -> set[int]:
    days = CronSim(fields, datetime.now(UTC)).weekdays
    return {day for day in days if isinstance(day, int)}
