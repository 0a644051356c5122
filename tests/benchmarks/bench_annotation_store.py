"""Storing 100,000 annotations as whole tasks, on a real server that speaks MongoDB's protocol.

alone  against OBDB's way, one `insert_one` for each annotation: a few thousand are timed before
       and after, and scaled
bare   against `insert_many` of the same documents, which is the most that the server takes

All with the same documents and indexes on the same server in the same run, in wall-clock time,
because the server works in a process of its own; larger is better. The target of `alone` is 20 for
a MongoDB that TRAINYARD_TEST_MONGODB_URI names. It only informs (0) for FerretDB over SQLite, which
is started otherwise: that spends so much on each document, whatever the batch, that `insert_many`
itself does not get there; see README.md. Prints JSON lines {name, ratio, target, ok}; exits 1 if a
target is missed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from annotation_records import LABELS, frames, record, task  # noqa: E402
from mongodb_server import client, running_mongodb, with_database  # noqa: E402

from components.core.annotation_store import VARIABLE, AnnotationStore  # noqa: E402
from components.core.annotation_store.documents import annotation_documents  # noqa: E402
from components.core.annotation_store.generations import (  # noqa: E402
    ANNOTATIONS,
    BATCH,
    Generations,
)
from components.core.annotation_tasks import AnnotationTask  # noqa: E402

COUNT, TASKS, PER_IMAGE = 100_000, 10, 20
SINGLE = 1_500
"""Documents inserted one by one, twice."""
TARGET_ALONE = 20.0
TARGET_BARE = 0.7


def given() -> Iterator[AnnotationTask]:
    """Ten tasks with 10,000 boxes each."""
    per_task = COUNT // TASKS
    for number in range(TASKS):
        shapes = tuple(
            record(
                "rectangle",
                11 + n % 2,
                [n % 90 + 0.25, 3.5, n % 90 + 9.75, 20.125],
                n // PER_IMAGE,
                id=number * per_task + n,
            )
            for n in range(per_task)
        )
        images = frames(per_task // PER_IMAGE, f"field/{number}/frame{{:06d}}.png")
        more = {"labels": LABELS, "frames": images, "shapes": shapes, "tags": (), "tracks": ()}
        yield task(str(number + 1), f"task {number}", **more)


def seconds(function: Callable[[], Any]) -> float:
    """Wall-clock time of a call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def one_by_one(place: Any, documents: Sequence[dict[str, Any]]) -> None:
    """OBDB's way."""
    for document in documents:
        place.insert_one(document)


def in_batches(place: Any, documents: Sequence[dict[str, Any]]) -> None:
    """Nothing but `insert_many`."""
    for first in range(0, len(documents), BATCH):
        place.insert_many(documents[first : first + BATCH], ordered=False)


def measured(uri: str) -> tuple[float, float, float]:
    """Seconds for all annotations: one by one (scaled), in bare batches, and by the store."""
    tasks = list(given())
    documents = [one for each in tasks for one in annotation_documents(each, f"g{each.id}")]
    names = {way: f"bench_{os.getpid()}_{way}" for way in ("single", "bare", "store")}
    with client(uri) as connection:
        single, bare = (connection[names[way]] for way in ("single", "bare"))
        for database in (single, bare):
            Generations(database).prepare()
        alone = seconds(lambda: one_by_one(single[ANNOTATIONS], documents[:SINGLE]))
        os.environ[VARIABLE] = with_database(uri, names["store"])
        with AnnotationStore.from_environment() as store:
            ours = seconds(lambda: [store.put(each) for each in tasks])
            assert sum(each.annotations for each in store.tasks()) == COUNT
        stored = connection[names["store"]][ANNOTATIONS]
        assert stored.estimated_document_count() == COUNT
        batches = seconds(lambda: in_batches(bare[ANNOTATIONS], documents))
        alone += seconds(lambda: one_by_one(single[ANNOTATIONS], documents[SINGLE : 2 * SINGLE]))
        for name in names.values():
            connection.drop_database(name)
    return alone * COUNT / (2 * SINGLE), batches, ours


def run(uri: str, target: float) -> int:
    """Prints one line per measurement; returns the exit code."""
    alone, bare, ours = measured(uri)
    print(
        f"{COUNT} annotations: one by one {alone:.1f} s (scaled from {2 * SINGLE}), bare "
        f"insert_many {bare:.1f} s, the store {ours:.1f} s",
        file=sys.stderr,
    )
    lines = [("alone", alone / ours, target), ("bare", bare / ours, TARGET_BARE)]
    for name, ratio, wanted in lines:
        ok = ratio >= wanted
        print(json.dumps({"name": name, "ratio": round(ratio, 2), "target": wanted, "ok": ok}))
    return int(any(ratio < wanted for _, ratio, wanted in lines))


def main() -> int:
    """The exit code."""
    if uri := os.environ.get("TRAINYARD_TEST_MONGODB_URI"):
        return run(uri, TARGET_ALONE)
    with running_mongodb() as uri:
        return run(uri, 0.0)


if __name__ == "__main__":
    sys.exit(main())
