"""Tasks' documents in MongoDB: written, switched and deleted so that nobody sees half a task.

The documents of a task belong to a generation, which its document in `tasks` names. A new one is
written in full, then named there, which happens at once, and only then is the former one deleted.
What an interrupted run may leave behind is listed in the collection `writes`, and deleted later.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from components.core.annotation_store.changes import moment
from components.core.annotation_store.connection import patiently
from components.core.annotation_store.documents import (
    Document,
    annotation_documents,
    frame_documents,
    task_document,
)
from components.core.annotation_tasks import AnnotationTask
from components.core.errors import ServiceError

TASKS, META, ANNOTATIONS, WRITES = "tasks", "meta", "annotation_data", "writes"

INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    TASKS: (("name",),),
    META: (("task_id", "generation"), ("task_name",)),
    ANNOTATIONS: (
        ("task_id", "generation", "position"), ("task_name", "img_path"), ("object_class",),
    ),
}  # fmt: skip
"""Of tasks `_id` is the id, of the others it names generation and position: both are unique."""

OLDER: Document = {"task_id": {"$exists": False}}
"""Documents that OBDB's tools have written."""

BATCH = 5000
"""Documents of one request."""
DELETED = 1000
"""Documents without a position that one request deletes."""
DUPLICATE_KEY = 11000


class Generations:
    """The collections of a database."""

    def __init__(self, database: Any) -> None:
        """A pymongo database."""
        self._database = database
        self._prepared = False

    def found(self, collection: str, chosen: Document) -> list[Document]:
        """All documents that are chosen."""
        place = self._database[collection]
        return patiently(lambda: list(place.find(chosen)))

    def head(self, task_id: str) -> Document | None:
        """The document of a task."""
        found: Document | None = patiently(self._database[TASKS].find_one, {"_id": task_id})
        return found

    def prepare(self) -> None:
        """Makes the indexes."""
        for collection, every in INDEXES.items():
            for fields in every:
                keys = [(name, 1) for name in fields]
                patiently(self._database[collection].create_index, keys)

    def replace(self, task: AnnotationTask) -> None:
        """Writes a new generation, switches to it, and deletes the former one.

        Raises:
            ServiceError: MongoDB did not store everything; the former generation stays.
        """
        generation = f"{task.id}:{uuid.uuid4().hex}"
        documents = list(annotation_documents(task, generation))
        head = task_document(task, generation, len(documents))
        chosen = {"_id": task.id}
        former = self.head(task.id)
        self._note(head)
        self._insert(META, frame_documents(task, generation))
        self._insert(ANNOTATIONS, documents)
        if former is not None:
            self._note(former)
        tasks = self._database[TASKS]
        switched = patiently(tasks.find_one_and_replace, chosen, head, upsert=True)
        for gone in (former, switched):  # another may have replaced it meanwhile
            if gone is not None and gone["generation"] != generation:
                self._delete(gone)
        self._forget(generation)
        self._delete_older(task.name)

    def mark(self, task_id: str, date: str) -> None:
        """Says since when a task is no longer there, unless that is known."""
        chosen = {"_id": task_id, "vanished_date": {"$exists": False}}
        change = {"$set": {"vanished_date": date}}
        patiently(self._database[TASKS].update_one, chosen, change)

    def remove(self, task_id: str) -> None:
        """Deletes a task."""
        if (head := self.head(task_id)) is not None:
            self._note(head)
            patiently(self._database[TASKS].delete_one, {"_id": task_id})
            self._delete(head)

    def tidy(self, older_than: timedelta) -> None:
        """Deletes what writes that began longer ago have left behind."""
        limit = datetime.now(UTC) - older_than
        for entry in self.found(WRITES, {}):
            began = moment(str(entry.get("began", "")))
            if began is not None and began > limit:
                continue
            head = self.head(entry["task_id"])
            if head is None or head["generation"] != entry["generation"]:
                self._delete(entry)
            else:
                self._forget(entry["generation"])

    def _insert(self, collection: str, documents: Iterable[Document]) -> None:
        remaining = iter(documents)
        while batch := list(islice(remaining, BATCH)):
            patiently(self._insert_batch, collection, batch)

    def _insert_batch(self, collection: str, batch: list[Document]) -> None:
        """Inserts documents; those that an attempt before has inserted are there already."""
        from pymongo.errors import BulkWriteError

        try:
            self._database[collection].insert_many(batch, ordered=False)
        except BulkWriteError as error:
            told = error.details.get("writeErrors", [])
            others = [one for one in told if one.get("code") != DUPLICATE_KEY]
            if others or error.details.get("writeConcernErrors"):
                said = others[0].get("errmsg") if others else "too few copies of them were made"
                raise ServiceError(f"MongoDB did not store all annotations: {said}") from None

    def _note(self, head: Document) -> None:
        """Lists a generation as one that may be left behind."""
        entry = {
            "_id": head["generation"],
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            **{name: head[name] for name in ("task_id", "generation", "annotations")},
        }
        chosen = {"_id": head["generation"]}
        patiently(self._database[WRITES].replace_one, chosen, entry, upsert=True)

    def _forget(self, generation: str) -> None:
        patiently(self._database[WRITES].delete_one, {"_id": generation})

    def _delete(self, head: Document) -> None:
        """Deletes what belongs to a generation, in portions."""
        own = {"task_id": head["task_id"], "generation": head["generation"]}
        for first in range(0, int(head["annotations"]), BATCH):
            portion = {**own, "position": {"$gte": first, "$lt": first + BATCH}}
            patiently(self._database[ANNOTATIONS].delete_many, portion)
        patiently(self._database[META].delete_many, own)
        self._forget(head["generation"])

    def _delete_older(self, name: str) -> None:
        """Deletes what OBDB's tools have stored under exactly this name; its head last."""
        if not self.found(TASKS, {"name": name, **OLDER}):
            return
        for collection, key in ((ANNOTATIONS, "task_name"), (META, "task_name"), (TASKS, "name")):
            place = self._database[collection]
            while ids := patiently(_ids, place, {key: name, **OLDER}):
                patiently(place.delete_many, {"_id": {"$in": ids}})


def _ids(place: Any, chosen: Document) -> list[Any]:
    return [document["_id"] for document in place.find(chosen, {"_id": 1}).limit(DELETED)]
