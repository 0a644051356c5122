"""The annotation store on a real server that speaks MongoDB's protocol."""

from __future__ import annotations

import copy
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from annotation_records import HEAD, META, frames, obdb, record, task, track
from mongodb_server import client, with_database

from components.core.annotation_store import VARIABLE, AnnotationStore, generations
from components.core.annotation_store import connection as connections
from components.core.errors import InputError, ServiceError

NOW = timedelta(0)


@pytest.fixture
def database(mongodb: str, mongo_database: str) -> Iterator[Any]:
    """The same database for a plain client."""
    with client(mongodb) as connection:
        yield connection[mongo_database]


@pytest.fixture
def annotations(mongo_database: str) -> Iterator[AnnotationStore]:
    with AnnotationStore.from_environment() as opened:
        yield opened


def sizes(database: Any) -> dict[str, int]:
    names = ("tasks", "meta", "annotation_data", "generations")
    return {name: database[name].count_documents({}) for name in names}


def boxes(count: int, number: str = "7", name: str = "pets") -> Any:
    """A task with `count` boxes of that width on one image."""
    shapes = tuple(record("rectangle", 11, [0, 0, count, n + 1], 0, id=n) for n in range(count))
    return task(number, name, shapes=shapes, tags=(), tracks=(), frames=frames(1))


def test_tasks_come_back_as_they_were_put(annotations: AnnotationStore) -> None:
    first = task(tracks=(track(11, record("polygon", 11, [1, 1, 5, 1, 5, 5], 1)),))
    same_name = task("8", video=True, deleted=frozenset({1}))
    before = copy.deepcopy(first)
    annotations.put(first)
    annotations.put(same_name)
    assert list(annotations.load()) == [before, same_name]
    assert list(annotations.load(["8"])) == [same_name]
    told = annotations.tasks()
    assert [(t.id, t.name, t.frames, t.annotations) for t in told] == [
        ("7", "pets", 3, 11),
        ("8", "pets", 3, 12),
    ]
    assert (told[0].labels, told[0].updated) == (("cat", "dog"), first.updated)
    with pytest.raises(InputError, match=r"not stored: 9, 10; stored are 7, 8$"):
        list(annotations.load(["8", "9", "10"]))


def test_a_task_is_replaced_as_a_whole(annotations: AnnotationStore, database: Any) -> None:
    annotations.put(boxes(3, "1", "a"))
    annotations.put(boxes(4, "12", "a b"))  # another whose id and name begin alike
    changed = replace(boxes(2, "1", "renamed"), updated="2023-01-01T00:00:00Z")
    annotations.put(changed)
    assert list(annotations.load()) == [boxes(4, "12", "a b"), changed]
    assert sizes(database) == {"tasks": 2, "meta": 2, "annotation_data": 6, "generations": 2}
    indexes = [list(one["key"]) for one in database["annotation_data"].list_indexes()]
    assert ["task_id", "generation", "position"] in indexes


def test_large_tasks_go_in_portions(
    annotations: AnnotationStore, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "BATCH", 7)
    annotations.put(boxes(25))
    assert list(annotations.load()) == [boxes(25)]
    annotations.put(boxes(1))
    assert sizes(database) == {"tasks": 1, "meta": 1, "annotation_data": 1, "generations": 1}


