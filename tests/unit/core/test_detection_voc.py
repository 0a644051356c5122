"""Pascal VOC XML: what is written is read again, parts, other tools' elements, every defect."""

from pathlib import Path

import pytest
from labelled_images import comparable, picture, problems, rectangle

from components.core.errors import InputError
from components.core.formats import voc
from components.core.formats.shapes import AnnotatedImage, Kind, Shape


def annotation(
    path: Path, body: str, filename: str = "", size: tuple[int, int] = (100, 80)
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<annotation>\n<filename>{filename or path.stem + '.png'}</filename>\n"
        f"<size><width>{size[0]}</width><height>{size[1]}</height></size>\n{body}\n</annotation>",
        encoding="utf-8",
    )
    return path


def thing(*numbers: float, name: str = "cat", more: str = "") -> str:
    sides = "".join(
        f"<{side}>{number}</{side}>" for side, number in zip(voc.SIDES, numbers, strict=False)
    )
    return f"<object><name>{name}</name><bndbox>{sides}</bndbox>{more}</object>"


@pytest.mark.parametrize("one_based", [False, True])
def test_what_is_written_is_read_again(tmp_path: Path, one_based: bool) -> None:
    known = {"pose": "Left", "truncated": "1", "difficult": "0"}
    shapes = [
        rectangle("cat", 1, 2, 30.5, 40, occluded=True, attributes={**known, "age": "old"}),
        rectangle("dog", 0, 0, 100, 80, attributes=known, score=0.25),
    ]
    images = [
        AnnotatedImage("a.png", 100, 80, shapes, part="train"),
        AnnotatedImage("b.png", 100, 80, part="val"),
        AnnotatedImage("c.png", 100, 80),
    ]
    for image in images:
        picture(tmp_path / "JPEGImages" / image.name)
    voc.write(tmp_path, images, one_based)
    found = voc.read(tmp_path, one_based=one_based)
    assert found.problems == []
    assert found.labels == ["cat", "dog"]
    assert comparable(found.images) == images
    assert found.images[0].path == tmp_path / "JPEGImages/a.png"
    text = (tmp_path / "Annotations/a.xml").read_text(encoding="utf-8")
    assert f"<xmin>{2 if one_based else 1}</xmin>" in text
    assert "<xmax>30.5</xmax>" in text


