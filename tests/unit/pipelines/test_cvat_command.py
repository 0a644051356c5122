"""`trainyard cvat` against a small server that speaks as CVAT 2.x does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from click.testing import CliRunner, Result
from cvat_server import CvatServer, running_cvat
from labelled_images import picture, rectangle

from components.core.formats import cvat_xml
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from pipelines.cli import main

FRAMES = [("a/1.png", 64, 48), ("a/2.png", 64, 48)]
UNCHANGED = "nothing was changed; add --yes"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CvatServer]:
    share = tmp_path / "share"
    share.mkdir()
    with running_cvat(share=share) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def cvat(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["cvat", *words])
    assert result.exit_code == code, result.output
    return result


def output(*words: str) -> str:
    return cvat(*words).stdout


def refusal(*words: str, code: int = 3) -> str:
    return cvat(*words, code=code).stderr


def box(frame: int, label: str, *points: float, **more: object) -> dict[str, object]:
    return {"type": "rectangle", "frame": frame, "label": label, "points": [*points], **more}


def boxes(server: CvatServer, task: int) -> list[tuple[int, str, list[float], str]]:
    """Frame, label, points and source of what is drawn."""
    names = {label["id"]: label["name"] for label in server.tasks[task]["labels"]}
    drawn = server.annotations(task)["shapes"]
    return sorted((s["frame"], names[s["label_id"]], s["points"], s["source"]) for s in drawn)


def changing(server: CvatServer) -> list[str]:
    """Requests that changed something, logins left out."""
    return [
        f"{one.method} {one.path}"
        for one in server.requests
        if one.method not in ("GET", "HEAD") and "auth" not in one.path
    ]


def test_list(server: CvatServer) -> None:
    assert output("list") == "no tasks\n"
    first = server.add_task("field 1", ["weed"], FRAMES, status="completed")
    second = server.add_task("field 2", ["weed"], FRAMES)
    lines = output("list").splitlines()
    assert lines[0].split() == ["task", "status", "frames", "updated", "name"]
    assert lines[1].split() == [
        str(first), "completed", "2", "2024-05-02", "08:00", "field", "1",
    ]  # fmt: skip
    assert [one["id"] for one in json.loads(output("list", "--json", "--name", "*2"))] == [
        str(second)
    ]
    assert "field 2" not in output("list", "--status", "completed")
    assert changing(server) == []


def test_without_a_server_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINYARD_CVAT_URL", raising=False)
    assert "TRAINYARD_CVAT_URL is not set" in refusal("list", code=4)


def test_delete_takes_only_what_is_named_and_only_with_yes(server: CvatServer) -> None:
    names = ("FieldData_1", "FieldData_1b", "twice", "twice")
    numbers = [server.add_task(name, ["weed"], FRAMES) for name in names]
    for pattern in ("FieldData_*", "all", "*", "FieldData"):
        assert f"there is no task {pattern!r}" in refusal("delete", pattern, "--yes")
    text = refusal("delete", "twice", "FieldData_1", "--yes")
    assert f"'twice' is the name of the tasks {numbers[2]}, {numbers[3]}" in text
    assert changing(server) == []
    told = output("delete", "FieldData_1")
    assert f"{numbers[0]}  FieldData_1  (2 frames, annotation)" in told
    assert told.endswith(f"{UNCHANGED}\n")
    assert changing(server) == []
    assert f"task {numbers[3]}: deleted" in output(
        "delete", "FieldData_1", str(numbers[3]), "--yes"
    )
    assert sorted(server.tasks) == [numbers[1], numbers[2]]


def test_complete_sets_all_jobs_of_a_task(server: CvatServer) -> None:
    one = server.add_task("one", ["weed"], FRAMES, jobs=2)
    other = server.add_task("other", ["weed"], FRAMES)
    assert f"task {one}: 2 jobs changed" in output("complete", "one")
    assert {job["state"] for job in server.tasks[one]["jobs"]} == {"completed"}
    assert {job["state"] for job in server.tasks[other]["jobs"]} == {"new"}
    assert f"task {one}: 0 jobs changed" in output("complete", str(one))


def test_backup_is_whole_or_not_at_all(server: CvatServer, tmp_path: Path) -> None:
    good = server.add_task("a/b: c", ["weed"], FRAMES, [box(0, "weed", 1, 2, 9, 10)])
    bad = server.add_task("locked", ["weed"], FRAMES)
    server.fail(403, path=f"/tasks/{bad}/dataset/export")
    text = refusal("backup", "--all", str(tmp_path / "saved"), code=4)
    assert f"task {bad} (locked)" in text
    (folder,) = (tmp_path / "saved").glob("*/*")
    assert folder.name == f"{good}_a_b__c"
    assert sorted(path.name for path in folder.iterdir()) == [
        "coco.zip", "cvat.zip", "task.json", "voc.zip",
    ]  # fmt: skip
    saved = json.loads((folder / "task.json").read_text())
    assert saved["shapes"][0]["points"] == [1, 2, 9, 10]
    assert [frame["name"] for frame in saved["frames"]] == ["a/1.png", "a/2.png"]
    assert ZipFile(folder / "cvat.zip").namelist()
    assert len(list((tmp_path / "saved").rglob("*.partial*"))) == 0


def test_backup_of_named_tasks_or_all_but_not_both(server: CvatServer, tmp_path: Path) -> None:
    server.add_task("one", ["weed"], FRAMES)
    two = server.add_task("two", ["weed"], FRAMES)
    output("backup", "two", "--images", str(tmp_path / "saved"))
    assert [path.name for path in (tmp_path / "saved").glob("*/*")] == [f"{two}_two"]
    (restorable,) = (tmp_path / "saved").rglob("cvat_backup.zip")
    assert ZipFile(restorable).namelist() == ["task.json"]
    cvat("backup", "two", "--all", str(tmp_path / "saved"), code=2)
    cvat("backup", str(tmp_path / "saved"), code=2)


class TestPushVerified:
    def test_completed_tasks_go_into_the_truth_in_bulk(self, server: CvatServer) -> None:
        truth = server.add_task(
            "gt_train_FieldData_20220601_1L_GH020068",
            ["crop", "weed"],
            FRAMES,
            [
                box(0, "weed", 0, 0, 20, 20),
                box(0, "crop", 40, 0, 60, 20),
                box(1, "weed", 0, 0, 9, 9),
            ],
        )
        other = server.add_task("gt_train_FieldData_20220601_1R_GH020068", ["weed"], FRAMES)
        verified = [box(1, "weed", 20 + n / 10, 20, 40 + n / 10, 40) for n in range(100)]
        server.add_task(
            "auto_annotation_resnet18_2023_FieldData 20220601 1L GH020068",
            ["weed", "crop"],
            [("share/a/1.png", 64, 48), ("share/a/2.png", 64, 48)],
            [*verified, box(0, "weed", 1, 0, 21, 20), box(0, "crop", 40, 0, 60, 20)],
            status="completed",
        )
        server.add_task("auto_annotation_x_FieldData_20220601_1R_GH020068", ["weed"], FRAMES)
        push = ["push-verified", "--from", "auto_annotation_*", "--to", "gt_*"]
        before = boxes(server, truth)
        plan = output(*push)
        assert "100 new boxes, 1 changed, 1 as they are" in plan
        assert "1R_GH020068 is not completed: left out" in plan
        assert plan.endswith(f"{UNCHANGED}\n")
        assert (boxes(server, truth), changing(server)) == (before, [])
        output(*push, "--yes")
        assert len(changing(server)) == 2
        assert boxes(server, other) == []
        after = boxes(server, truth)
        assert len(after) == 103
        assert (0, "weed", [1, 0, 21, 20], "manual") in after
        assert {source for *_, source in after} == {"manual"}
        assert "the ground truth holds all of it already" in output(*push, "--yes")
        assert boxes(server, truth) == after

    def test_removing_what_is_missing_must_be_asked_for(self, server: CvatServer) -> None:
        truth = server.add_task("gt", ["weed"], FRAMES, [box(0, "weed", 0, 0, 20, 20)])
        auto = server.add_task("auto", ["weed"], FRAMES, status="completed")
        push = ["push-verified", "--pair", f"{auto}=gt", "--yes"]
        output(*push)
        assert len(boxes(server, truth)) == 1
        assert "1 removed" in output(*push, "--remove-missing")
        assert boxes(server, truth) == []

    def test_two_tasks_for_the_same_truth_do_not_double_boxes(self, server: CvatServer) -> None:
        truth = server.add_task("FieldData_1", ["weed"], FRAMES)
        for model in ("a", "b"):
            server.add_task(
                f"auto_{model}_FieldData_1",
                ["weed"],
                FRAMES,
                [box(0, "weed", 0, 0, 20, 20)],
                status="completed",
            )
        output("push-verified", "--from", "auto_*", "--to", "FieldData_*", "--yes")
        assert boxes(server, truth) == [(0, "weed", [0, 0, 20, 20], "manual")]

    def test_names_pair_wholly_never_by_containment(self, server: CvatServer) -> None:
        server.add_task("FieldData_1", ["weed"], FRAMES)
        server.add_task("FieldData_10", ["weed"], FRAMES)
        server.add_task("auto_FieldData_1", ["weed"], FRAMES, status="completed")
        server.add_task("auto_FieldData_3", ["weed"], FRAMES, status="completed")
        text = refusal("push-verified", "--from", "auto_*", "--to", "FieldData_*", "--yes")
        assert "'auto_FieldData_3' belongs to no task: give --pair" in text
        assert "auto_FieldData_1'" not in text
        assert changing(server) == []

    def test_a_name_without_the_key_belongs_to_the_task_it_ends_with(
        self, server: CvatServer
    ) -> None:
        server.add_task("meadow", ["weed"], FRAMES)
        server.add_task("old meadow", ["weed"], FRAMES)
        auto = server.add_task("auto_net_2024_meadow", ["weed"], FRAMES, status="completed")
        plan = output("push-verified", "--from", "auto_*", "--to", "*meadow")
        assert f"auto_net_2024_meadow ({auto}) → meadow" in plan

    def test_everything_that_is_unknown_is_told_before_any_change(self, server: CvatServer) -> None:
        server.add_task("FieldData_1", ["weed"], FRAMES)
        server.add_task("FieldData_2", ["weed"], FRAMES[:1])
        server.add_task(
            "auto_FieldData_1", ["weed", "crop"], FRAMES,
            [box(0, "weed", 0, 0, 9, 9), box(0, "crop", 0, 0, 9, 9)], status="completed",
        )  # fmt: skip
        server.add_task(
            "auto_FieldData_2", ["weed"], FRAMES, [box(1, "weed", 0, 0, 9, 9)], status="completed"
        )
        text = refusal("push-verified", "--from", "auto_*", "--to", "FieldData_*", "--yes")
        assert "'FieldData_1' has no label 'crop'" in text
        assert "frame 'a/2.png' of 'auto_FieldData_2' is not in 'FieldData_2'" in text
        assert changing(server) == []

    def test_what_is_not_verified_is_refused(self, server: CvatServer) -> None:
        server.add_task("gt", ["weed"], FRAMES)
        server.add_task("auto", ["weed"], FRAMES)
        text = refusal("push-verified", "--pair", "auto=gt", "--pair", "x=gt", "--pair", "gt")
        assert "'auto' is not completed" in text
        assert "there is no task 'x'" in text
        assert "'gt', accepted is verified=truth" in text
        cvat("push-verified", code=2)
        cvat("push-verified", "--from", "a*", code=2)


class TestUploadXml:
    def images(self, folder: Path, *names: str) -> list[AnnotatedImage]:
        return [AnnotatedImage(name, 64, 48, path=picture(folder / name, 64, 48)) for name in names]

    def test_every_file_becomes_a_task_in_one_request(
        self, server: CvatServer, tmp_path: Path
    ) -> None:
        folder = tmp_path / "xml"
        first = self.images(folder / "images", "b.png", "a.png", "empty.png")
        first[0].shapes = [
            rectangle("weed", 1, 2, 9 + n, 10, attributes={"score": "0.5"}) for n in range(50)
        ]
        first[1].shapes = [Shape("crop", Kind.POLYGON, (1, 1, 9, 1, 9, 9)), Shape("crop", Kind.TAG)]
        for image in first:
            image.task = "meadow"
        cvat_xml.write(folder / "1.xml", first, ["weed", "crop"])
        second = self.images(folder / "images", "c.png")
        second[0].task = "hill"
        cvat_xml.write(folder / "deep" / "2.xml", second, ["weed"])
        told = output("upload-xml", str(folder))
        assert "meadow: 3 images, 52 shapes, a new task, images sent" in told
        names = {task["name"]: number for number, task in server.tasks.items()}
        assert set(names) == {"meadow", "hill"}
        assert len(server.tasks[names["meadow"]]["meta"]["frames"]) == 3
        drawn = server.annotations(names["meadow"])
        assert (len(drawn["shapes"]), len(drawn["tags"])) == (51, 1)
        frames = [frame["name"] for frame in server.tasks[names["meadow"]]["meta"]["frames"]]
        weeds = [shape for shape in drawn["shapes"] if shape["type"] == "rectangle"]
        assert {frames[shape["frame"]] for shape in weeds} == {"b.png"}
        assert {shape["attributes"][0]["value"] for shape in weeds} == {"0.5"}
        assert server.count("PATCH", "/annotations") <= 2
        assert "there is a task of this name already" in refusal("upload-xml", str(folder), code=3)
        assert len(server.tasks) == 2

    def test_images_may_lie_on_the_share(self, server: CvatServer, tmp_path: Path) -> None:
        assert server.share is not None
        images = self.images(server.share / "field", "a/1.png", "a/2.png")
        images[1].shapes = [rectangle("weed", 1, 2, 9, 10)]
        path = tmp_path / "xml" / "x.xml"
        cvat_xml.write(path, images, ["weed"], "meadow")
        assert "2 images not found" in refusal("upload-xml", str(path))
        output("upload-xml", str(path), "--share", "/field/")
        (task,) = server.tasks
        assert [frame["name"] for frame in server.tasks[task]["meta"]["frames"]] == [
            "field/a/1.png", "field/a/2.png",
        ]  # fmt: skip
        assert boxes(server, task) == [(1, "weed", [1, 2, 9, 10], "manual")]

    def test_into_fills_the_task_of_the_name(self, server: CvatServer, tmp_path: Path) -> None:
        images = [AnnotatedImage("1.png", 64, 48), AnnotatedImage("2.png", 64, 48)]
        images[1].shapes = [rectangle("weed", 1, 2, 9, 10), rectangle("stone", 1, 2, 9, 10)]
        cvat_xml.write(tmp_path / "meadow.xml", images, ["weed", "stone"])
        into = ["upload-xml", str(tmp_path), "--into"]
        assert "there is no task 'meadow'" in refusal(*into)
        task = server.add_task("meadow", ["weed"], FRAMES)
        assert "no label 'stone'" in refusal(*into)
        images[1].shapes.pop()
        cvat_xml.write(tmp_path / "meadow.xml", images, ["weed"])
        output(*into)
        assert boxes(server, task) == [(1, "weed", [1, 2, 9, 10], "manual")]
        assert f"task {task} holds 1 annotation already" in refusal(*into)
        images[1].shapes = [rectangle("weed", 5, 5, 9, 10)]
        cvat_xml.write(tmp_path / "meadow.xml", images, ["weed"])
        told = output(*into, "--replace")
        assert "1 that are there go" in told
        assert told.endswith(f"{UNCHANGED}\n")
        output(*into, "--replace", "--yes")
        assert boxes(server, task) == [(1, "weed", [5, 5, 9, 10], "manual")]

    def test_what_is_not_sent_is_not_said_to_be_left_out(
        self, server: CvatServer, tmp_path: Path
    ) -> None:
        images = self.images(tmp_path, "a.png")
        images[0].shapes = [rectangle("weed", 1, 2, 900, 10), rectangle("weed", 5, 5, 5, 9)]
        cvat_xml.write(tmp_path / "a.xml", images, ["weed"])
        told = refusal("upload-xml", str(tmp_path))
        assert "2 problems in the upload; nothing was sent" in told
        assert re.search(
            r"reaches from \(1, 2\) to \(900, 10\) in an image of .* pixels$", told, re.M
        )
        assert re.search(r"has no area \(0 x 4 pixels\)$", told, re.M)
        assert server.tasks == {}

    def test_one_damaged_file_stops_all(self, server: CvatServer, tmp_path: Path) -> None:
        images = self.images(tmp_path, "a.png")
        cvat_xml.write(tmp_path / "a.xml", images, ["weed"])
        (tmp_path / "b.xml").write_text("<annotations><image", encoding="utf-8")
        assert "b.xml" in refusal("upload-xml", str(tmp_path))
        assert server.tasks == {}
