"""annotation_sync with the annotation database: filled from CVAT and from files, and read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cvat_server import CvatServer, running_cvat
from labelled_images import every_kind, picture, rectangle
from synced_annotations import sync, write_coco

from components.core.annotation_store import AnnotationStore, StoredTask
from components.core.errors import InputError, ProblemsError
from components.core.formats.shapes import AnnotatedImage

LATER = "2024-06-01T08:00:00.000000Z"


@pytest.fixture
def cvat(monkeypatch: pytest.MonkeyPatch) -> Iterator[CvatServer]:
    with running_cvat() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        for name, status in (("one", "completed"), ("two", "completed"), ("draft", "annotation")):
            shape = {"type": "rectangle", "frame": 0, "label": "weed", "points": [1, 2, 30, 40]}
            server.add_task(
                name,
                [{"name": "weed", "attributes": [attribute()]}, "crop"],
                [(f"{name}/a.png", 64, 48), (f"{name}/b.png", 64, 48)],
                shapes=[shape, {**shape, "label": "crop", "rotation": 20.0, "occluded": True}],
                status=status,
            )
        yield server


def attribute() -> dict[str, Any]:
    return {"name": "age", "input_type": "text", "mutable": False, "values": [""]}


@pytest.fixture
def share(tmp_path: Path) -> Path:
    for name in ("one", "two", "draft"):
        for letter in "ab":
            path = picture(tmp_path / "share" / name / f"{letter}.png", 64, 48)
            path.write_bytes(path.read_bytes() + name.encode() + letter.encode())
    return tmp_path / "share"


def stored() -> dict[str, StoredTask]:
    with AnnotationStore.from_environment() as store:
        return {task.name: task for task in store.tasks()}


def test_what_is_in_the_database_unchanged_is_not_fetched_from_cvat(
    tmp_path: Path,
    cvat: CvatServer,
    share: Path,
    mongo_database: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(place: str = "here", **settings: Any) -> str:
        found = sync(tmp_path / place, origin="cvat", database=True, images=str(share), **settings)
        return found.index.fingerprint

    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    first = run()
    assert set(stored()) == {"one", "two"}
    assert cvat.count("GET", "/annotations") == 2
    # Another machine, which has nothing but the database.
    assert run("there") == first
    assert cvat.count("GET", "/annotations") == 2
    [two] = [task for task in cvat.tasks.values() if task["name"] == "two"]
    two["shapes"][0]["points"] = [1, 2, 31, 40]
    two["updated_date"] = LATER
    capsys.readouterr()
    assert run("there") != first
    assert "2 tasks of http" in (said := capsys.readouterr().err)
    assert "1 new or changed, 1 here already" in said
    assert cvat.count("GET", "/annotations") == 3
    from_database = sync(tmp_path / "there", origin="database", images=str(share))
    assert from_database.counts == {"weed": 2, "crop": 2}
    assert from_database.images["two/a.png"].shapes[0].points == (1, 2, 31, 40)
    assert from_database.index.source == "the annotation database"


def test_tasks_that_are_gone_are_marked_and_removed_only_on_request(
    tmp_path: Path,
    cvat: CvatServer,
    share: Path,
    mongo_database: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options: dict[str, Any] = {"origin": "cvat", "database": True, "images": str(share)}
    sync(tmp_path, **options)
    [gone] = [number for number, task in cvat.tasks.items() if task["name"] == "one"]
    del cvat.tasks[gone]
    [two] = [task for task in cvat.tasks.values() if task["name"] == "two"]
    two["status"] = "annotation"  # it is being worked on again, and not gone
    for job in two["jobs"]:
        job["state"] = "in progress"
    [draft] = [task for task in cvat.tasks.values() if task["name"] == "draft"]
    draft["status"] = "completed"
    assert [*sync(tmp_path, **options, tasks=["draft"]).index.counts.tasks] == ["draft"]
    assert not stored()["one"].vanished  # that one task was asked for says nothing about others
    sync(tmp_path, **options)
    assert {name: bool(task.vanished) for name, task in stored().items()} == {
        "one": True,
        "two": False,
        "draft": False,
    }
    assert "has no more: " in (said := capsys.readouterr().err)
    assert f"{gone}; marked there" in said
    found = sync(tmp_path, origin="database", images=str(share), task_status="")
    assert [*found.index.counts.tasks] == ["draft", "two"]
    del cvat.tasks[two["id"]]
    sync(tmp_path, **options, remove_vanished=True)
    assert set(stored()) == {"draft"}


def test_files_are_kept_as_tasks_and_read_again(
    tmp_path: Path, mongo_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "source"
    images = [
        AnnotatedImage("north/a.png", 100, 80, every_kind(), task="north"),
        AnnotatedImage("north/b.png", 100, 80, [], task="north", part="val", group="film"),
        AnnotatedImage("c.png", 100, 80, [rectangle("cat", 1, 2, 30, 40)]),
    ]
    for image in images:
        path = picture(folder / "images" / image.name)
        path.write_bytes(path.read_bytes() + image.name.encode())
    write_coco(folder, images, ["dog", "cat"])
    first = sync(tmp_path, annotations=str(folder), database=True)
    tasks = stored()
    assert {name: (task.id, task.frames) for name, task in tasks.items()} == {
        "north": ("name:north", 2),
        "source": ("name:source", 1),
    }
    found = sync(tmp_path, origin="database", images=str(folder / "images"), classes=["dog", "cat"])
    assert found.counts == first.counts
    assert found.index.counts.shapes == first.index.counts.shapes
    assert {n: i.part for n, i in found.images.items()} == {
        n: i.part for n, i in first.images.items()
    }
    sync(tmp_path, annotations=str(folder), database=True, connections=2)
    assert "2 tasks in the annotation database: 2 new or changed" in (said := read(capsys))
    assert "2 tasks in the annotation database: 0 new or changed" in said
    assert stored() == tasks
    images[2].shapes[0] = rectangle("cat", 1, 2, 30, 41)
    write_coco(folder, images, ["dog", "cat"])
    sync(tmp_path, annotations=str(folder), database=True)
    assert "2 tasks in the annotation database: 1 new or changed" in read(capsys)
    assert stored()["north"] == tasks["north"]


def read(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_a_database_without_tasks_or_with_a_wrong_password(
    tmp_path: Path, mongo_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = picture(tmp_path / "images" / "a.png").parent
    with pytest.raises(InputError, match="has no tasks to take: there are none"):
        sync(tmp_path, origin="database", images=str(folder))
    monkeypatch.setenv("TRAINYARD_MONGODB_URI", "mongodb://127.0.0.1:1/x")
    with pytest.raises(
        ProblemsError, match=r"origin database: .*no MongoDB answers at 127.0.0.1:1"
    ):
        sync(tmp_path, origin="database", images=str(folder))


def test_tasks_of_another_source_are_not_replaced(
    tmp_path: Path, mongo_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def source(place: str, names: str) -> Path:
        folder = tmp_path / place
        images = [
            AnnotatedImage(f"{n}.png", 100, 80, [rectangle("cat", 1, 2, 9, 9)]) for n in names
        ]
        for image in images:
            picture(folder / "images" / image.name)
        write_coco(folder, images, ["cat"])
        return folder

    first, second = source("p1/data", "ab"), source("p2/data", "bcd")
    sync(tmp_path, annotations=str(first), database=True)
    before = stored()
    with pytest.raises(InputError, match="1 task of other annotations") as caught:
        sync(tmp_path, annotations=str(second), database=True)
    assert f"'data', from {first}" in str(caught.value)
    assert "rename the folder" in str(caught.value)
    assert stored() == before
    renamed = second.rename(tmp_path / "p2/other")
    sync(tmp_path, annotations=str(renamed), database=True)
    source("p1/data", "abc")  # the same source may change
    sync(tmp_path, annotations=f"{first}/", database=True)
    assert {name: task.frames for name, task in stored().items()} == {"data": 3, "other": 3}
