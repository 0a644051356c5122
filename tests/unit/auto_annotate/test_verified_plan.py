"""What a verified task changes in the ground truth."""

from components.core.annotation_tasks import AnnotationTask, Frame
from components.core.detection.verified import frame_numbers, plan

Corners = tuple[float, float, float, float]


def box(number, frame, label, corners, **more):
    return {
        "id": number, "type": "rectangle", "frame": frame, "label_id": label,
        "points": list(corners), "occluded": False, "rotation": 0.0, "z_order": 0, "group": 0,
        "source": "auto", "attributes": [], "elements": [], **more,
    }  # fmt: skip


def task(name, shapes=(), labels=("weed", "crop"), frames=("a/1.png", "a/2.png"), first=1, **more):
    return AnnotationTask(
        str(first),
        name,
        tuple({"id": first + at, "name": label} for at, label in enumerate(labels)),
        tuple(Frame(frame, 100, 80) for frame in frames),
        tuple(shapes),
        **more,
    )


def changes(verified, truth, iou=0.7, remove_missing=False):
    made, problems = plan(verified, truth, iou, remove_missing)
    assert problems == []
    return made


def test_matched_boxes_change_only_where_they_differ_and_others_are_new() -> None:
    truth = task(
        "gt",
        [box(7, 0, 11, (0, 0, 20, 20), source="manual"), box(8, 0, 11, (40, 0, 60, 20)),
         box(9, 1, 12, (0, 0, 20, 20))],
        first=11,
    )  # fmt: skip
    verified = task(
        "auto",
        [box(1, 0, 1, (0, 0, 20, 20.005)), box(2, 0, 1, (41, 0, 61, 20)),
         box(3, 1, 2, (50, 50, 70, 70), occluded=True, attributes=[{"spec_id": 3, "value": "x"}])],
    )  # fmt: skip
    made = changes(verified, truth)
    assert made.same == 1
    assert [(one["id"], one["points"], one["source"]) for one in made.update] == [
        (8, [41, 0, 61, 20], "manual")
    ]
    assert made.create == [
        {"type": "rectangle", "occluded": True, "points": [50, 50, 70, 70], "rotation": 0.0,
         "z_order": 0, "frame": 1, "label_id": 12, "source": "manual", "group": 0,
         "attributes": []}
    ]  # fmt: skip
    assert made.delete == []
    assert str(made) == "1 new box, 1 changed, 1 as they are"


def test_pushing_twice_changes_nothing() -> None:
    verified = task("auto", [box(1, 0, 1, (0, 0, 20, 20)), box(2, 0, 1, (5, 0, 25, 20))])
    made = changes(verified, task("gt", first=11))
    after = task("gt", [{**one, "id": n} for n, one in enumerate(made.create)], first=11)
    again = changes(verified, after)
    assert (again.create, again.update, again.delete, again.same) == ([], [], [], 2)


def test_two_boxes_never_match_one() -> None:
    # Both overlap the one of the truth by more than 0.7; the better one is it.
    truth = task("gt", [box(5, 0, 11, (0, 0, 20, 20))], first=11)
    verified = task("auto", [box(1, 0, 1, (2, 0, 22, 20)), box(2, 0, 1, (0, 1, 20, 20))])
    made = changes(verified, truth)
    assert [one["points"] for one in made.update] == [[0, 1, 20, 20]]
    assert [one["points"] for one in made.create] == [[2, 0, 22, 20]]


def test_a_smaller_overlap_is_another_object_and_other_classes_never_match() -> None:
    truth = task("gt", [box(5, 0, 11, (0, 0, 20, 20)), box(6, 0, 12, (50, 0, 70, 20))], first=11)
    verified = task("auto", [box(1, 0, 1, (5, 0, 25, 20)), box(2, 0, 1, (50, 0, 70, 20))])
    made = changes(verified, truth)  # 15 * 20 / 500 = 0.6
    assert len(made.create) == 2
    assert made.notes == ["1 new box lies on a box of another class: look at them"]
    assert [one["id"] for one in changes(verified, truth, iou=0.6).update] == [5]


