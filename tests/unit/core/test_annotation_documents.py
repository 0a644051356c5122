"""Documents of the annotation store: what they hold, and that nothing is lost in them."""

from __future__ import annotations

import copy

import pytest
from annotation_records import HEAD, META, frames, obdb, record, task, track
from bson import decode, encode

from components.core.annotation_store import StoredTask, changes, documents, newer
from components.core.annotation_store.documents import (
    annotation_documents,
    frame_documents,
    read_task,
    task_document,
)
from components.core.annotation_store.older import older_task
from components.core.annotation_tasks import AnnotationTask, Frame, annotations_of
from components.core.formats.shapes import Kind


def rebuilt(given: AnnotationTask) -> AnnotationTask:
    """The task after its documents went through MongoDB's encoding, in another order."""
    annotations = [decode(encode(one)) for one in annotation_documents(given, "g")]
    meta = [decode(encode(one)) for one in frame_documents(given, "g")]
    head = decode(encode(task_document(given, "g", len(annotations))))
    return read_task(head, meta[::-1], annotations[::-1])


def skeleton_track() -> dict:
    head = track(21, record("points", 21, [10, 10], 0), number=2)
    ends = [record("skeleton", 11, [], 0), record("skeleton", 11, [], 2, outside=True)]
    return track(11, *ends, number=1, elements=[head])


@pytest.mark.parametrize(
    "given",
    [
        task(),
        task("name:x", "x", video=True, deleted=frozenset({2, 0}), status="validation"),
        task(tracks=(skeleton_track(), track(12, number=5), {**track(11, number=6), "extra": 1})),
        task(frames=(Frame("a", 1, 2, "g", "val"),)),
        task(tracks=(track(11, record("points", 11, [1, 2], 40), number=8),)),
        task(tracks=({**track(11), "shapes": [record("points", 11, [1, 2], more=3, _id=4)]},)),
        AnnotationTask("1", "bare"),
        AnnotationTask("2", "odd", shapes=({"type": "polygon"}, {"frame": 3, "track": "5"})),
    ],
)
def test_nothing_of_a_task_is_lost(given: AnnotationTask) -> None:
    before = copy.deepcopy(given)
    assert rebuilt(given) == before
    assert given == before


def test_frames_that_do_not_fit_into_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "FRAMES", 4)
    given = task(frames=frames(9))
    assert [len(one["frames"]) for one in frame_documents(given, "g")] == [4, 4, 1]
    assert rebuilt(given) == given


def test_documents_have_what_obdb_reads() -> None:
    given = task(name="FieldData 1")
    head = task_document(given, "g", 12)
    assert {name: head[name] for name in ("type", "name", "updated_date")} == {
        "type": "task_data",
        "name": "FieldData 1",
        "updated_date": "2022-06-10T12:30:00.000000Z",
    }
    assert head["labels"][0]["name"] == "cat"
    (meta,) = frame_documents(given, "g")
    assert meta["task_name"] == "FieldData 1"
    assert meta["frames"][1] == {"name": "img1.png", "width": 100, "height": 80}
    every = list(annotation_documents(given, "g"))
    assert {key: every[0][key] for key in every[0] if key not in ADDITIONS} == {
        "type": "annotation",
        "task_name": "FieldData 1",
        "shape_types": "rectangle",
        "occluded": True,
        "points": [1.5, 2.25, 30.0, 40.75],
        "frame": 0,
        "label_id": 11,
        "source": "manual",
        "object_class": "cat",
        "img_path": "img0.png",
        "img_height": 80,
        "img_width": 100,
    }
    assert [one["shape_types"] for one in every[-3:]] == ["rectangle", "rectangle", "tag"]
    keyframe = every[-2]
    assert (keyframe["object_class"], keyframe["img_path"]) == ("dog", "img2.png")
    assert len({one["_id"] for one in every}) == len(every) == 12


ADDITIONS = {
    "_id", "task_id", "generation", "position", "of", "annotation_id", "rotation", "z_order",
    "group", "attributes", "elements", "outside", "more",
}  # fmt: skip


