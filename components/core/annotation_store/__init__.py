"""The annotation store: annotation tasks in a MongoDB, as OBDB's tools read them, and then some.

with AnnotationStore.from_environment() as store:
    for task in store.load():
        ...

`TRAINYARD_MONGODB_URI` names the database; `documents.py` says what it holds.
"""

from components.core.annotation_store.changes import Changes, StoredTask, changes, newer
from components.core.annotation_store.connection import VARIABLE
from components.core.annotation_store.store import AnnotationStore

__all__ = ["VARIABLE", "AnnotationStore", "Changes", "StoredTask", "changes", "newer"]
