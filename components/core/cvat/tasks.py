"""Tasks of CVAT: which there are, and one with everything in it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from components.core.annotation_tasks import AnnotationTask, Frame, Record
from components.core.cvat.connection import Connection
from components.core.errors import InputError, ServiceError
from components.core.formats.cvat_video import FRAME

COMPLETED = "completed"

_STEP = re.compile(r"step\s*=\s*(\d+)")


@dataclass(frozen=True)
class TaskInfo:
    """One task in the list of them."""

    id: str
    name: str
    """Not unique."""
    status: str
    """`annotation`, `validation` or `completed`."""
    completed: bool
    """Whether its status says so, or all of its jobs are completed."""
    created: str
    """ISO 8601."""
    updated: str
    frames: int
    video: bool
    project: str
    """Its number; '' for none."""
    subset: str


def listed(
    connection: Connection, status: str, names: Iterable[str], ids: Collection[str]
) -> Iterator[TaskInfo]:
    """The tasks that this user sees, in the order of their numbers; see Cvat.tasks."""
    patterns = list(names)
    seen: set[str] = set()
    query = {"sort": "id"}  # so that new ones come last and shift no page
    for record in connection.pages("listing the tasks", "/api/tasks", query):
        info = info_of(record)
        if info.id in seen:
            continue
        seen.add(info.id)
        wanted = info.completed if status == COMPLETED else status in ("", info.status)
        named = not patterns or any(fnmatchcase(info.name, pattern) for pattern in patterns)
        if wanted and named and (not ids or info.id in ids):
            yield info


def info_of(record: Record) -> TaskInfo:
    """What a task's record says."""
    status = _text(record, "status")
    return TaskInfo(
        id=str(record["id"]),
        name=_text(record, "name"),
        status=status,
        completed=status == COMPLETED or _jobs_completed(record),
        created=_text(record, "created_date"),
        updated=_text(record, "updated_date"),
        frames=int(record.get("size") or 0),
        video=record.get("mode") == "interpolation",
        project=_text(record, "project_id"),
        subset=_text(record, "subset"),
    )


def _jobs_completed(record: Record) -> bool:
    jobs = record.get("jobs")
    if isinstance(jobs, dict):
        return bool(jobs.get("count")) and jobs.get("completed") == jobs["count"]
    # Older servers list the jobs themselves.
    states = [
        job.get("state") or job.get("status")
        for segment in record.get("segments") or []
        for job in segment.get("jobs") or []
    ]
    return bool(states) and set(states) == {COMPLETED}


def whole(connection: Connection, task_id: str) -> AnnotationTask:
    """One task with everything in it; see Cvat.task."""
    what = f"reading task {task_id}"
    path = f"/api/tasks/{number(task_id)}"
    # First, so that a change while we read the rest makes the task newer than what we have of it.
    record: Record = connection.json(what, "GET", path)
    if record.get("dimension") == "3d":
        raise InputError(f"task {task_id} ({_text(record, 'name')}) is of point clouds, not images")
    if not record.get("size") and not record.get("data"):
        raise InputError(
            f"task {task_id} ({_text(record, 'name')}) has no images: they were never uploaded, or "
            "that failed; upload some, or delete the task"
        )
    info = info_of(record)
    labels = labels_of(connection, task_id, record)
    meta: Record = connection.json(what, "GET", f"{path}/data/meta")
    drawn: Record = connection.json(what, "GET", f"{path}/annotations/")
    return AnnotationTask(
        id=info.id,
        name=info.name,
        labels=tuple(labels),
        frames=tuple(frames_of(meta, info)),
        shapes=tuple(drawn.get("shapes") or ()),
        tracks=tuple(drawn.get("tracks") or ()),
        tags=tuple(drawn.get("tags") or ()),
        created=info.created,
        updated=info.updated,
        status=COMPLETED if info.completed else info.status,
        video=info.video,
        deleted=frozenset(int(frame) for frame in meta.get("deleted_frames") or ()),
    )


def labels_of(
    connection: Connection, task_id: str, record: Record | None = None
) -> list[dict[str, Any]]:
    """The labels of a task, or of the project that it is in, in their order.

    `record`: the task's, which older servers keep them in.
    """
    inline = (record or {}).get("labels")
    if isinstance(inline, list):
        return inline
    what = f"reading the labels of task {task_id}"
    found = connection.pages(what, "/api/labels", {"task_id": number(task_id)})
    # The parts of skeletons lie in `sublabels` already.
    return sorted(
        (label for label in found if not label.get("has_parent")), key=lambda label: label["id"]
    )


def frames_of(meta: Record, info: TaskInfo) -> list[Frame]:
    """The frames that annotations count from 0, from what CVAT says about the data of a task.

    A video has one record for all of its frames; these are called as in CVAT's own exports, by
    their number in the video.
    """
    records = meta.get("frames") or []
    step = _STEP.search(meta.get("frame_filter") or "")
    first, last = int(meta.get("start_frame") or 0), int(meta.get("stop_frame") or 0)
    numbers = range(first, last + 1, max(int(step[1]), 1) if step else 1)
    size = int(meta.get("size") or info.frames or len(numbers))
    if not info.video and len(records) == size:
        return [_frame(record, _text(record, "name")) for record in records]
    if len(records) == 1 and info.video:
        names = (f"{FRAME.format(first + at * numbers.step)}.png" for at in range(size))
        return [_frame(records[0], name) for name in names]
    raise ServiceError(
        f"task {info.id} ({info.name}) has {size} frames, but the server describes {len(records)} "
        "of them; look at it in CVAT, or upload its data anew"
    )


def number(task_id: str | int) -> int:
    """The number of a task.

    Raises:
        InputError: it is none.
    """
    text = str(task_id).strip()
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise InputError(f"{task_id!r} is no number of a CVAT task; expected one such as 17")
    return int(text)


def _frame(record: Record, name: str) -> Frame:
    return Frame(name, int(record.get("width") or 0), int(record.get("height") or 0))


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    return "" if value is None else str(value)
