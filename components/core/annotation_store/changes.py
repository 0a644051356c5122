"""Which tasks the annotation store lacks, and which of those it has are out of date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True)
class StoredTask:
    """What the store knows of a task without reading its annotations."""

    id: str
    """CVAT's number as text, or `name:…`."""
    name: str
    labels: tuple[str, ...] = ()
    created: str = ""
    """ISO 8601."""
    updated: str = ""
    status: str = ""
    frames: int = 0
    annotations: int = 0
    """Shapes, tags and keyframes of tracks."""
    vanished: str = ""
    """When CVAT was first seen without it, ISO 8601; '' while it is there."""
    older: bool = False
    """Stored by OBDB's own tools."""
    source: str = ""
    """Where it is from; '' for CVAT, and where that is not known."""


@dataclass(frozen=True)
class Changes:
    """Ids of tasks by what a synchronisation has to do with them."""

    fetched: list[str] = field(default_factory=list)
    """Not stored, or newer than what is stored, or back again."""
    unchanged: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    """Stored with a number of CVAT, and no longer there."""


def changes(stored: Iterable[StoredTask], there: Mapping[str, str]) -> Changes:
    """Compares the store with CVAT.

    Args:
        stored: what the store holds.
        there: id → date of the last change, of all tasks that CVAT has.
    """
    known = {task.id: task for task in stored if not task.older}
    fetched: list[str] = []
    unchanged: list[str] = []
    for number, updated in there.items():
        task = known.get(number)
        same = task is not None and not task.vanished and not newer(updated, task.updated)
        (unchanged if same else fetched).append(number)
    gone = [
        number
        for number, task in known.items()
        if number.isdecimal() and number not in there and not task.vanished
    ]
    return Changes(fetched, unchanged, gone)


def newer(date: str, than: str) -> bool:
    """Whether a date is later than another; dates that cannot be read are, where they differ."""
    first, second = moment(date), moment(than)
    if first is None or second is None:
        return date != than
    return first > second


def moment(date: str) -> datetime | None:
    """The moment that an ISO 8601 date names, without a zone in UTC; None where it names none."""
    try:
        found = datetime.fromisoformat(date.strip())
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
