"""CVAT XML for images and for video: every shape, every generation of meta, every defect."""

from pathlib import Path

import pytest
from labelled_images import comparable, every_kind, picture, problems, rectangle

from components.core.errors import InputError
from components.core.formats import cvat_xml
from components.core.formats.cvat_meta import read_meta
from components.core.formats.shapes import AnnotatedImage, Kind
from components.core.formats.xml_elements import parse

LABELS = "<labels><label><name>cat</name></label><label><name>dog</name></label></labels>"


def xml(folder: Path, body: str, meta: str = f"<task><name>pets</name>{LABELS}</task>") -> Path:
    path = folder / "annotations.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<annotations>\n<version>1.1</version>\n<meta>{meta}</meta>\n{body}\n</annotations>",
        encoding="utf-8",
    )
    return path


def test_every_kind_of_shape_is_written_and_read_again(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    picture(tmp_path / "images/b.png")
    images = [
        AnnotatedImage("a.png", 100, 80, every_kind(), task="pets", frame=0),
        AnnotatedImage("b.png", 100, 80, task="pets", frame=1),
    ]
    cvat_xml.write(tmp_path / "annotations.xml", images, ["dog", "cat"])
    found = cvat_xml.read(tmp_path / "annotations.xml")
    assert found.problems == []
    assert found.labels == ["dog", "cat"]
    for image in found.images:
        assert image.source_id.pop("task") == "1"
        assert image.source_id.pop("image") == str(image.frame)
    assert comparable(found.images) == images
    assert found.images[0].path == tmp_path / "images/a.png"
    assert set(found.kinds()) == set(Kind)


def test_a_project_of_several_tasks_is_written_and_read_again(tmp_path: Path) -> None:
    def image(name: str, task: str, number: str, subset: str, part: str) -> AnnotatedImage:
        picture(tmp_path / "images" / name)
        ids = {"task": number, "image": "0", "subset": subset}
        shapes = [rectangle("cat", 1, 2, 3, 4)]
        return AnnotatedImage(name, 100, 80, shapes, task=task, frame=0, part=part, source_id=ids)

    images = [
        image("Train/a.png", "first", "31", "Train", "train"),
        image("Validation/a.png", "second", "7", "Validation", "val"),
    ]
    cvat_xml.write(tmp_path / "annotations.xml", images, ["cat"], name="zoo")
    found = cvat_xml.read(tmp_path)
    assert found.problems == []
    assert comparable(found.images) == images
    meta = read_meta(parse(tmp_path / "annotations.xml"))
    assert (meta.project, sorted(meta.tasks)) == ("zoo", ["31", "7"])


@pytest.mark.parametrize("where", ["task", "job", "project"])
def test_meta_of_tasks_jobs_and_projects(tmp_path: Path, where: str) -> None:
    skeleton = "<label><name>knee</name><type>points</type><parent>cat</parent></label>"
    task = (
        "<id>4</id><name>pets</name><size>3</size><mode>interpolation</mode><subset>val</subset>"
        "<start_frame>5</start_frame><stop_frame>12</stop_frame><frame_filter>step=3</frame_filter>"
        "<original_size><width>100</width><height>80</height></original_size>"
    )
    labels = LABELS.replace("</labels>", f"{skeleton}</labels>")
    inner = f"{task}{labels}"
    if where == "project":
        inner = f"<name>zoo</name><tasks><task>{task}</task></tasks>{labels}"
    path = xml(tmp_path, "", f"<{where}>{inner}</{where}><dumped/><source>v.mp4</source>")
    meta = read_meta(parse(path))
    assert meta.labels == ["cat", "dog"]
    found = meta.tasks["4"]
    assert (found.name, found.subset, found.size, found.width) == ("pets", "val", 3, 100)
    assert found.frames() == [5, 8, 11]
    images = cvat_xml.read(path).images  # a video without tracks: three frames without objects
    assert [(i.name, i.frame, i.group, i.part) for i in images] == [
        (f"pets/frame_{number:06d}.png", number, "v.mp4", "val") for number in (5, 8, 11)
    ]


def test_defects_are_told_with_their_line(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png", 50, 40)
    picture(tmp_path / "images/b.png")
    picture(tmp_path / "images/forgotten.png")
    body = "\n".join([
        '<image id="0" name="a.png" width="100" height="80">',
        '<box label="cat" xtl="1" ytl="1" xbr="1" ybr="9"/>',
        '<box label="cat" xtl="-5" ytl="1" xbr="9" ybr="9"/>',
        '<box label="cat" xtl="60" ytl="1" xbr="70" ybr="9"/>',
        '<box label="cat" xtl="1" ytl="1" xbr="9"/>',
        '<box label="cat" xtl="one" ytl="1" xbr="9" ybr="9"/>',
        '<box label="cow" xtl="1" ytl="1" xbr="9" ybr="9"/>',
        '<points label="cat" points="3,4"/>',
        '<polygon label="cat" points="1,1;5;9,9"/>',
        '<mask label="cat" rle="1, 99" left="0" top="0" width="2" height="2"/>',
        '<cloud label="cat"/>',
        '<box label="dog" xtl="2" ytl="3" xbr="9" ybr="9"/>',
        "</image>",
        '<image id="1" name="a.png" width="50" height="40"/>',
        '<image id="2" name="c.png" width="50" height="40"/>',
        '<image id="two" name="b.png" width="50" height="40"/>',
        "<graph/>",
    ])  # fmt: skip
    found = cvat_xml.read(xml(tmp_path, body))
    told = [(fault, where.split(",")[0]) for fault, _, where, _ in problems(found)]
    assert told == [
        ("too_few_coordinates", "line 8"),
        ("number", "line 9"),
        ("too_few_coordinates", "line 12"),
        ("left_out", "line 14"),
        ("size", "line 4"),
        ("zero_area", "line 5"),
        ("outside", "line 6"),
        ("outside", "line 7"),
        ("unknown_class", "line 10"),
        ("too_few_coordinates", "line 11"),
        ("number", "line 13"),
        ("duplicate", "line 17"),
        ("missing_image", "line 18"),
        ("number", "line 19"),
        ("left_out", "line 20"),
        ("no_entry", ""),
        ("no_entry", ""),
    ]
    first, missing = found.images
    assert (first.width, first.height) == (50, 40)
    assert [shape.points for shape in first.shapes] == [(0, 1, 9, 9), (2, 3, 9, 9)]
    assert (missing.name, missing.path) == ("c.png", None)
    assert "line 10, <box>: rectangle of the class 'cow', which is not declared" in str(
        found.problems[8]
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<annotations><image></annotations>", "no well-formed XML"),
        ("", "no well-formed XML"),
        ("<annotation/>", "the root is <annotation>"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotations>&x;</annotations>', "entity is declared"),
    ],
)
def test_unusable_files_are_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    ((fault, file, _, what),) = problems(cvat_xml.read(tmp_path))
    assert (fault, file) == ("unreadable", "a.xml")
    assert told in what


def test_a_folder_of_exports_keeps_equal_names_apart(tmp_path: Path) -> None:
    for task in ("one", "two"):
        picture(tmp_path / task / "images/0.png")
        body = '<image id="0" name="0.png" width="100" height="80"/>'
        xml(tmp_path / task, body, f"<task><name>{task} task</name>{LABELS}</task>")
    found = cvat_xml.read(tmp_path)
    assert found.problems == []
    assert [(i.name, i.task, i.path) for i in found.images] == [
        (f"{task}/0.png", f"{task} task", tmp_path / task / "images/0.png")
        for task in ("one", "two")
    ]
    with pytest.raises(InputError, match="no folder with files"):
        cvat_xml.read(tmp_path / "three")


def test_one_file_is_not_taken_for_two_images(tmp_path: Path) -> None:
    picture(tmp_path / "images/0.png")
    body = "".join(
        f'<image id="{n}" name="{n}/0.png" width="100" height="80"/>' for n in ("1", "2")
    )
    found = cvat_xml.read(xml(tmp_path, body))
    assert [image.path is None for image in found.images] == [False, True]
    assert [fault for fault, *_ in problems(found)] == ["missing_image"]


VIDEO = (
    "<task><id>5</id><name>clip</name><size>6</size><mode>interpolation</mode>"
    "<start_frame>0</start_frame><stop_frame>5</stop_frame>"
    f"<original_size><width>100</width><height>80</height></original_size>{LABELS}</task>"
    "<source>clip.mp4</source>"
)


def shapes_of(found, frame: int) -> list[tuple[float, ...]]:
    (image,) = [image for image in found.images if image.frame == frame]
    return [shape.points for shape in image.shapes]


def test_tracks_are_filled_between_keyframes(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / f"frame_{number:06d}.png")
    body = """
<track id="3" label="cat" source="semi-auto" group_id="2">
<box frame="0" keyframe="1" outside="0" occluded="1" xtl="0" ytl="0" xbr="10" ybr="10">
<attribute name="age">old</attribute></box>
<box frame="2" keyframe="1" outside="0" occluded="0" xtl="4" ytl="8" xbr="14" ybr="18"/>
<box frame="4" keyframe="1" outside="1" occluded="0" xtl="4" ytl="8" xbr="14" ybr="18"/>
</track>
<track id="4" label="dog">
<polygon frame="3" keyframe="1" outside="0" occluded="0" points="1,1;9,1;9,9"/>
</track>"""
    found = cvat_xml.read(xml(tmp_path, body, VIDEO))
    assert found.problems == []
    assert [image.frame for image in found.images] == [0, 1, 2, 3, 4, 5]
    assert shapes_of(found, 1) == [(2, 4, 12, 14)]
    assert shapes_of(found, 3) == [(4, 8, 14, 18), (1, 1, 9, 1, 9, 9)]
    assert shapes_of(found, 4) == shapes_of(found, 5) == [(1, 1, 9, 1, 9, 9)]
    first, between, second = (found.images[number].shapes[0] for number in (0, 1, 2))
    assert (first.track, first.source, first.group) == ("3", "semi-auto", "2")
    assert [shape.keyframe for shape in (first, between, second)] == [True, False, True]
    assert [shape.occluded for shape in (first, between, second)] == [True, True, False]
    assert second.attributes == {"age": "old"}
    assert {image.group for image in found.images} == {"clip.mp4"}


def test_a_shape_of_the_last_frame_but_one_does_not_last(tmp_path: Path) -> None:
    # CVAT leaves the end of such a track out.
    body = (
        '<track id="0" label="cat"><box frame="4" keyframe="1" outside="0" occluded="0" '
        'xtl="0" ytl="0" xbr="10" ybr="10"/></track>'
    )
    found = cvat_xml.read(xml(tmp_path, body, VIDEO))
    assert [len(image.shapes) for image in found.images] == [0, 0, 0, 0, 1, 0]


def test_skeletons_in_a_video(tmp_path: Path) -> None:
    def skeleton(frame: int, x: int, outside: int) -> str:
        joint = '<points label="{}" outside="{}" occluded="0" keyframe="1" points="{},{}"/>'
        joints = joint.format("head", outside, x, 10) + joint.format("foot", outside, x + 4, 30)
        return f'<skeleton frame="{frame}" keyframe="1" z_order="0">{joints}</skeleton>'

    body = f'<track id="0" label="cat">{skeleton(1, 10, 0)}{skeleton(3, 20, 1)}</track>'
    found = cvat_xml.read(xml(tmp_path, body, VIDEO))
    assert [len(image.shapes) for image in found.images] == [0, 1, 1, 0, 0, 0]
    joints = [element.points for element in found.images[2].shapes[0].elements]
    assert joints == [(15, 10), (19, 30)]


def test_defects_of_tracks_are_told(tmp_path: Path) -> None:
    body = """<track id="0" label="cat">
<box frame="x" keyframe="1" outside="0" xtl="0" ytl="0" xbr="10" ybr="10"/>
<box frame="0" keyframe="1" outside="0" xtl="0" ytl="0" xbr="10" ybr="10"/>
<box frame="0" keyframe="1" outside="0" xtl="0" ytl="0" xbr="10" ybr="10"/>
<box frame="1" keyframe="1" outside="1" xtl="0" ytl="0" xbr="10"/>
<box frame="1" keyframe="1" outside="1" xtl="0" ytl="0" xbr="10" ybr="10"/>
<box frame="9" keyframe="1" outside="0" xtl="0" ytl="0" xbr="10" ybr="10"/>
<text/>
</track>"""
    found = cvat_xml.read(xml(tmp_path, body, VIDEO))
    told = [(fault, where.split(",")[0]) for fault, _, where, _ in problems(found)]
    assert [each for each in told if each[0] != "missing_image"] == [
        ("number", "line 5"),
        ("duplicate", "line 7"),
        ("too_few_coordinates", "line 8"),
        ("left_out", "line 11"),
        ("left_out", "line 10"),
    ]
    assert [len(image.shapes) for image in found.images] == [1, 0, 0, 0, 0, 0]
