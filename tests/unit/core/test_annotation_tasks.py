"""Tasks of CVAT's server API as annotated images, and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from annotation_records import LABELS, every_record, frames, record, task, track
from labelled_images import comparable, every_kind, picture, problems

from components.core.annotation_tasks import AnnotationTask, Frame, annotations_of, named, task_of
from components.core.formats import cvat_xml
from components.core.formats.image_files import ImageFiles
from components.core.formats.masks import pixels
from components.core.formats.shapes import AnnotatedImage, Kind


def still(**more) -> AnnotationTask:
    return task(tracks=(), **more)


def test_every_kind_of_record_is_the_shape_that_the_xml_export_gives(tmp_path: Path) -> None:
    image = AnnotatedImage("img0.png", 100, 80, every_kind())
    cvat_xml.write(tmp_path / "a.xml", [image], ["cat", "dog"], "pets")
    exported = cvat_xml.read(tmp_path / "a.xml").images[0].shapes
    found = annotations_of([still()])
    assert found.problems == []
    assert found.labels == ["cat", "dog"]
    shapes = found.images[0].shapes
    ids = [shape.source_id for shape in shapes]
    assert ids == ["1", "2", "3", "4", "5", "6", "7", "8", "9", "9"]
    bare = [
        replace(
            shape,
            source_id="",
            elements=tuple(replace(part, source_id="") for part in shape.elements),
        )
        for shape in shapes
    ]
    assert bare == exported == every_kind()


def test_masks_are_those_that_cvat_encodes() -> None:
    from cvat_sdk.masks import encode_mask

    bitmap = np.random.default_rng(3).random((40, 50)) < 0.4
    bitmap[:7] = bitmap[:, :5] = False
    shape = record("mask", 11, encode_mask(bitmap))
    found = annotations_of([still(shapes=(shape,), tags=())]).images[0].shapes[0]
    assert found.mask is not None
    whole = np.zeros_like(bitmap)
    left, top = found.mask.left, found.mask.top
    whole[top : top + found.mask.height, left : left + found.mask.width] = pixels(found.mask)
    assert np.array_equal(whole, bitmap)


def test_images_say_where_they_come_from() -> None:
    first, second, _ = annotations_of([task()]).images
    assert (first.name, first.width, first.height) == ("img0.png", 100, 80)
    assert (first.task, first.group, first.frame) == ("pets", "pets", 0)
    assert second.source_id == {"task": "7", "image": "1"}
    assert [len(image.shapes) for image in (first, second)] == [11, 1]


def test_a_track_moves_until_it_leaves() -> None:
    moving = track(
        11,
        record("rectangle", 11, [0, 0, 10, 10], 1, attributes=[{"spec_id": 5, "value": "old"}]),
        record("rectangle", 11, [40, 20, 50, 30], 5, occluded=True),
        record("rectangle", 11, [40, 20, 50, 30], 7, outside=True),
        number=77, group=3, source="automatic", attributes=[{"spec_id": 6, "value": "rain"}],
    )  # fmt: skip
    video = task(shapes=(), tags=(), tracks=(moving,), frames=frames(9), video=True)
    found = annotations_of([replace(video, deleted=frozenset({3}))])
    assert found.problems == []
    assert [image.frame for image in found.images] == [0, 1, 2, 4, 5, 6, 7, 8]
    shapes = {image.frame: image.shapes for image in found.images}
    assert [frame for frame, own in shapes.items() if own] == [1, 2, 4, 5, 6]
    assert shapes[2][0].points == (10, 5, 20, 15)
    assert shapes[4][0].points == (30, 15, 40, 25)
    assert [shapes[frame][0].keyframe for frame in (1, 2, 5, 6)] == [True, False, True, False]
    assert [shapes[frame][0].occluded for frame in (4, 5, 6)] == [False, True, True]
    for frame in (1, 2, 4, 5, 6):
        shape = shapes[frame][0]
        assert (shape.track, shape.group, shape.source) == ("77", "3", "automatic")
        assert shape.attributes == {"weather": "rain", "age": "old"}


def test_a_skeleton_moves_with_all_its_parts() -> None:
    head = track(21, record("points", 21, [10, 10], 0), record("points", 21, [30, 10], 2), number=2)
    hand = track(22, record("points", 22, [20, 20], 0),
                 record("points", 22, [20, 20], 1, outside=True), number=3)  # fmt: skip
    foot = track(23, record("points", 23, [9, 40], 0), number=4)
    ends = [record("skeleton", 11, [], 0), record("skeleton", 11, [], 3, outside=True)]
    whole = track(11, *ends, number=1, elements=[head, hand, foot])
    found = annotations_of([task(shapes=(), tags=(), tracks=(whole,), frames=frames(5))])
    assert found.problems == []
    shapes = [image.shapes for image in found.images]
    assert [len(own) for own in shapes] == [1, 1, 1, 0, 0]
    middle = shapes[1][0]
    assert (middle.kind, middle.label, middle.track) == (Kind.SKELETON, "cat", "1")
    assert [(part.label, part.points, part.outside) for part in middle.elements] == [
        ("head", (20, 10), False),
        ("hand", (20, 20), True),
        ("foot", (9, 40), False),
    ]


def test_a_skeleton_without_keyframes_of_its_own() -> None:
    def gone(label: int, number: int) -> dict:
        points = [20.0 + number, 10.0 * number]
        ends = record("points", label, points, 1), record("points", label, [30, 10], 3)
        return track(label, ends[0], {**ends[1], "outside": True}, number=number)

    whole = track(11, number=1, elements=[gone(21, 2), gone(22, 3)])
    found = annotations_of([task(shapes=(), tags=(), tracks=(whole,), frames=frames(5))])
    assert found.problems == []
    assert [len(image.shapes) for image in found.images] == [0, 1, 1, 0, 0]
    assert [image.shapes[0].keyframe for image in found.images[1:3]] == [True, False]
    parts = found.images[2].shapes[0].elements
    assert [part.points for part in parts] == [(26, 15), (26.5, 20)]
    assert not any(part.outside for part in parts)


def test_names_of_images_are_unique_and_last() -> None:
    alone = still(number="1", name="a b", frames=frames(2, "x/{}.png"))
    names = [image.name for image in annotations_of([alone]).images]
    assert names == ["x/0.png", "x/1.png"]
    other = still(number="2", name="c", frames=frames(3, "x/{}.png"), shapes=(), tags=())
    same = still(number="3", name="c", frames=frames(1, "y/{}.png"), shapes=(), tags=())
    video = still(number="4", name="v", frames=frames(1), video=True, shapes=(), tags=())
    found = annotations_of([alone, other, same, video])
    assert [(image.name, image.group) for image in found.images] == [
        ("a b/x/0.png", "a b"),
        ("a b/x/1.png", "a b"),
        ("c-2/x/0.png", "c-2"),
        ("c-2/x/1.png", "c-2"),
        ("x/2.png", "c-2"),
        ("y/0.png", "c-3"),
        ("v/img0.png", "v"),
    ]
    assert found.problems == []


def test_what_is_wrong_is_told() -> None:
    wrong = [
        record("rectangle", 11, [1, 1, 5], 0, id=1),
        record("rectangle", 99, [1, 1, 5, 5], 0, id=2),
        record("rectangle", 11, ["one", 1, 5, 5], 0, id=3),
        record("rectangle", 11, [1, 1, 1, 5], 0, id=4),
        record("rectangle", 11, [90, 1, 120, 5], 0, id=5),
        record("cloud", 11, [1, 1, 5, 5], 0, id=6),
        record("rectangle", 11, [1, 1, 5, 5], 8, id=7),
        record("polygon", 11, [1, 1, 5], 0, id=8),
        record("mask", 11, [1, 2], 0, id=9),
        record("rectangle", 11, [1, 1, 9, 9], 0, id=10),
        record("rectangle", 11, [1, 1, 9, 9], None, id=11),
    ]
    lost = track(98, record("rectangle", 98, [1, 1, 5, 5], 0), number=60)
    twice = track(11, record("rectangle", 11, [1, 1, 5, 5], 1),
                  record("rectangle", 11, [1, 1, 5, 5], 1),
                  record("rectangle", 11, [1, 1, 5, 5], "x"), number=61)  # fmt: skip
    given = task(shapes=tuple(wrong), tags=(), tracks=(lost, twice), frames=frames(2))
    found = annotations_of([given, replace(given, id="8", shapes=(), tracks=())])
    assert [(fault, where) for fault, _, where, _ in problems(found)] == [
        ("too_few_coordinates", "shape 1, frame 0"),
        ("unknown_class", "shape 2, frame 0"),
        ("number", "shape 3, frame 0"),
        ("left_out", "shape 6, frame 0"),
        ("left_out", "shape 7, frame 8"),
        ("too_few_coordinates", "shape 8, frame 0"),
        ("too_few_coordinates", "shape 9, frame 0"),
        ("number", "shape 11, frame None"),
        ("unknown_class", "track 60"),
        ("number", "track 61"),
        ("duplicate", "track 61, frame 1"),
        ("zero_area", "shape 4, frame 0"),
        ("outside", "shape 5, frame 0"),
    ]
    assert "it has 11 (cat), 21 (head)" in found.problems[1].what
    assert {problem.file for problem in found.problems} == {"task 'pets' (7)"}
    assert [shape.source_id for shape in found.images[0].shapes] == ["5", "10"]
    assert found.images[0].shapes[0].points == (90, 1, 100, 5)


def test_images_are_found_by_the_task_or_the_frame(tmp_path: Path) -> None:
    picture(tmp_path / "pets/img0.png")
    picture(tmp_path / "other/img1.png", 50, 40)
    picture(tmp_path / "img2.png")
    picture(tmp_path / "unused.png")
    given = still(deleted=frozenset({2}), shapes=(), tags=())
    found = annotations_of([given], ImageFiles(tmp_path))
    assert [image.path for image in found.images] == [
        tmp_path / "pets/img0.png",
        tmp_path / "other/img1.png",
    ]
    assert (found.images[1].width, found.images[1].height) == (50, 40)
    assert [(fault, file) for fault, file, _, _ in problems(found)] == [
        ("size", "task 'pets' (7)"),
        ("no_entry", "unused.png"),
    ]
    found = annotations_of([given], path_of=lambda _, frame: tmp_path / f"pets/img{frame}.png")
    assert [(fault, file) for fault, file, _, _ in problems(found)] == [("unreadable", "img1.png")]


def test_a_task_of_files_holds_all_of_them(tmp_path: Path) -> None:
    crowd = replace(every_kind()[2], crowd=True, further_parts=((1.0, 1.0, 4.0, 1.0, 4.0, 4.0),))
    scored = replace(every_kind()[0], score=0.25, box=(1.0, 2.0, 30.0, 41.0), track="5",
                     keyframe=False)  # fmt: skip
    images = [
        AnnotatedImage("a/0.png", 100, 80, every_kind(), group="g", part="val"),
        AnnotatedImage("a/1.png", 100, 80, [crowd, scored], group="g", part="train"),
        AnnotatedImage("a/2.png", 100, 80, group="h"),
    ]
    made = task_of(images, "zoo", ["dog", "cow"])
    assert made.id == named("zoo") == "name:zoo"
    assert [label["name"] for label in made.labels] == ["dog", "cow", "cat"]
    numbers = [
        number for label in made.labels for number in [label["id"], *sub_ids(label["sublabels"])]
    ]
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    found = annotations_of([made])
    assert found.problems == []
    assert (found.labels, found.counts()["cat"]) == (["dog", "cow", "cat"], 7)
    for before, after in zip(images, found.images, strict=True):
        bare = [without_ids(shape) for shape in after.shapes]
        order = sorted(before.shapes, key=lambda shape: shape.kind is Kind.TAG)
        assert bare == order
        assert (after.name, after.group, after.part) == (before.name, before.group, before.part)
    shapes, _ = every_record()
    assert [shape["points"] for shape in made.shapes[:9]] == [shape["points"] for shape in shapes]


def sub_ids(labels: list[dict]) -> list[int]:
    return [label["id"] for label in labels]


def without_ids(shape):
    parts = tuple(replace(part, source_id="") for part in shape.elements)
    return replace(shape, source_id="", elements=parts)


@pytest.mark.parametrize("name", ["for_images/export_task/train.xml", "for_video/annotations.xml"])
def test_real_exports_survive_the_way_through_a_task(shared_data: Path, name: str) -> None:
    given = cvat_xml.read(shared_data / "cvat_samples" / name)
    assert given.counts().total() in (2, 3)
    found = annotations_of([task_of(given.images, "sample", given.labels)])
    assert found.problems == []
    assert found.labels == given.labels
    for before, after in zip(comparable(given.images), found.images, strict=True):
        order = sorted(before.shapes, key=lambda shape: shape.kind is Kind.TAG)
        assert [without_ids(shape) for shape in after.shapes] == [without_ids(s) for s in order]


def test_labels_without_a_number_do_no_harm() -> None:
    bare = ({"name": "no number"}, {"id": 8}, *LABELS, {"id": 9, "name": "cat"})
    found = annotations_of([still(labels=bare)])
    assert found.problems == []
    assert found.labels == ["no number", "cat", "dog"]


def test_damaged_records_are_counted_as_lost() -> None:
    shape = {"id": 1, "frame": 1, "label_id": 1, "type": "rectangle", "points": [1, 2, 3, 4]}
    shown = tuple(Frame(f"{number}.png", 9, 9) for number in range(3))
    shapes = {**shape, "frame": 0}, {**shape, "label_id": 7}
    given = AnnotationTask("5", "drive", ({"id": 1, "name": "weed"},), shown, shapes)
    assert [(len(image.shapes), image.lost) for image in annotations_of([given]).images] == [
        (1, 0), (0, 1), (0, 0),
    ]  # fmt: skip
    broken = {"id": 3, "label_id": 7, "frame": 0, "shapes": [{**shape, "frame": 0}]}
    images = annotations_of([replace(given, shapes=(), tracks=(broken,))]).images
    assert [image.lost for image in images] == [1, 1, 1]