def test_only_when_asked_boxes_without_a_match_go_and_only_on_verified_frames() -> None:
    truth = task(
        "gt",
        [box(5, 0, 11, (0, 0, 20, 20)), box(6, 0, 12, (50, 0, 70, 20)), box(7, 2, 11, (0, 0, 9, 9)),
         box(8, 1, 11, (0, 0, 9, 9))],
        frames=("a/1.png", "a/2.png", "a/3.png"),
        first=11,
    )  # fmt: skip
    verified = task("auto", [box(1, 0, 1, (40, 40, 60, 60))])
    assert changes(verified, truth).delete == []
    gone = changes(verified, truth, remove_missing=True).delete
    assert sorted(one["id"] for one in gone) == [5, 6, 8]
    without = task("auto", verified.shapes, deleted=frozenset({1}))
    gone = changes(without, truth, remove_missing=True).delete
    assert sorted(one["id"] for one in gone) == [5, 6]


def test_all_unknown_labels_and_frames_are_told_at_once() -> None:
    verified = task(
        "auto",
        [box(1, 0, 1, (0, 0, 9, 9)), box(2, 0, 2, (0, 0, 9, 9)), box(3, 1, 3, (0, 0, 9, 9))],
        labels=("weed", "crop", "stone"),
    )
    truth = task("gt", labels=("soil",), frames=("a/1.png",), first=11)
    _, problems = plan(verified, truth, 0.7)
    assert len(problems) == 4
    for word in ("'a/2.png'", "'weed'", "'crop'", "'stone'"):
        assert any(word in line for line in problems)
    assert all("'gt'" in line for line in problems)


def test_labels_that_are_not_used_need_not_be_there() -> None:
    verified = task("auto", [box(1, 0, 1, (0, 0, 9, 9))], labels=("weed", "stone"))
    assert len(changes(verified, task("gt", labels=("weed",), first=11)).create) == 1


def test_images_of_another_size_are_told() -> None:
    truth = AnnotationTask("9", "gt", ({"id": 11, "name": "weed"},), (Frame("a/1.png", 50, 40),))
    _, problems = plan(task("auto", [box(1, 0, 1, (0, 0, 9, 9))]), truth, 0.7)
    assert problems == ["frame 'a/1.png' has 100 x 80 pixels in 'auto', but 50 x 40 in 'gt'"]


def test_frames_by_name_or_by_the_only_file_of_the_name() -> None:
    names = ["b/1.png", "c/1.png", "d/2.png", "3.png", "10.png"]
    wanted = ["c/1.png", "x/1.png", "x/2.png", "z/y/3.png", "0.png"]
    assert frame_numbers(wanted, names) == {"c/1.png": 1, "x/2.png": 2, "z/y/3.png": 3}
    # Not by containment: 0.png is part of the name 10.png. And of two, none.
    assert frame_numbers(["x/3.png", "y/3.png"], names) == {}


def test_rotated_boxes_and_polygons_match_by_their_extent() -> None:
    turned = box(5, 0, 11, (10, 10, 30, 20), rotation=90.0)
    polygon = box(6, 0, 11, (50, 0, 70, 0, 70, 20, 50, 20), type="polygon")
    truth = task("gt", [turned, polygon], first=11)
    verified = task(
        "auto",
        [box(1, 0, 1, (10, 10, 30, 20), rotation=90.0),
         box(2, 0, 1, (50, 0, 70, 0, 70, 20, 50, 21), type="polygon")],
    )  # fmt: skip
    made = changes(verified, truth)
    assert (made.same, [one["id"] for one in made.update], made.create) == (1, [6], [])


def test_what_is_not_compared_is_told() -> None:
    track = {"id": 1, "frame": 0, "label_id": 1, "shapes": []}
    point = box(2, 0, 1, (3, 4), type="points")
    verified = task("auto", [point, point], tracks=(track,), tags=(track,))
    made = changes(verified, task("gt", first=11, tracks=(track, track)))
    assert made.create == []
    assert made.notes == [
        "1 track cannot be brought in",
        "1 tag cannot be brought in",
        "2 shapes without a box cannot be brought in",
        "2 tracks of 'gt' are not compared: look for double boxes",
    ]
