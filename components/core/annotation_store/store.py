"""The annotation store: reads and replaces whole tasks, and knows which have vanished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from components.core.annotation_store.changes import StoredTask
from components.core.annotation_store.connection import connect, explained
from components.core.annotation_store.documents import Document, read_task
from components.core.annotation_store.generations import (
    ANNOTATIONS,
    META,
    OLDER,
    TASKS,
    Generations,
)
from components.core.annotation_store.older import older_task
from components.core.annotation_tasks import AnnotationTask, named
from components.core.errors import InputError

ATTEMPTS = 5
"""Of reading a task that is replaced meanwhile."""
LEFT_BEHIND = timedelta(days=1)
"""Age at which an unfinished write is taken for one that nobody continues."""
TOLD = 20
"""Tasks that a message lists."""


class AnnotationStore:
    """Tasks in MongoDB; made by `from_environment`, and closed by `with` or `close`."""

    def __init__(self, client: Any, database: Any) -> None:
        """A pymongo client and its database."""
        self._client = client
        self._documents = Generations(database)
        self._prepared = False

    @classmethod
    def from_environment(cls) -> AnnotationStore:
        """The store that `TRAINYARD_MONGODB_URI` names, in the database `annotations` by default.

        Raises:
            ServiceError: it is not set or cannot be read, or the server does not let us in.
        """
        return cls(*connect())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def tasks(self) -> list[StoredTask]:
        """All tasks, also those that have vanished, by name; their annotations are not read.

        A task of OBDB's tools does not count beside one of the same name that has an id.

        Raises:
            ServiceError: the server fails.
        """
        with explained(self._client):
            heads = self._documents.found(TASKS, {})
        own = [_stored(head) for head in heads if "task_id" in head]
        replaced = {task.name for task in own}
        older = {
            str(head["name"]): _stored(head)
            for head in heads
            if "task_id" not in head and "name" in head and str(head["name"]) not in replaced
        }
        return sorted([*own, *older.values()], key=lambda task: (task.name, task.id))

    def load(self, task_ids: Iterable[str] | None = None) -> Iterator[AnnotationTask]:
        """Reads tasks, each as it was when it was last replaced.

        Args:
            task_ids: the wanted ones; None for all but those that have vanished.

        Raises:
            InputError: ids that are not stored, or a damaged task.
            ServiceError: the server fails.
        """
        stored = {task.id: task for task in self.tasks()}
        wanted = list(stored) if task_ids is None else list(task_ids)
        if unknown := [number for number in wanted if number not in stored]:
            known = ", ".join(list(stored)[:TOLD]) or "none"
            more = " …" if len(stored) > TOLD else ""
            raise InputError(
                f"tasks that are not stored: {', '.join(unknown)}; stored are {known}{more}"
            )
        for number in wanted:
            if task_ids is None and stored[number].vanished:
                continue
            with explained(self._client):
                found = self._older(stored[number].name) if stored[number].older else None
                task = found or self._whole(number)
            if task is not None:
                yield task
            elif task_ids is not None:
                raise InputError(f"task {number} was removed while it was read")

    def put(self, task: AnnotationTask) -> None:
        """Stores a task in the place of what was stored under its id, or by OBDB under its name.

        Raises:
            InputError: a document that MongoDB cannot hold.
            ServiceError: the server fails or does not permit it; what was stored stays.
        """
        with explained(self._client):
            if not self._prepared:
                self._documents.prepare()
                self._documents.tidy(LEFT_BEHIND)
                self._prepared = True
            self._documents.replace(task)

    def vanish(self, task_ids: Iterable[str], remove: bool = False) -> None:
        """Marks tasks as no longer there with `vanished_date`, or removes them for good.

        Tasks that are marked keep the date they have; unknown ids are passed over.

        Raises:
            ServiceError: the server fails or does not permit it.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with explained(self._client):
            for number in task_ids:
                if remove:
                    self._documents.remove(number)
                else:
                    self._documents.mark(number, now)

    def tidy(self, older_than: timedelta = LEFT_BEHIND) -> None:
        """Deletes what interrupted writes have left behind; the first `put` does so by itself.

        Raises:
            ServiceError: the server fails or does not permit it.
        """
        with explained(self._client):
            self._documents.tidy(older_than)

    def _whole(self, number: str) -> AnnotationTask | None:
        """A task in one generation; None where it is no longer there."""
        said = ""
        for _ in range(ATTEMPTS):
            if (head := self._documents.head(number)) is None:
                return None
            own = {"task_id": number, "generation": head["generation"]}
            meta = self._documents.found(META, own)
            annotations = self._documents.found(ANNOTATIONS, own)
            frames = sum(len(document["frames"]) for document in meta)
            if (frames, len(annotations)) == (head["frames"], head["annotations"]):
                return read_task(head, meta, annotations)
            said = (
                f"{frames} of {head['frames']} frames and {len(annotations)} of "
                f"{head['annotations']} annotations are stored"
            )
        raise InputError(f"task {number} is damaged: {said}; store it again")

    def _older(self, name: str) -> AnnotationTask | None:
        heads = self._documents.found(TASKS, {"name": name, **OLDER})
        if not heads:
            return None
        chosen = {"task_name": name, **OLDER}
        meta = self._documents.found(META, chosen)
        return older_task(name, heads[-1], meta, self._documents.found(ANNOTATIONS, chosen))


def _stored(head: Document) -> StoredTask:
    return StoredTask(
        head["task_id"] if "task_id" in head else named(str(head["name"])),
        str(head["name"]),
        tuple(str(label.get("name", "")) for label in head.get("labels") or ()),
        str(head.get("created_date") or ""),
        str(head.get("updated_date") or ""),
        str(head.get("status", "completed")),
        int(head.get("frames") or 0),
        int(head.get("annotations") or 0),
        str(head.get("vanished_date") or ""),
        "task_id" not in head,
        str(head.get("source", "")),
    )