def test_an_interrupted_write_changes_nothing(
    annotations: AnnotationStore, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations.put(boxes(3))
    whole = generations.Generations._insert_batch
    monkeypatch.setattr(generations, "BATCH", 2)

    def broken(self: Any, collection: str, batch: list[dict]) -> None:
        if len(batch) == 1 and collection == "annotation_data":
            raise KeyboardInterrupt
        whole(self, collection, batch)

    monkeypatch.setattr(generations.Generations, "_insert_batch", broken)
    with pytest.raises(KeyboardInterrupt):
        annotations.put(boxes(5))
    monkeypatch.undo()
    assert list(annotations.load()) == [boxes(3)]
    assert sizes(database) == {"tasks": 1, "meta": 2, "annotation_data": 7, "generations": 2}
    annotations.tidy()
    assert sizes(database)["generations"] == 2  # somebody may be writing it
    annotations.tidy(NOW)
    assert list(annotations.load()) == [boxes(3)]
    assert sizes(database) == {"tasks": 1, "meta": 1, "annotation_data": 3, "generations": 1}


def test_what_was_not_deleted_after_the_switch_is_deleted_later(
    annotations: AnnotationStore, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations.put(boxes(3))

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(generations.Generations, "_delete", broken)
    with pytest.raises(KeyboardInterrupt):
        annotations.put(boxes(2))
    monkeypatch.undo()
    assert list(annotations.load()) == [boxes(2)]
    assert sizes(database) == {"tasks": 1, "meta": 2, "annotation_data": 5, "generations": 2}
    annotations.tidy(NOW)
    assert list(annotations.load()) == [boxes(2)]
    assert sizes(database) == {"tasks": 1, "meta": 1, "annotation_data": 2, "generations": 1}


def test_readers_never_see_half_a_task(annotations: AnnotationStore) -> None:
    annotations.put(boxes(1))
    seen: set[int] = set()
    done = threading.Event()
    failed: list[BaseException] = []

    def read() -> None:
        with AnnotationStore.from_environment() as other:
            while not done.is_set():
                try:
                    (found,) = other.load(["7"])
                    widths = {shape["points"][2] for shape in found.shapes}
                    assert widths == {len(found.shapes)}
                    seen.add(len(found.shapes))
                except BaseException as error:
                    failed.append(error)
                    return

    reader = threading.Thread(target=read)
    reader.start()
    for count in [20, 3] * 10:
        annotations.put(boxes(count))
    done.set()
    reader.join(30)
    assert failed == []
    assert {3, 20} <= seen


def test_two_who_write_one_task_leave_one_of_both(
    annotations: AnnotationStore, database: Any
) -> None:
    annotations.put(boxes(1))

    def write(count: int) -> None:
        with AnnotationStore.from_environment() as other:
            for _ in range(5):
                other.put(boxes(count))

    writers = [threading.Thread(target=write, args=(count,)) for count in (4, 6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    (found,) = annotations.load()
    assert found in (boxes(4), boxes(6))
    left = sizes(database)
    assert left == {"tasks": 1, "meta": 1, "annotation_data": len(found.shapes), "generations": 1}


def test_damage_is_told(annotations: AnnotationStore, database: Any) -> None:
    annotations.put(boxes(3))
    database["annotation_data"].delete_one({"position": 1})
    with pytest.raises(InputError, match="task 7 is damaged: 1 of 1 frames and 2 of 3 annotations"):
        list(annotations.load())


def test_vanished_tasks_are_marked_and_only_removed_on_demand(
    annotations: AnnotationStore, database: Any
) -> None:
    for number in ("1", "2", "11"):
        annotations.put(boxes(2, number))
    annotations.vanish(["1", "99"])
    first = annotations.tasks()[0]
    assert first.id == "1"
    assert first.vanished
    assert [found.id for found in annotations.load()] == ["11", "2"]
    assert [found.id for found in annotations.load(["1"])] == ["1"]
    annotations.put(boxes(3, "1"))
    assert [found.id for found in annotations.load()] == ["1", "11", "2"]
    annotations.vanish(["1"], remove=True)
    assert [found.id for found in annotations.tasks()] == ["11", "2"]
    assert sizes(database) == {"tasks": 2, "meta": 2, "annotation_data": 4, "generations": 2}


def test_a_database_of_obdb_is_read_and_left_alone(
    annotations: AnnotationStore, database: Any
) -> None:
    database["tasks"].insert_one({**HEAD})
    database["meta"].insert_one({**META})
    database["annotation_data"].insert_many([obdb(0, "cat", 11), obdb(2, "dog", 12)])
    database["annotation_data"].insert_one(obdb(0, "cat", 11, task_name="old one more"))
    before = {name: list(database[name].find()) for name in database.list_collection_names()}
    (told,) = annotations.tasks()
    assert (told.id, told.name, told.older) == ("name:old one", "old one", True)
    (found,) = annotations.load()
    assert [shape["points"] for shape in found.shapes] == [[1.0, 2.0, 30.0, 40.0]] * 2
    assert len(found.frames) == 3
    after = {name: list(database[name].find()) for name in database.list_collection_names()}
    assert after == before
    assert [len(list(database[name].list_indexes())) for name in sorted(before)] == [1, 1, 1]


def test_a_task_takes_the_place_of_obdbs_one(annotations: AnnotationStore, database: Any) -> None:
    for name in ("old one", "old one more"):
        database["tasks"].insert_one({**HEAD, "name": name})
        database["meta"].insert_one({**META, "task_name": name})
        database["annotation_data"].insert_many(
            [obdb(n, "cat", 11, task_name=name) for n in (0, 2)]
        )
    annotations.put(boxes(1, "7", "old one"))
    assert [found.id for found in annotations.tasks()] == ["7", "name:old one more"]
    assert sizes(database) == {"tasks": 2, "meta": 2, "annotation_data": 3, "generations": 1}
    assert [len(found.shapes) for found in annotations.load()] == [1, 2]


def refused(monkeypatch: pytest.MonkeyPatch, uri: str) -> str:
    monkeypatch.setenv(VARIABLE, uri)
    monkeypatch.setattr(connections, "CONNECT_MS", 300)
    with pytest.raises(ServiceError) as caught:
        AnnotationStore.from_environment()
    assert "hunter2" not in str(caught.value)
    assert VARIABLE in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        (" ", "is not set, but annotations are kept in MongoDB; expected mongodb://user:"),
        ("http://me:hunter2@db/x", "cannot be read; expected mongodb://"),
        ("hunter2", "cannot be read; expected mongodb://"),
        ("mongodb://me:a@hunter2@db/x", "write special characters of user and password as %XX"),
        ("mongodb://me:hunter2%zz@db:x/x", "cannot be read"),
        ("mongodb://me:hunter2@db:99999/x", "cannot be read"),
        ("mongodb://me:hunter2@db/x?authMechanism=hunter2", "cannot be read"),
        ("mongodb://me:hunter2@127.0.0.1:1/x", "no MongoDB answers at 127.0.0.1:1 ("),
        ("mongodb://me:hunter2@no.such.invalid/x", "no MongoDB answers at no.such.invalid:27017 ("),
    ],
)
def test_an_address_that_leads_nowhere(
    uri: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert text in refused(monkeypatch, uri)


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        uri = f"mongodb://me:hunter2@127.0.0.1:{port}/x"
        assert f"no MongoDB answers at 127.0.0.1:{port}" in refused(monkeypatch, uri)


def test_what_the_server_refuses(
    mongodb: str, mongo_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, rest = mongodb.partition("@")
    place = rest.partition("/")[0]
    if place == rest:
        pytest.skip("the server asks for no password")
    wrong = with_database(f"mongodb://trainyard:hunter2@{rest}", mongo_database)
    said = refused(monkeypatch, wrong)
    assert f"{place} does not let the user in" in said
    assert "correct user and password" in said
    said = refused(monkeypatch, f"mongodb://{place}/{mongo_database}")
    assert f"{place} does not permit this" in said


def test_the_database_of_the_address_wins(
    mongodb: str, mongo_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AnnotationStore.from_environment() as opened:
        opened.put(boxes(1))
    with client(mongodb) as connection:
        assert connection[mongo_database]["tasks"].count_documents({}) == 1
    bare = with_database(mongodb, "")
    monkeypatch.setenv(VARIABLE, bare)
    client_, database = connections.connect()
    client_.close()
    assert database.name == "annotations"


def test_a_connection_that_breaks_is_made_again(
    annotations: AnnotationStore, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything goes through twice, as if each answer had been lost once."""
    from pymongo.collection import Collection
    from pymongo.errors import AutoReconnect

    monkeypatch.setattr(connections, "WAITS", (0.0,))
    annotations.put(boxes(3))
    for name in ("insert_many", "replace_one", "delete_many", "delete_one"):
        real = getattr(Collection, name)

        def lost(self: Any, *given: Any, real: Any = real, seen: list = [], **more: Any) -> Any:  # noqa: B006
            answer = real(self, *given, **more)
            seen.append(1)
            if len(seen) % 2:
                raise AutoReconnect("connection closed")
            return answer

        monkeypatch.setattr(Collection, name, lost)
    annotations.put(boxes(4))
    annotations.put(boxes(2))
    monkeypatch.undo()
    assert list(annotations.load()) == [boxes(2)]
    assert sizes(database) == {"tasks": 1, "meta": 1, "annotation_data": 2, "generations": 1}