def test_a_task_of_obdb() -> None:
    before = obdb(2, "dog", 12, shape_type="points")
    del before["shape_types"]
    rows = [obdb(0, "cat", 11, _id=1), before, obdb(0, "thistle", 11), obdb(1, "cow", 44)]
    found = older_task("old one", HEAD, [META], rows)
    assert (found.id, found.name) == ("name:old one", "old one")
    assert (found.created, found.updated) == ("2022-05-01", "2022-05-02")
    annotations = annotations_of([found])
    assert annotations.problems == []
    assert annotations.labels == ["cat", "dog", "thistle", "cow"]
    shapes = [[(s.label, s.kind, s.points) for s in image.shapes] for image in annotations.images]
    box = (1.0, 2.0, 30.0, 40.0)
    assert shapes == [
        [("cat", Kind.RECTANGLE, box), ("thistle", Kind.RECTANGLE, box)],
        [("cow", Kind.RECTANGLE, box)],
        [("dog", Kind.POINTS, box)],
    ]
    assert [image.name for image in annotations.images] == [f"weed/{n}.png" for n in range(3)]
    assert [label.get("id") for label in found.labels] == [11, 12, 24, 44]


def test_a_task_of_obdb_with_less_than_everything() -> None:
    rows = [obdb(2, "dog", 12), obdb(0, "cat", 11), obdb(2, "dog", 12, points=[5, 6, 30, 40])]
    found = older_task("old one", {}, [], rows)
    assert [label["name"] for label in found.labels] == ["dog", "cat"]
    assert found.deleted == {1}
    annotations = annotations_of([found])
    assert annotations.problems == []
    assert [(image.name, image.width) for image in annotations.images] == [
        ("weed/0.png", 100),
        ("weed/2.png", 100),
    ]
    video = {"frames": [{"name": "GH020068.mp4", "width": 100, "height": 80}]}
    found = older_task("old one", HEAD, [video], [obdb(2, "dog", 12)])
    assert (found.video, len(found.frames), found.deleted) == (True, 3, frozenset())
    assert annotations_of([found]).images[2].name == "old one/frame_000002.png"
    assert older_task("empty", {}, [], []).frames == ()


@pytest.mark.parametrize(
    ("date", "than", "expected"),
    [
        ("2022-06-10T12:30:00.000000Z", "2022-06-10T12:30:00Z", False),
        ("2022-06-10T12:30:00.000001Z", "2022-06-10T12:30:00Z", True),
        ("2022-06-10T14:00:00+02:00", "2022-06-10T12:30:00Z", False),  # a later text
        ("2022-06-10T12:00:00-02:00", "2022-06-10T12:30:00Z", True),  # an earlier text
        ("2022-06-10T12:30:00", "2022-06-10T12:30:00Z", False),
        ("2022-06-10", "2022-06-09T23:59:59Z", True),
        ("yesterday", "2022-06-10", True),
        ("", "", False),
    ],
)
def test_dates_are_compared_as_times(date: str, than: str, expected: bool) -> None:
    assert newer(date, than) is expected


def test_what_a_synchronisation_has_to_do() -> None:
    stored = [
        StoredTask("1", "same", updated="2022-06-10T12:30:00Z"),
        StoredTask("2", "changed", updated="2022-06-10T12:30:00Z"),
        StoredTask("3", "gone", updated="2022-06-10T12:30:00Z"),
        StoredTask("4", "gone before", vanished="2022-06-11"),
        StoredTask("5", "back", updated="2022-06-10T12:30:00Z", vanished="2022-06-11"),
        StoredTask("name:files", "files"),
        StoredTask("name:old", "old", older=True),
    ]
    there = dict.fromkeys(("1", "5", "6"), "2022-06-10T12:30:00.0Z")
    found = changes(stored, {**there, "2": "2022-06-10T12:30:01Z"})
    assert sorted(found.fetched) == ["2", "5", "6"]
    assert (found.unchanged, found.vanished) == (["1"], ["3"])
