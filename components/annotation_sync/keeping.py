"""Keeps what annotation files hold in the annotation database, as tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from components.core.annotation_store import AnnotationStore, StoredTask
from components.core.annotation_tasks import AnnotationTask, named, task_of
from components.core.errors import InputError
from components.core.formats.shapes import AnnotatedImage, Annotations
from components.core.stage import Job
from components.core.wording import counted

SHOWN = 10
"""Tasks that a message lists."""


def keep(found: Annotations, source: str, job: Job) -> None:
    """Stores the tasks of the annotations that are not in the database as they are.

    Images of which all labels are damaged are not stored: nothing there would tell them from
    images without objects.

    Args:
        found: what a reader gives.
        source: folder, file or URL, without credentials; its last part names the task of images
            without one.
        job: for messages.

    Raises:
        InputError: tasks of the same name are there from another source; nothing is stored then.
    """
    images = [image for image in found.images if image.shapes or not image.lost]
    name = source.rstrip("/").rpartition("/")[2] or source
    tasks = [replace(task, source=source) for task in tasks_of(images, found.labels, name)]
    stored = 0
    with AnnotationStore.from_environment() as store:
        known = [task for task in store.tasks() if not task.vanished]
        there = {task.id for task in known}
        _refuse_others(known, tasks, source)
        for task in tasks:
            before = _loaded(store, task.id) if task.id in there else None
            if before is not None and _same(before, task):
                continue
            now = datetime.now(UTC).isoformat(timespec="seconds")
            store.put(replace(task, created=before.created if before else now, updated=now))
            stored += 1
    job.report.message(
        f"{counted(len(tasks), 'task')} in the annotation database: {stored} new or changed"
    )


def tasks_of(
    images: Sequence[AnnotatedImage], labels: Sequence[str], unnamed: str
) -> list[AnnotationTask]:
    """The tasks that images name, one for each number and name; `unnamed`: for those without."""
    members: dict[tuple[str, str], list[AnnotatedImage]] = {}
    for image in images:
        owner = image.task or unnamed, image.source_id.get("task", "")
        members.setdefault(owner, []).append(image)
    names = Counter(name for name, _ in members)
    # The number is that of some CVAT, not of the one that the database goes with.
    return [
        task_of(own, name, labels, named(f"{name}-{number}") if names[name] > 1 else "")
        for (name, number), own in members.items()
    ]


def _refuse_others(
    known: Sequence[StoredTask], tasks: Sequence[AnnotationTask], source: str
) -> None:
    own = {task.id for task in tasks}
    others = [t for t in known if t.id in own and t.source not in ("", source)]
    if others:
        lines = "\n".join(f"  - {task.name!r}, from {task.source}" for task in others[:SHOWN])
        raise InputError(
            f"the annotation database holds {counted(len(others), 'task')} of other annotations, "
            f"which those of {source} would replace:\n{lines}\nnothing was stored: rename the "
            "folder that names the task, or set annotations to one folder that holds both"
        )


def _loaded(store: AnnotationStore, number: str) -> AnnotationTask | None:
    try:
        return next(store.load([number]), None)
    except InputError:  # damaged, or removed meanwhile: stored anew
        return None


def _same(stored: AnnotationTask, task: AnnotationTask) -> bool:
    return replace(stored, created="", updated="") == replace(task, created="", updated="")
