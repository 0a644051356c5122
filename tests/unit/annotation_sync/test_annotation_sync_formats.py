"""Annotation files are recognised by their content, and read the same in every format."""

import re
import shutil
from pathlib import Path

import pytest
from labelled_images import picture, rectangle
from synced_annotations import sync

from components.core.errors import InputError
from components.core.formats import coco, cvat_xml, kitti_labels, voc, yolo
from components.core.formats.recognition import SIGNS, recognised
from components.core.formats.shapes import AnnotatedImage

VOTT = """{"tags": [{"name": "cat"}, {"name": "dog"}], "assets": {"1": {"asset": {"id": "1",
"name": "b.png", "size": {"width": 100, "height": 80}, "state": 2}, "regions": [{"id": "r",
"type": "RECTANGLE", "tags": ["cat"], "boundingBox": {"left": 10, "top": 20, "width": 30,
"height": 40}, "points": []}]}}}"""

CWFID = """filename: b.png
annotation:
- type: cat
  points: {x: [10, 40, 40.0], y: [20, 20, 60]}
"""

FORMATS = [*SIGNS]


def write(folder: Path, form: str) -> None:
    """An image with one box, in a format, beside the image."""
    picture(folder / "images" / "b.png")
    images = [AnnotatedImage("b.png", 100, 80, [rectangle("cat", 10, 20, 40, 60)])]
    classes = ["cat", "dog"]
    if form == "coco":
        coco.write(folder / "annotations.json", images, classes)
    elif form == "voc":
        voc.write(folder, images)
    elif form == "yolo":
        yolo.write(folder, images, classes)
    elif form == "kitti":
        kitti_labels.write(folder, images)
    elif form == "vott":
        (folder / "export.json").write_text(VOTT, encoding="utf-8")
    elif form == "cwfid":
        (folder / "b_annotation.yaml").write_text(CWFID, encoding="utf-8")
    else:
        cvat_xml.write(folder / "annotations.xml", images, classes)


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_is_recognised_and_read(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    write(source, form)
    assert recognised(source) == form
    found = sync(tmp_path, annotations=str(source), classes=["dog", "cat"])
    [image] = found.images.values()
    points = (10.0, 20.0, 40.0, 20.0, 40.0, 60.0) if form == "cwfid" else (10.0, 20.0, 40.0, 60.0)
    assert [(s.label, s.points) for s in image.shapes] == [("cat", points)]
    assert found.problems == []
    assert f"the annotations are {form}" in capsys.readouterr().err
    named = sync(tmp_path, annotations=str(source), classes=["dog", "cat"], format=form)
    assert named.index.fingerprint == found.index.fingerprint


@pytest.mark.parametrize("form", ["coco", "vott", "cvat", "cwfid"])
def test_one_file_is_recognised_too(tmp_path: Path, form: str) -> None:
    write(tmp_path, form)
    [path] = [path for path in tmp_path.iterdir() if path.is_file()]
    assert recognised(path) == form


def test_several_formats_have_to_be_chosen_from(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source, "coco")
    write(source, "voc")
    with pytest.raises(InputError, match=r"several formats: coco, such as .*; voc, such as"):
        sync(tmp_path, annotations=str(source))
    assert sync(tmp_path, annotations=str(source), format="coco").counts == {"cat": 1}


def test_the_error_says_what_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    source = tmp_path / "source"
    picture(source / "a.png")
    (source / "table.csv").write_text("a,b\n", encoding="utf-8")
    (source / "notes.txt").write_text("1 2 3 4 5 6\n", encoding="utf-8")
    (source / "package.json").write_text('{"name": "x"}', encoding="utf-8")
    (source / "broken.xml").write_text("<annotation", encoding="utf-8")
    with pytest.raises(InputError, match="no annotations of a known format") as caught:
        sync(tmp_path, annotations=str(source))
    for text in [*SIGNS.values(), "1 *.csv", "1 *.png", "set format"]:
        assert text in str(caught.value)


def test_large_coco_files_among_many_others_are_found(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"a{number}.json").write_text("{}", encoding="utf-8")
    write(tmp_path, "coco")
    (tmp_path / "annotations.json").rename(tmp_path / "z.json")
    assert recognised(tmp_path) == "coco"


def test_voc_of_the_original_challenge_counts_from_one(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source, "voc")
    found = sync(tmp_path, annotations=str(source), one_based=True)
    [image] = found.images.values()
    assert [shape.points for shape in image.shapes] == [(9.0, 19.0, 40.0, 60.0)]


def test_the_wrong_format_says_what_is_wrong(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source, "cvat")
    with pytest.raises(InputError, match="there are no images in them") as caught:
        sync(tmp_path, annotations=str(source), format="voc")
    assert "the root is <annotations>, not <annotation>" in str(caught.value)
    shutil.rmtree(source)
    source.mkdir()
    (source / "x.txt").touch()
    with pytest.raises(InputError, match="does not name its classes"):
        sync(tmp_path, annotations=str(source), format="yolo")


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("broken.json", '{"images": [],\n "annotations": [}', r"no JSON: line 2, column 18: Expec"),
        ("cut.json", '{"images": [', r"no JSON: line 1, column 13"),
        ("empty.xml", "", r"no XML: no element found: line 1"),
    ],
)
def test_files_that_cannot_be_parsed_are_told_with_the_place(
    tmp_path: Path, name: str, text: str, cause: str
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"{re.escape(name)} is {cause}.*: mend or replace it"):
        recognised(path)
    with pytest.raises(
        InputError, match=rf"no annotations .* cannot be parsed: .*{name} is {cause}"
    ):
        recognised(tmp_path)


def test_a_damaged_file_of_another_format_beside_is_told(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source, "voc")
    (source / "train.json").write_text('{"images": [', encoding="utf-8")
    (source / ".tool").mkdir()
    (source / ".tool" / "settings.json").write_text("// comment", encoding="utf-8")
    [problem] = sync(tmp_path, annotations=str(source)).problems
    assert (problem["kind"], Path(problem["file"]).name) == ("unreadable", "train.json")
    assert problem["what"] == (
        "no JSON: line 1, column 13: Expecting value; it is not among the voc files"
    )
    assert sync(tmp_path, annotations=str(source), format="voc").problems == []


def test_damaged_outlines_of_cwfid_are_told(tmp_path: Path) -> None:
    write(tmp_path / "data", "cwfid")
    folder = tmp_path / "data" / "annotations"
    folder.mkdir()
    (tmp_path / "data" / "b_annotation.yaml").rename(folder / "b.yaml")
    damage = "- type: cat\n  points: {x: [1, 2], y: [1]}\n- type: 3\n  points: {x: 1, y: 2}\n- 5\n"
    (folder / "b.yaml").write_text(CWFID + damage, encoding="utf-8")
    (folder / "c.yaml").write_text("names: [a", encoding="utf-8")
    (folder / "d.yaml").write_text("names: [a]", encoding="utf-8")
    found = sync(tmp_path, annotations=str(folder))
    assert found.counts == {"cat": 1}
    assert [(p["kind"], Path(p["file"]).name, p["where"]) for p in found.problems] == [
        ("unreadable", "b.yaml", "annotation[1]"),
        ("unreadable", "b.yaml", "annotation[2]"),
        ("unreadable", "b.yaml", "annotation[3]"),
        ("unreadable", "c.yaml", ""),
        ("unreadable", "d.yaml", ""),
    ]
