"""auto_annotate with the server of CVAT's API that tests have; no live CVAT is asked."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from colour_detector import CLASSES, paint, write_detector, write_evaluation
from cvat_server import CvatServer, running_cvat
from PIL import Image
from servers import S3Server

from components.auto_annotate.stage import STAGE, AnnotateSettings
from components.core.artifacts.auto_annotation import AutoAnnotation
from components.core.errors import InputError, ProblemsError, ServiceError
from components.core.events import Reporter
from components.core.formats import coco
from pipelines.cli import main

SMALL, LARGE = (2, 2, 20, 20), (30, 30, 60, 60)
Place = tuple[str, str, list[float], str]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CvatServer]:
    share = tmp_path / "share"
    share.mkdir()
    with running_cvat(share=share) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    bundle = write_detector(tmp_path / "model")
    write_evaluation(tmp_path / "evaluation", bundle, dict.fromkeys(CLASSES, 0.5))
    return {"model": tmp_path / "model", "evaluation": tmp_path / "evaluation"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "share" / "field"
    paint(folder / "b/2.png", ("red", 1.0, SMALL), ("blue", 0.6, LARGE))
    paint(folder / "a/1.png", ("green", 0.9, SMALL))
    paint(folder / "a/3.png")
    return folder


def annotate(inputs: dict[str, Path], output: Path, **settings: Any) -> AutoAnnotation:
    STAGE.execute(
        AnnotateSettings(**settings),
        inputs,
        {"annotated": output},
        output.parent / "state",
        Reporter(STAGE.name, "silent"),
    )
    return AutoAnnotation.load(output)


def boxes(server: CvatServer, task: int) -> list[Place]:
    """Frame, label, points and source of what is drawn."""
    names = {label["id"]: label["name"] for label in server.tasks[task]["labels"]}
    frames = [frame["name"] for frame in server.tasks[task]["meta"]["frames"]]
    return sorted(
        (frames[s["frame"]], names[s["label_id"]], s["points"], s["source"])
        for s in server.annotations(task)["shapes"]
    )


def png(*objects: Any) -> bytes:
    path = io.BytesIO()
    image = paint_in_memory(*objects)
    image.save(path, "PNG")
    return path.getvalue()


def paint_in_memory(*objects: Any) -> Image.Image:
    image = Image.new("RGB", (64, 64))
    for name, score, (left, top, right, bottom) in objects:
        for x in range(left, right):
            for y in range(top, bottom):
                pixel = list(image.getpixel((x, y)))
                pixel[CLASSES.index(name)] = round(255 * score)
                image.putpixel((x, y), tuple(pixel))
    return image


def meadow(server: CvatServer, **more: Any) -> int:
    """A task of three frames, in which a person and a model have drawn."""
    frames = [("meadow/1.png", 64, 64), ("meadow/2.png", 64, 64), ("meadow/3.png", 64, 64)]
    images = [png(("red", 1.0, SMALL), ("blue", 0.6, LARGE)), png(("green", 0.9, SMALL)), png()]
    return server.add_task(
        more.pop("name", "meadow"),
        more.pop("labels", ["stone", *CLASSES]),
        frames,
        [
            {"type": "rectangle", "frame": 0, "label": "stone", "points": [3, 3, 21, 21]},
            {"type": "rectangle", "frame": 1, "label": "green", "points": [0, 0, 19, 19],
             "source": "auto"},
            {"type": "rectangle", "frame": 2, "label": "red", "points": [0, 0, 9, 9],
             "source": "auto"},
        ],
        images=dict(enumerate(images)),
        **more,
    )  # fmt: skip


def test_a_new_task_of_images_on_the_share(
    server: CvatServer, inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    index = annotate(
        inputs, tmp_path / "out", new_images=str(photos), upload=True, share_prefix="/field"
    )
    (number,) = server.tasks
    task = server.tasks[number]
    assert index.task == f"{number} {task['name']}"
    assert task["name"].startswith("auto_annotation_colours_20")
    assert task["name"].endswith("_field")
    assert [label["name"] for label in task["labels"]] == CLASSES
    assert [frame["name"] for frame in task["meta"]["frames"]] == [
        "field/a/1.png", "field/a/3.png", "field/b/2.png",
    ]  # fmt: skip
    assert boxes(server, number) == [
        ("field/a/1.png", "green", [2, 2, 20, 20], "auto"),
        ("field/b/2.png", "blue", [30, 30, 60, 60], "auto"),
        ("field/b/2.png", "red", [2, 2, 20, 20], "auto"),
    ]
    scores = sorted(s["attributes"][0]["value"] for s in server.annotations(number)["shapes"])
    assert scores == ["0.6000", "0.9020", "1.0000"]
    assert server.count("PATCH", "/annotations") == 1
    assert index.uploaded == 3


def test_many_boxes_are_one_request(
    server: CvatServer, inputs: dict[str, Path], tmp_path: Path
) -> None:
    for number in range(40):
        paint(
            tmp_path / f"many/{number:02}.png",
            ("red", 1.0, SMALL),
            ("green", 0.9, LARGE),
            ("blue", 0.7, (40, 2, 60, 20)),
        )
    index = annotate(inputs, tmp_path / "out", new_images=str(tmp_path / "many"), upload=True)
    assert index.uploaded == 120
    assert server.count("PATCH", "/annotations") == 1


def test_images_are_sent_where_they_are_on_no_share(
    server: CvatServer, inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    annotate(inputs, tmp_path / "out", new_images=str(photos), upload=True, upload_name="to verify")
    (number,) = server.tasks
    assert server.tasks[number]["name"] == "to verify"
    assert [place[:2] for place in boxes(server, number)] == [
        ("1.png", "green"), ("2.png", "blue"), ("2.png", "red"),
    ]  # fmt: skip


def test_files_of_one_name_are_refused_before_the_model_runs(
    server: CvatServer, inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    paint(photos / "c/1.png")
    with pytest.raises(InputError, match=r"a/1\.png and c/1\.png: set share_prefix"):
        annotate(inputs, tmp_path / "out", new_images=str(photos), upload=True)
    assert not list((tmp_path / "state").rglob("predictions.jsonl"))
    assert server.tasks == {}


def test_only_the_images_that_the_model_is_least_sure_of(
    server: CvatServer, inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    index = annotate(inputs, tmp_path / "out", new_images=str(photos), upload=True, upload_images=1)
    (number,) = server.tasks
    assert {place[0] for place in boxes(server, number)} == {"2.png"}
    assert (index.uploaded, index.images) == (2, 3)


@pytest.mark.parametrize("done", [False, True])
def test_a_crash_at_the_upload_makes_no_second_task(
    server: CvatServer, inputs: dict[str, Path], photos: Path, tmp_path: Path, done: bool
) -> None:
    # The connection breaks; nobody knows whether the boxes have arrived.
    server.fail(0, method="PATCH", path="/annotations", done=done)
    settings = {"new_images": str(photos), "upload": True}
    with pytest.raises(ServiceError):
        annotate(inputs, tmp_path / "out", **settings)
    (number,) = server.tasks
    index = annotate(inputs, tmp_path / "out", **settings)
    assert list(server.tasks) == [number]
    assert len(boxes(server, number)) == 3
    assert index.uploaded == 3
    # And once more, as a later run of the pipeline.
    annotate(inputs, tmp_path / "again", **settings)
    assert list(server.tasks) == [number]
    assert len(boxes(server, number)) == 3


def test_a_crash_while_the_task_was_made_is_cleared(
    server: CvatServer, inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    settings = {"new_images": str(photos), "upload": True, "upload_name": "to verify"}
    server.fail(400, path="/data")
    with pytest.raises(ServiceError):
        annotate(inputs, tmp_path / "out", **settings)
    # What a process leaves that is killed before it can take the empty task away.
    server.new_task({"name": "to verify", "labels": CLASSES})
    annotate(inputs, tmp_path / "out", **settings)
    (number,) = server.tasks
    assert len(boxes(server, number)) == 3


def test_a_task_of_somebody_else_is_left_alone(
    server: CvatServer, inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    number = meadow(server)
    before = boxes(server, number)
    with pytest.raises(InputError, match=f"a task 'meadow' is there already \\({number}\\)"):
        annotate(
            inputs, tmp_path / "out", new_images=str(photos), upload=True, upload_name="meadow"
        )
    assert (list(server.tasks), boxes(server, number)) == ([number], before)
    assert not list((tmp_path / "state").rglob("predictions.jsonl"))


def test_frames_come_from_cvat_and_what_is_drawn_stays(
    server: CvatServer, inputs: dict[str, Path], tmp_path: Path
) -> None:
    number = meadow(server)
    index = annotate(inputs, tmp_path / "out", cvat_task="meadow")
    images = {i.name: i for i in coco.read(tmp_path / "out/annotations.json").images}
    # The red box lies on the stone, the green one on that of the model before.
    assert {
        name: [(shape.label, shape.source) for shape in image.shapes]
        for name, image in images.items()
    } == {
        "meadow/1.png": [("stone", "manual"), ("blue", "automatic")],
        "meadow/2.png": [("green", "auto")],
        "meadow/3.png": [("red", "auto")],
    }
    assert (index.overlapping, index.existing, index.task) == (2, 3, "")
    assert index.classes == [*CLASSES, "stone"]
    per_class = annotate(inputs, tmp_path / "own", cvat_task=str(number), overlap_per_class=True)
    assert per_class.boxes == {"red": 1, "green": 0, "blue": 1}
    changed = [r for r in server.requests if r.method in ("PATCH", "PUT", "DELETE")]
    assert changed == []


def test_frames_from_a_folder_must_be_those_of_the_task(
    server: CvatServer, inputs: dict[str, Path], tmp_path: Path
) -> None:
    meadow(server)
    folder = tmp_path / "files"
    paint(folder / "meadow/1.png", ("red", 1.0, SMALL), ("blue", 0.6, LARGE))
    paint(folder / "meadow/2.png", ("green", 0.9, SMALL))
    with pytest.raises(InputError, match=r"has no file for 1 frame of the task 'meadow'"):
        annotate(inputs, tmp_path / "out", cvat_task="meadow", new_images=str(folder))
    paint(folder / "meadow/3.png", size=(128, 128))
    index = annotate(inputs, tmp_path / "out", cvat_task="meadow", new_images=str(folder))
    assert (index.images, index.unreadable) == (2, ["meadow/3.png"])
    assert server.count("GET", "/data/") == server.count("GET", "/data/meta")


def test_frames_that_were_taken_out_are_not_annotated(
    server: CvatServer, inputs: dict[str, Path], tmp_path: Path
) -> None:
    meadow(server, deleted_frames=[0])
    index = annotate(inputs, tmp_path / "out", cvat_task="meadow", overlap_iou=0.99)
    assert (index.images, index.boxes) == (2, {"red": 0, "green": 1, "blue": 0})


def test_a_new_task_of_the_frames_of_another(
    server: CvatServer, inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    old = meadow(server)
    for number in (1, 2, 3):
        paint(tmp_path / f"share/meadow/{number}.png")
    annotate(inputs, tmp_path / "out", cvat_task="meadow", upload=True, share_prefix="/")
    (new,) = set(server.tasks) - {old}
    assert server.tasks[new]["name"].endswith("_meadow")
    assert boxes(server, new) == [("meadow/1.png", "blue", [30, 30, 60, 60], "auto")]
    assert len(boxes(server, old)) == 3


def test_the_frames_of_a_video(server: CvatServer, inputs: dict[str, Path], tmp_path: Path) -> None:
    seen = png(("red", 1.0, SMALL))
    number = server.add_task(
        "ride", CLASSES, [("ride.mp4", 64, 64)], video=3, images={0: png(), 1: seen, 2: png()}
    )
    settings = {"cvat_task": "ride", "upload": True}
    with pytest.raises(InputError, match="'ride' is a video"):
        annotate(inputs, tmp_path / "out", share_prefix="/", **settings)
    annotate(inputs, tmp_path / "out", upload_to="same", **settings)
    drawn = server.annotations(number)["shapes"]
    assert [(shape["frame"], shape["points"]) for shape in drawn] == [(1, [2, 2, 20, 20])]


def test_a_name_that_two_tasks_have(
    server: CvatServer, inputs: dict[str, Path], tmp_path: Path
) -> None:
    numbers = [meadow(server), meadow(server)]
    with pytest.raises(InputError, match=f"name of the tasks {numbers[0]}, {numbers[1]}"):
        annotate(inputs, tmp_path / "out", cvat_task="meadow")


def test_into_the_same_task_twice_changes_nothing_more(
    server: CvatServer, inputs: dict[str, Path], tmp_path: Path
) -> None:
    number = meadow(server)
    settings = {"cvat_task": "meadow", "upload": True, "upload_to": "same"}
    annotate(inputs, tmp_path / "out", **settings)
    after = boxes(server, number)
    assert len(after) == 4
    assert ("meadow/1.png", "blue", [30, 30, 60, 60], "auto") in after
    annotate(inputs, tmp_path / "again", **settings)
    assert boxes(server, number) == after


def test_labels_that_the_task_lacks_are_told_together(
    server: CvatServer, inputs: dict[str, Path], tmp_path: Path
) -> None:
    number = meadow(server, labels=["stone", "green", "red"])
    settings = {"cvat_task": "meadow", "upload": True, "upload_to": "same"}
    with pytest.raises(InputError, match=r"no labels blue \(it has stone, green, red\).*blue=off"):
        annotate(inputs, tmp_path / "out", **settings)
    assert not list((tmp_path / "state").rglob("predictions.jsonl"))
    annotate(inputs, tmp_path / "out", score_thresholds="blue=off", **settings)
    assert len(boxes(server, number)) == 3
    outlines = [{"name": "red", "type": "polygon"}, "green", "blue", "stone"]
    meadow(server, name="outlines", labels=outlines)
    with pytest.raises(InputError, match="the labels red of 'outlines' take no rectangles"):
        annotate(inputs, tmp_path / "no", **{**settings, "cvat_task": "outlines"})


def rerun(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["cvat", "rerun", *words])
    assert result.exit_code == code, result.output
    return result.output


def test_rerun_replaces_what_a_model_drew(
    server: CvatServer, inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINYARD_STATE_DIR", str(tmp_path / "state"))
    number = meadow(server)
    before = boxes(server, number)
    words = ["meadow", "--model", str(inputs["model"]), "--evaluation", str(inputs["evaluation"])]
    told = rerun(*words)
    assert "3 frames; 2 boxes of a model will be replaced, 1 others stay" in told
    assert told.endswith("nothing was changed; add --yes\n")
    assert boxes(server, number) == before
    rerun(*words, "--yes", "--output", str(tmp_path / "out"))
    after = boxes(server, number)
    assert after == [
        ("meadow/1.png", "blue", [30, 30, 60, 60], "auto"),
        ("meadow/1.png", "stone", [3, 3, 21, 21], "manual"),
        ("meadow/2.png", "green", [2, 2, 20, 20], "auto"),
    ]
    assert (tmp_path / "out" / "report.html").is_file()
    rerun(*words, "--yes")
    assert boxes(server, number) == after
    text = rerun(*words, "--set", "score_threshold=high", "--yes", code=2)
    assert "score_threshold" in text


def test_a_rerun_that_breaks_off_loses_no_box_and_can_be_repeated(
    server: CvatServer, inputs: dict[str, Path], tmp_path: Path
) -> None:
    number = meadow(server)
    server.fail(403, method="PATCH", path="/annotations")
    settings = {
        "cvat_task": "meadow", "upload": True, "upload_to": "same", "replace_automatic": True,
    }  # fmt: skip
    before = boxes(server, number)
    with pytest.raises(ServiceError):
        annotate(inputs, tmp_path / "out", **settings)
    assert boxes(server, number) == before
    annotate(inputs, tmp_path / "out", **settings)
    assert len(boxes(server, number)) == 3


def test_images_of_a_bucket(
    minio: S3Server, bucket: str, inputs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    client = minio.client()
    for path in sorted(photos.rglob("*.png")):
        name = path.relative_to(photos).as_posix()
        client.fput_object(bucket, f"new/{name}", str(path))
    client.put_object(bucket, "new/readme.txt", io.BytesIO(b"no image"), 8)
    index = annotate(inputs, tmp_path / "out", new_images=f"s3://{bucket}/new")
    assert index.images == 3
    assert index.boxes == {"red": 1, "green": 1, "blue": 1}
    document = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["a/1.png", "a/3.png", "b/2.png"]
    client.remove_object(bucket, "new/a/1.png")
    client.fput_object(bucket, "new/a/3.png", str(photos / "a/1.png"))
    later = annotate(inputs, tmp_path / "later", new_images=f"s3://{bucket}/new")
    assert (later.images, later.boxes["green"]) == (2, 1)


def test_without_cvat_nothing_begins(
    inputs: dict[str, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRAINYARD_CVAT_URL", raising=False)
    with pytest.raises(ProblemsError, match="upload: TRAINYARD_CVAT_URL is not set"):
        annotate(inputs, tmp_path / "out", new_images=str(photos), upload=True)
    with pytest.raises(ProblemsError, match="cvat_task: TRAINYARD_CVAT_URL is not set"):
        annotate(inputs, tmp_path / "out", cvat_task="1")
