"""Tasks' documents in MongoDB: written, switched and deleted so that nobody sees half a task.

The documents of a task belong to a generation, which its document in `tasks` names. A new one is
written in full, then named there, which happens at once, and only then are former ones deleted.
All that exist are listed in the collection `generations`, so that what an interrupted run or two
writers of one task leave behind is found.
"""

from __future__ import annotations

import uuid
from collections import Counter
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

TASKS, META, ANNOTATIONS, LISTED = "tasks", "meta", "annotation_data", "generations"

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
        """Writes a new generation, switches to it, and deletes former ones.

        Raises:
            ServiceError: MongoDB did not store everything; the former generation stays.
        """
        generation = f"{task.id}:{uuid.uuid4().hex}"
        documents = list(annotation_documents(task, generation))
        head = task_document(task, generation, len(documents))
        entry = {
            "_id": generation,
            "task_id": task.id,
            "annotations": len(documents),
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "whole": False,
        }
        self._put(LISTED, entry)
        self._insert(META, frame_documents(task, generation))
        self._insert(ANNOTATIONS, documents)
        self._put(TASKS, head)
        self._put(LISTED, {**entry, "whole": True})
        self._sweep(task.id)
        self._delete_older(task.name)

    def mark(self, task_id: str, date: str) -> None:
        """Says since when a task is no longer there, unless that is known."""
        chosen = {"_id": task_id, "vanished_date": {"$exists": False}}
        change = {"$set": {"vanished_date": date}}
        patiently(self._database[TASKS].update_one, chosen, change)

    def remove(self, task_id: str) -> None:
        """Deletes a task."""
        patiently(self._database[TASKS].delete_one, {"_id": task_id})
        self._sweep(task_id)

    def tidy(self, older_than: timedelta) -> None:
        """Deletes what writes that began longer ago have left behind."""
        limit = datetime.now(UTC) - older_than
        listed = self.found(LISTED, {})
        for entry in listed:
            began = moment(str(entry["began"]))
            if not entry["whole"] and (began is None or began <= limit):
                self._put(LISTED, {**entry, "whole": True})
        number = Counter(str(entry["task_id"]) for entry in listed)
        removed = set(number) - {str(head["_id"]) for head in self.found(TASKS, {})}
        for task_id in sorted(removed | {task_id for task_id in number if number[task_id] > 1}):
            self._sweep(task_id)

    def _sweep(self, task_id: str) -> None:
        """Deletes the finished generations of a task that are not its current one.

        They are listed before the current one is looked up: whichever of them is not current then
        has been it, or was given up, and never becomes it again.
        """
        finished = self.found(LISTED, {"task_id": task_id, "whole": True})
        head = self.head(task_id)
        for entry in finished:
            if head is None or entry["_id"] != head["generation"]:
                self._delete(entry)

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

    def _put(self, collection: str, document: Document) -> None:
        """Stores a document in the place of the one with its `_id`, or as a new one."""
        from pymongo.errors import DuplicateKeyError

        place, chosen = self._database[collection], {"_id": document["_id"]}
        try:
            patiently(place.replace_one, chosen, document, upsert=True)
        except DuplicateKeyError:  # another has inserted it in the same moment
            patiently(place.replace_one, chosen, document, upsert=True)

    def _delete(self, entry: Document) -> None:
        """Deletes what belongs to a listed generation, in portions."""
        own = {"task_id": entry["task_id"], "generation": entry["_id"]}
        for first in range(0, int(entry["annotations"]), BATCH):
            portion = {**own, "position": {"$gte": first, "$lt": first + BATCH}}
            patiently(self._database[ANNOTATIONS].delete_many, portion)
        patiently(self._database[META].delete_many, own)
        patiently(self._database[LISTED].delete_one, {"_id": entry["_id"]})

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
