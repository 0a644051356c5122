"""annotation_sync from CVAT, against the small server of tests/cvat_server.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cvat_server import PASSWORD, CvatServer, running_cvat
from labelled_images import picture
from synced_annotations import sync

from components.check_changes.stage import STAGE as CHECK
from components.check_changes.stage import CheckSettings
from components.core.errors import InputError, ServiceError

LATER = "2024-06-01T08:00:00.000000Z"


def number(cvat: CvatServer, name: str) -> int:
    [found] = [number for number, task in cvat.tasks.items() if task["name"] == name]
    return found


def box(label: str, frame: int, *points: float, **more: Any) -> dict[str, Any]:
    return {
        "type": "rectangle", "frame": frame, "label": label, "points": [*points], **more,
    }  # fmt: skip


@pytest.fixture
def cvat(monkeypatch: pytest.MonkeyPatch) -> Iterator[CvatServer]:
    """Two completed tasks, one of them a video, and one that is not completed."""
    with running_cvat() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.add_task(
            "field",
            ["crop", "weed"],
            [("north/a.png", 64, 48), ("north/b.png", 64, 48), ("north/c.png", 64, 48)],
            shapes=[
                box("weed", 0, 1, 2, 30, 40),
                box("crop", 2, 5, 5, 20, 21),
                box("weed", 2, 5, 5, 5, 21),
            ],
            tags=[{"frame": 1, "label": "weed"}],
            status="completed",
        )
        server.add_task(
            "film",
            ["weed"],
            [("film.mp4", 64, 48)],
            tracks=[
                {
                    "frame": 0,
                    "label": "weed",
                    "shapes": [
                        {"type": "rectangle", "frame": 0, "points": [0, 0, 10, 10],
                         "outside": False, "occluded": False, "attributes": []},
                        {"type": "rectangle", "frame": 2, "points": [20, 20, 30, 30],
                         "outside": False, "occluded": False, "attributes": []},
                    ],
                }
            ],
            video=3,
            status="completed",
        )  # fmt: skip
        server.add_task("draft", ["weed"], [("d.png", 64, 48)], shapes=[box("weed", 0, 1, 1, 9, 9)])
        yield server


def test_completed_tasks_with_their_images(
    tmp_path: Path, cvat: CvatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    found = sync(tmp_path, origin="cvat")
    assert found.index.source == cvat.url
    assert found.counts == {"crop": 1, "weed": 4}
    images = found.images
    assert [*images] == [
        "north/a.png",
        "north/b.png",
        "north/c.png",
        *(f"film/frame_00000{number}.png" for number in range(3)),
    ]
    between = images["film/frame_000001.png"]
    assert [(s.points, s.keyframe) for s in between.shapes] == [((10, 10, 20, 20), False)]
    assert (between.task, between.group, between.frame) == ("film", "film", 1)
    assert all(image.path and image.path.is_file() for image in images.values())
    assert [(p["kind"], p["file"]) for p in found.problems] == [
        ("zero_area", f"task 'field' ({number(cvat, 'field')})")
    ]
    said = capsys.readouterr().err
    assert f"2 tasks of {cvat.url}: 2 new or changed, 0 here already" in said
    assert PASSWORD not in said + found.report
    assert "taken from another folder" not in said  # where they were fetched to is our own affair


def test_a_second_run_fetches_only_what_changed(
    tmp_path: Path, cvat: CvatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    first = sync(tmp_path, origin="cvat")
    asked = len(cvat.requests)
    again = sync(tmp_path, origin="cvat")
    assert again.index.fingerprint == first.index.fingerprint
    paths = {request.path.split("?")[0] for request in cvat.requests[asked:]}
    assert not any("annotations" in path or "/data" in path for path in paths), paths
    asked = len(cvat.requests)
    # Other settings have another state, but get nothing twice either.
    other = sync(tmp_path, origin="cvat", classes=["weed"])
    assert other.counts == {"weed": 4}
    assert cvat.count("GET", "/annotations") == 2
    assert not any("/data" in request.path for request in cvat.requests[asked:])
    field = cvat.tasks[number(cvat, "field")]
    [weed] = [label["id"] for label in field["labels"] if label["name"] == "weed"]
    added = {"type": "rectangle", "label_id": weed, "points": [1, 1, 20, 20], "frame": 1}
    cvat.draw(field, "shapes", added)
    field["updated_date"] = LATER
    capsys.readouterr()
    changed = sync(tmp_path, origin="cvat")
    assert changed.counts == {"crop": 1, "weed": 5}
    assert changed.index.fingerprint != first.index.fingerprint
    assert "1 new or changed, 1 here already" in capsys.readouterr().err
    assert cvat.count("GET", "/annotations") == 3


def test_it_is_told_when_no_new_task_was_completed(tmp_path: Path, cvat: CvatServer) -> None:
    def answer(settings: dict[str, Any]) -> str:
        found = sync(tmp_path, origin="cvat", classes=["crop", "weed"])
        out = found.folder.parent / "decision"
        given = CheckSettings(only_if_changed=True, model_name="weeds", **settings)
        return str(
            CHECK.execute(given, {"dataset": found.folder}, {"decision": out}, tmp_path / "state")[
                "decision"
            ]["reason"]
        )

    repository = tmp_path / "repository"
    settings = {"repository": str(repository)}
    assert "no published version yet" in answer(settings)
    version = repository / "weeds" / "1"
    version.mkdir(parents=True)
    (version / "model.onnx").touch()
    fingerprint = sync(tmp_path, origin="cvat", classes=["crop", "weed"]).index.fingerprint
    (version / "model_card.json").write_text(f'{{"data": {{"images": "{fingerprint}"}}}}')
    assert answer(settings) == "nothing changed since version 1 of weeds"
    cvat.tasks[number(cvat, "draft")]["status"] = "completed"
    assert answer(settings) == "training: the data is other than that of version 1 of weeds"


def test_tasks_by_status_name_and_number(tmp_path: Path, cvat: CvatServer) -> None:
    def names(**settings: Any) -> list[str]:
        return [*sync(tmp_path, origin="cvat", **settings).index.counts.tasks]

    assert names() == ["field", "film"]
    assert names(task_status="") == ["draft", "field", "film"]
    assert names(task_status="annotation") == ["draft"]
    assert names(tasks=[str(number(cvat, "field"))]) == names(tasks=["fie*"]) == ["field"]
    with pytest.raises(InputError, match=r"'films' \(did you mean 'film'\?\).*; there are draft"):
        names(tasks=["films"])
    with pytest.raises(InputError, match="none of 1 task has the status completed"):
        names(tasks=["draft"])


def test_images_of_the_share(tmp_path: Path, cvat: CvatServer) -> None:
    share = tmp_path / "share"
    for name in ("north/a.png", "north/c.png", "elsewhere/other.png"):
        picture(share / "fielddata" / name, 64, 48)
    found = sync(tmp_path, origin="cvat", images=str(share), tasks=["field"])
    assert [*found.images] == ["north/a.png", "north/c.png"]
    # What else lies on the share is no problem.
    assert [p["kind"] for p in found.problems] == ["missing_image", "zero_area"]
    assert [r for r in cvat.asked("GET", "/data/") if "meta" not in r.path] == []


def test_a_task_that_cannot_be_read_does_not_stop_the_others(
    tmp_path: Path, cvat: CvatServer
) -> None:
    empty = cvat.new_task({"name": "empty", "labels": ["weed"]})
    empty["status"] = "completed"
    found = sync(tmp_path, origin="cvat")
    assert [*found.index.counts.tasks] == ["field", "film"]
    [problem] = [p for p in found.problems if p["kind"] == "unreadable"]
    assert problem["file"] == f"task 'empty' ({empty['id']})"
    assert "has no images: they were never uploaded" in problem["what"]
    with pytest.raises(InputError, match="they were never uploaded"):
        sync(tmp_path, origin="cvat", strict=True)


def test_a_download_goes_on_where_it_ended(tmp_path: Path, cvat: CvatServer) -> None:
    picture(tmp_path / "share" / "north" / "a.png", 64, 48)
    sync(tmp_path, origin="cvat", tasks=["field"], images=str(tmp_path / "share"))
    cvat.fail(403, 1, "GET", "/data/")
    with pytest.raises(ServiceError, match="getting image"):
        sync(tmp_path, origin="cvat", tasks=["field"])
    assert len(list((tmp_path / "state").rglob("work/cvat/**/north/*.png"))) < 3
    assert len(sync(tmp_path, origin="cvat", tasks=["field"]).images) == 3
    images = [r for r in cvat.asked("GET", "/data/") if "meta" not in r.path]
    assert len(images) == 4  # the one that failed, twice
