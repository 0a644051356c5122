"""From shapes to boxes, what a shape needs, run-length masks and tracks between keyframes."""

import math

import numpy as np
import pytest

from components.core.errors import InputError
from components.core.formats import boxes, masks
from components.core.formats.shapes import AnnotatedImage, Fault, Kind, Mask, Shape
from components.core.formats.tracks import TrackedShape, between, filled


def box(kind: Kind, *points: float, **more) -> boxes.Box:
    found = boxes.box(Shape("a", kind, points, **more))
    assert found is not None
    return found


def test_a_rectangle_is_its_own_box() -> None:
    assert box(Kind.RECTANGLE, 1, 2, 5, 7) == (1, 2, 5, 7)


def test_a_quarter_turn_swaps_the_sides() -> None:
    # 4 wide and 2 high about (12, 11): 2 wide and 4 high.
    assert box(Kind.ROTATED, 10, 10, 14, 12, rotation=90) == (11, 9, 13, 13)


def test_a_rotated_box_turns_clockwise_on_the_screen() -> None:
    # A needle to the right of its centre points down after a quarter turn clockwise, y being down.
    corners = boxes.corners(Shape("a", Kind.ROTATED, (0, 0, 10, 2), rotation=90))
    assert corners[2:4] == (6, 6)  # the upper right corner (10, 0) about (5, 1)


@pytest.mark.parametrize("angle", [0, 13, 45, 120, 271])
def test_rotated_box_and_ellipse_agree_with_many_points(angle: float) -> None:
    turn = math.radians(angle)
    rectangle = [(x, y) for x in (-6, 6) for y in (-2, 2)]
    steps = np.linspace(0, 2 * math.pi, 100_001)
    ellipse = list(zip(6 * np.cos(steps), 2 * np.sin(steps), strict=True))
    for outline, found in (
        (rectangle, box(Kind.ROTATED, 14, 28, 26, 32, rotation=angle)),
        (ellipse, box(Kind.ELLIPSE, 20, 30, 6, 2, rotation=angle)),
    ):
        xs = [20 + x * math.cos(turn) - y * math.sin(turn) for x, y in outline]
        ys = [30 + x * math.sin(turn) + y * math.cos(turn) for x, y in outline]
        assert found == pytest.approx((min(xs), min(ys), max(xs), max(ys)), abs=1e-4)


def test_outlines_and_points_have_the_box_of_their_extremes() -> None:
    assert box(Kind.POLYGON, 3, 9, 1, 4, 8, 2) == (1, 2, 8, 9)
    assert box(Kind.POLYGON, 3, 9, 1, 4, 8, 2, further_parts=((20, 20, 22, 20, 22, 30),)) == (
        1, 2, 22, 30,
    )  # fmt: skip
    assert box(Kind.POLYLINE, 0, 5, 4, 1) == (0, 1, 4, 5)
    assert box(Kind.POINTS, 0, 5, 4, 1, 2, 2) == (0, 1, 4, 5)
    assert box(Kind.CUBOID, 1, 1, 1, 9, 5, 2, 5, 8, 3, 0, 3, 7, 7, 1, 7, 6) == (1, 0, 7, 9)


def test_parts_of_a_skeleton_that_are_not_in_the_image_do_not_count() -> None:
    def joint(x: float, y: float, outside: bool = False) -> Shape:
        return Shape("joint", Kind.POINTS, (x, y), outside=outside)

    elements = (joint(1, 2), joint(5, 8), joint(90, 90, outside=True))
    assert boxes.box(Shape("a", Kind.SKELETON, elements=elements)) == (1, 2, 5, 8)
    assert boxes.box(Shape("a", Kind.SKELETON, elements=elements[:1])) is None