def test_other_shapes_are_written_as_their_boxes_inside_the_image(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    polygon = Shape("cat", Kind.POLYGON, (-5, 3, 20, 8, 7, 90))
    voc.write(tmp_path, [AnnotatedImage("a.png", 100, 80, [polygon, Shape("x", Kind.TAG)])])
    assert [s.points for s in voc.read(tmp_path).images[0].shapes] == [(0, 3, 20, 80)]


def test_names_that_would_be_one_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'x/a\.png' and 'y/a\.png' would both be"):
        voc.write(tmp_path, [AnnotatedImage("x/a.png"), AnnotatedImage("y/a.png")])


def test_one_based_boxes_include_their_last_pixel(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    annotation(tmp_path / "a.xml", thing(7, 7, 7, 7))
    assert voc.read(tmp_path, one_based=True).images[0].shapes[0].points == (6, 6, 7, 7)
    assert [fault for fault, *_ in problems(voc.read(tmp_path))] == ["zero_area"]


def test_elements_of_other_tools(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    turned = (
        "<object><name>cat</name><robndbox><cx>50</cx><cy>40</cy><w>20</w><h>10</h>"
        "<angle>1.5707963</angle></robndbox></object>"
    )
    attributes = (
        "<attributes><attribute><name>age</name><value>old</value></attribute></attributes>"
    )
    more = f"<pose>Left</pose><occluded>1</occluded>{attributes}<actions><run>1</run></actions>"
    annotation(tmp_path / "a.xml", turned + thing(1, 1, 5, 5, more=more))
    first, second = voc.read(tmp_path).images[0].shapes
    assert (first.kind, first.points) == (Kind.ROTATED, (40, 35, 60, 45))
    assert first.rotation == pytest.approx(90, abs=1e-4)
    assert second.occluded
    assert second.attributes == {"pose": "Left", "run": "1", "age": "old"}


def test_defects_are_told(tmp_path: Path) -> None:
    for name in ("a", "b", "forgotten"):
        picture(tmp_path / f"{name}.png")
    body = "\n".join([
        thing(1, 1, 1, 9),
        thing(9, 1, 5, 9),
        thing(90, 1, 120, 9),
        thing(1, 1, 9),
        thing("one", 1, 9, 9),  # type: ignore[arg-type]
        thing(1, 1, 9, 9, more="<part><name>head</name></part>"),
    ])  # fmt: skip
    annotation(tmp_path / "a.xml", body)
    annotation(tmp_path / "b.xml", "", filename="C:\\other.png", size=(10, 80))
    annotation(tmp_path / "c.xml", "")
    (tmp_path / "d.xml").write_text("<annotation>", encoding="utf-8")
    (tmp_path / "e.xml").write_text("<annotations/>", encoding="utf-8")
    sets = tmp_path / voc.SETS
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("a\nb\nz\n", encoding="utf-8")
    (sets / "val.txt").write_text("a\n\n", encoding="utf-8")
    found = voc.read(tmp_path)
    assert [each[:3] for each in problems(found)] == [
        ("duplicate", "val.txt", "line 1"),
        ("number", "a.xml", "line 8, <object>"),
        ("left_out", "a.xml", "line 9, <object>"),
        ("zero_area", "a.xml", "line 4, <object>"),
        ("zero_area", "a.xml", "line 5, <object>"),
        ("outside", "a.xml", "line 6, <object>"),
        ("too_few_coordinates", "a.xml", "line 7, <object>"),
        ("other_name", "b.xml", "<filename>"),
        ("size", "b.xml", ""),
        ("missing_image", "c.xml", ""),
        ("unreadable", "d.xml", ""),
        ("unreadable", "e.xml", ""),
        ("missing_image", "train.txt", ""),
        ("no_entry", "forgotten.png", ""),
    ]
    assert [(i.name, i.part, len(i.shapes)) for i in found.images] == [
        ("a.png", "train", 2),
        ("b.png", "train", 0),
        ("c.png", "", 0),
    ]
    with pytest.raises(InputError, match="no folder with files"):
        voc.read(tmp_path / "nothing")


def test_an_image_is_the_one_beside_its_file(tmp_path: Path) -> None:
    for folder in ("0rec", "rec/r1", "rec/r2"):
        picture(tmp_path / folder / "a.jpg", 100, 80)
        annotation(tmp_path / folder / "a.xml", thing(1, 1, 9, 9), filename="a.jpg")
    annotation(tmp_path / "rec/r3/a.xml", thing(5, 5, 9, 9), filename="a.jpg")
    found = voc.read(tmp_path)
    beside = {"0rec/a.jpg", "rec/r1/a.jpg", "rec/r2/a.jpg"}
    assert {image.name for image in found.images if image.path} == beside
    picture(tmp_path / "a.jpg", 100, 80)
    (tmp_path / "rec/r2/a.jpg").rename(tmp_path / "rec/r2/b.jpg")
    found = voc.read(tmp_path)
    # r2 holds images, so that its file means none in another folder; r3 has none to offer.
    assert {i.name: len(i.shapes) for i in found.images if i.path} == {
        "0rec/a.jpg": 1, "rec/r1/a.jpg": 1, "a.jpg": 1,
    }  # fmt: skip
    annotation(tmp_path / "a.xml", thing(1, 1, 20, 20) + thing(1, 1, 30, 30), filename="a.jpg")
    own = next(image for image in voc.read(tmp_path).images if image.name == "a.jpg")
    assert [shape.points[2] for shape in own.shapes] == [20, 30]


def test_images_of_recordings_with_folders_of_their_own(tmp_path: Path) -> None:
    for number in (1, 2):
        picture(tmp_path / f"r{number}/JPEGImages/a.jpg", 100, 80)
        annotation(tmp_path / f"r{number}/Annotations/a.xml", thing(1, 1, 9, number * 10))
    found = voc.read(tmp_path)
    assert {i.name: i.shapes[0].points[3] for i in found.images if i.path} == {
        "r1/JPEGImages/a.jpg": 10, "r2/JPEGImages/a.jpg": 20,
    }  # fmt: skip


def test_damaged_objects_are_counted_as_lost(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    annotation(tmp_path / "a.xml", thing("one", 1, 9, 9) + thing(1, 1, 1, 9))  # type: ignore[arg-type]
    assert [image.lost for image in voc.read(tmp_path).images] == [2]


def test_boxes_drawn_twice_are_told_and_kept_once(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    same, other = thing(1, 2, 30, 40), thing(1, 2, 30, 40, name="dog")
    annotation(tmp_path / "a.xml", "\n".join([same, other, same, thing(1, 2, 30, 41)]))
    found = voc.read(tmp_path)
    assert [(s.label, s.points[3]) for s in found.images[0].shapes] == [
        ("cat", 40), ("dog", 40), ("cat", 41),
    ]  # fmt: skip
    [problem] = found.problems
    assert (str(problem.fault), problem.where) == ("duplicate", "line 6, <object>")
    what = "rectangle 'cat' is drawn a second time: left out; the first is line 4, <object>"
    assert problem.what == what
    assert found.images[0].lost == 0


def test_shapes_of_a_class_without_a_name_are_told_and_left_out(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    annotation(tmp_path / "a.xml", thing(1, 2, 30, 40, name=" ") + thing(1, 2, 30, 41))
    found = voc.read(tmp_path)
    assert (found.labels, [shape.label for shape in found.images[0].shapes]) == (["cat"], ["cat"])
    [problem] = found.problems
    assert problem.file.endswith("a.xml")
    assert problem.where == "line 4, <object>"
    assert problem.what == "rectangle whose class has no name: left out"


def test_files_that_were_read_are_not_called_unreadable(tmp_path: Path) -> None:
    for name, filename in (("a", "other.png"), ("b", " ")):
        picture(tmp_path / f"{name}.png")
        annotation(tmp_path / f"{name}.xml", thing(1, 1, 9, 9), filename=filename)
    found = voc.read(tmp_path)
    assert [(each[0], each[3]) for each in problems(found)] == [
        ("other_name", "says that its image is 'other.png'; a.png is taken"),
        ("other_name", "names no image; b.png is taken"),
    ]
    assert found.counts() == {"cat": 2}


def test_an_image_that_cannot_be_read_has_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    annotation(tmp_path / "a.xml", thing(1, 1, 9, 9))
    found = voc.read(tmp_path)
    assert [each[:2] for each in problems(found)] == [("unreadable", "a.png")]
    assert found.images[0].path is None