def test_a_mask_has_the_box_of_its_pixels() -> None:
    # 4 x 3 at (10, 20); set are the last two pixels of the first row and the first of the second.
    mask = Mask(10, 20, 4, 3, (2, 3, 7))
    expected = np.array([[0, 0, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    assert np.array_equal(masks.pixels(mask), expected)
    assert boxes.box(Shape("a", Kind.MASK, mask=mask)) == (10, 20, 14, 22)
    assert boxes.box(Shape("a", Kind.MASK, mask=Mask(0, 0, 2, 2, (4,)))) is None


def test_masks_go_to_coco_and_back() -> None:
    mask = Mask(1, 1, 2, 2, (0, 1, 1, 2))
    coco = masks.to_coco(mask, 4, 3)
    # Columns of a 4 x 3 image: set are (1, 1), (1, 2) and (2, 2).
    assert coco == {"size": [3, 4], "counts": [4, 2, 2, 1, 3]}
    assert masks.from_coco(coco) == mask


def test_compressed_coco_masks() -> None:
    # Encoded by hand as pycocotools' rleToString does: 5 bits a character from '0' on.
    assert masks.from_coco({"size": [3, 4], "counts": "422O1"}) == Mask(1, 1, 2, 2, (0, 1, 1, 2))
    # Counts above 15 take two characters: 40 = 8 + 32 * 1 → 'X1'.
    wide = masks.from_coco({"size": [10, 10], "counts": "X1:b1"})
    assert (wide.left, wide.top, wide.width, wide.height) == (4, 0, 1, 10)
    for damaged in ("4\x7f", "X", "h2"):
        with pytest.raises(ValueError, match="run lengths"):
            masks.from_coco({"size": [3, 4], "counts": damaged})


def test_areas() -> None:
    triangle = Shape("a", Kind.POLYGON, (0, 0, 10, 0, 0, 10))
    assert boxes.area(triangle, 100, 100) == 50
    assert boxes.area(Shape("a", Kind.RECTANGLE, (90, 0, 110, 10)), 100, 100) == 100
    assert boxes.area(Shape("a", Kind.ROTATED, (10, 10, 20, 14), rotation=45), 100, 100) == 40
    assert boxes.area(Shape("a", Kind.MASK, mask=Mask(0, 0, 3, 1, (1, 2))), 9, 9) == 2


@pytest.mark.parametrize(
    ("shape", "fault", "kept"),
    [
        (Shape("a", Kind.RECTANGLE, (1, 1, 5, 5)), None, True),
        (Shape("a", Kind.RECTANGLE, (-0.3, 1, 5, 5)), None, True),  # rounding of a tool
        (Shape("a", Kind.RECTANGLE, (-3, 1, 5, 5)), Fault.OUTSIDE, True),
        (Shape("a", Kind.RECTANGLE, (12, 1, 15, 5)), Fault.OUTSIDE, False),
        (Shape("a", Kind.RECTANGLE, (1, 1, 1, 5)), Fault.ZERO_AREA, False),
        (Shape("a", Kind.RECTANGLE, (5, 1, 1, 5)), Fault.ZERO_AREA, False),
        (Shape("a", Kind.ROTATED, (5, 1, 1, 5), rotation=20), Fault.ZERO_AREA, False),
        (Shape("a", Kind.ELLIPSE, (5, 5, 0, 2), rotation=20), Fault.ZERO_AREA, False),
        (Shape("a", Kind.POLYLINE, (1, 1, 8, 1)), Fault.ZERO_AREA, False),
        (Shape("a", Kind.POLYGON, (1, 1, 8, 1)), Fault.TOO_FEW, False),
        (Shape("a", Kind.POINTS, (1, 1)), Fault.TOO_FEW, False),
        (Shape("a", Kind.RECTANGLE, (1, 1, 5, math.nan)), Fault.NUMBER, False),
        (Shape("a", Kind.MASK, mask=Mask(0, 0, 2, 2, (1, 9))), Fault.NUMBER, False),
        (Shape("a", Kind.TAG), None, True),
    ],
)
def test_shapes_are_checked_against_their_image(
    shape: Shape, fault: Fault | None, kept: bool
) -> None:
    usable, found, what = boxes.fit(shape, 10, 10)
    assert (found, usable is not None, bool(what)) == (fault, kept, fault is not None)


def test_a_box_beyond_the_image_is_cut() -> None:
    usable, _, what = boxes.fit(Shape("cat", Kind.RECTANGLE, (-3, 1, 50, 5)), 10, 10)
    assert usable is not None
    assert usable.points == (0, 1, 10, 5)
    assert what == (
        "rectangle 'cat' reaches from (-3, 1) to (50, 5) in an image of 10 x 10 pixels: "
        "cut to the image"
    )


def test_writers_refuse_shapes_that_were_not_checked() -> None:
    image = AnnotatedImage("x.png", 10, 10)
    assert boxes.box_on(Shape("a", Kind.RECTANGLE, (-3, 1, 5, 5)), image) == (0, 1, 5, 5)
    assert boxes.box_on(Shape("a", Kind.TAG), image) is None
    with pytest.raises(InputError, match=r"image 'x\.png': points 'a' has too few coordinates"):
        boxes.box_on(Shape("a", Kind.POINTS, (1, 1)), image)


def rectangle(*points: float, rotation: float = 0) -> Shape:
    return Shape("a", Kind.ROTATED if rotation else Kind.RECTANGLE, points, rotation)


def test_rectangles_move_evenly_between_keyframes_until_they_are_outside() -> None:
    given = [
        TrackedShape(0, rectangle(0, 0, 10, 10)),
        TrackedShape(4, rectangle(8, 4, 18, 14)),
        TrackedShape(6, rectangle(0, 0, 1, 1), outside=True),
    ]
    found = {tracked.frame: tracked.shape for tracked in filled(given, range(9))}
    assert list(found) == [0, 1, 2, 3, 4, 5]
    assert found[1].points == (2, 1, 12, 11)
    assert found[3].points == (6, 3, 16, 13)
    assert [found[frame].keyframe for frame in found] == [True, False, False, False, True, False]
    assert found[5].points == (4, 2, 9.5, 7.5)  # on its way to the keyframe that hides it


def test_a_track_lasts_until_the_end_and_keeps_to_the_frames_of_the_video() -> None:
    given = [TrackedShape(10, rectangle(0, 0, 1, 1)), TrackedShape(16, rectangle(6, 6, 7, 7))]
    found = {tracked.frame: tracked.shape.points for tracked in filled(given, range(10, 23, 3))}
    assert found == {
        10: (0, 0, 1, 1), 13: (3, 3, 4, 4), 16: (6, 6, 7, 7), 19: (6, 6, 7, 7), 22: (6, 6, 7, 7),
    }  # fmt: skip


def test_boxes_turn_the_shorter_way() -> None:
    half = between(rectangle(0, 0, 4, 2, rotation=350), rectangle(0, 0, 4, 2, rotation=20), 0.5)
    assert half.rotation == 5
    upright = between(rectangle(0, 0, 4, 2, rotation=350), rectangle(0, 0, 4, 2, rotation=10), 0.5)
    assert (upright.kind, upright.rotation) == (Kind.RECTANGLE, 0)


def test_single_points_move_and_several_stay() -> None:
    def points(*numbers: float) -> Shape:
        return Shape("a", Kind.POINTS, numbers)

    assert between(points(0, 0), points(4, 8), 0.25).points == (1, 2)
    assert between(points(0, 0, 1, 1), points(4, 8, 5, 9), 0.25).points == (0, 0, 1, 1)


def test_polygons_are_matched_along_their_length() -> None:
    square = Shape("a", Kind.POLYGON, (0, 0, 10, 0, 10, 10, 0, 10))
    moved = Shape("a", Kind.POLYGON, (4, 4, 14, 4, 14, 14, 4, 14))
    assert between(square, moved, 0.5).points == (2, 2, 12, 2, 12, 12, 2, 12)
    # One corner more on the right: the point halfway along the first side belongs to two corners.
    finer = Shape("a", Kind.POLYGON, (0, 0, 5, -4, 10, 0, 10, 10, 0, 10))
    found = between(square, finer, 0.5)
    assert len(found.points) >= 8
    assert boxes.extents(found.points) == pytest.approx((0, -2, 10, 10), abs=0.5)


def test_outlines_between_keyframes_are_those_of_cvat() -> None:
    # Expected values come from the rules of CVAT 2's server, worked out apart from this code.
    first = (10, 10, 60, 12, 70, 50, 40, 48, 12, 60)
    second = (20, 5, 50, 5, 80, 15, 75, 30, 85, 55, 50, 60, 45, 50, 15, 70)
    expected = (12.5, 8.75, 20, 8.75, 65, 12.75, 63.75, 16.5, 73.75, 51.25, 42.5, 51)
    polygon = between(Shape("a", Kind.POLYGON, first), Shape("a", Kind.POLYGON, second), 0.25)
    assert polygon.points == pytest.approx((*expected, 41.25, 48.5, 12.75, 62.5))
    first = (0, 0, 10, 5, 12, 6, 13, 5, 30, 20, 60, 10)
    second = (5, 40, 30, 50, 70, 45)
    expected = (3.75, 30, 6.25, 31.25, 6.75, 31.5, 25.75, 38.75, 30, 42.5, 67.5, 36.25)
    line = between(Shape("a", Kind.POLYLINE, first), Shape("a", Kind.POLYLINE, second), 0.75)
    assert line.points == pytest.approx(expected)


def test_polylines_with_fewer_points_on_the_right_are_thinned() -> None:
    left = Shape("a", Kind.POLYLINE, (0, 0, 1, 0, 9, 0, 10, 0))
    right = Shape("a", Kind.POLYLINE, (0, 10, 10, 10))
    # At the end of the way both points of either end are at the same place: one stays of each.
    assert between(left, right, 1.0).points == (0, 10, 10, 10)


def test_skeletons_move_joint_by_joint() -> None:
    def skeleton(x: float) -> Shape:
        joints = (Shape("head", Kind.POINTS, (x, 0)), Shape("foot", Kind.POINTS, (x, 9)))
        return Shape("a", Kind.SKELETON, elements=joints)

    assert boxes.box(between(skeleton(0), skeleton(4), 0.5)) == (2, 0, 2, 9)
