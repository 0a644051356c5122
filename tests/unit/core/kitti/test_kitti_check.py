"""Checking a KITTI data set: every defect is told with file and line, and nothing is changed."""

from pathlib import Path

import pytest
from kitti_folders import CAR, VAN, content, label, labelled
from labelled_images import picture

from components.core.errors import InputError
from components.core.formats.shapes import Problem
from components.core.kitti.check import check
from components.core.kitti.reading import read_kitti


def said(problems: list[Problem]) -> list[tuple[str, str, str]]:
    return [(str(p.fault), Path(p.file).name, p.where) for p in problems]


def test_the_real_images_have_nothing_wrong(shared_data: Path) -> None:
    found = check(shared_data / "kitti_samples/real_3")
    assert (found.images, found.labels, found.empty) == (3, 3, [])
    assert found.classes == {
        "Car": 2, "Cyclist": 1, "DontCare": 4, "Misc": 1, "Pedestrian": 1, "Truck": 1,
    }  # fmt: skip
    assert (found.errors, found.notes) == ([], [])
    found.require()
    small = check(shared_data / "kitti_samples/datumaro_kitti_detection")
    assert (small.images, small.classes, small.errors) == (2, {"Truck": 1, "Van": 4}, [])


def test_boxes_beyond_a_stand_in_image_are_errors(shared_data: Path) -> None:
    found = check(shared_data / "kitti_samples/datumaro_kitti_3d")
    lines = [("outside", "000001.txt", f"line {number}") for number in (1, 2, 3)]
    assert (said(found.errors), found.classes) == (lines, {})


def test_every_defect_is_told_and_nothing_changed(tmp_path: Path) -> None:
    labelled(
        tmp_path,
        "a.png",
        CAR.removesuffix(" 1.57"),
        CAR.replace("30 40", "30 forty"),
        CAR.replace("30 40", "10.5 40"),
        CAR.replace("10.5 20.25 30 40", "130 20 140 40"),
        "",
        CAR.replace("30 40", "130 40"),
        CAR.replace("0.50 1", "1.50 7"),
        f"{CAR} 0.875",
        CAR.replace("Car", "car"),
        CAR.replace("Car", "7"),
    )
    labelled(tmp_path, "empty.png")
    labelled(tmp_path, "UPPER.JPG", VAN)
    labelled(tmp_path, "twin.png", VAN)
    picture(tmp_path / "image_2/twin.jpg")
    picture(tmp_path / "image_2/forgotten.png")
    label(tmp_path, "gone", VAN)
    label(tmp_path, "Spelt", VAN)
    picture(tmp_path / "image_2/spelt.png")
    (tmp_path / "image_2/broken.png").write_bytes(b"no image")
    label(tmp_path, "broken", VAN)
    (tmp_path / "label_2/latin.txt").write_bytes(b"M\xfcll")
    picture(tmp_path / "image_2/latin.png")
    before = content(tmp_path)
    found = check(tmp_path)
    assert content(tmp_path) == before
    assert said(found.errors) == [
        ("missing_image", "Spelt.txt", ""),
        ("too_few_coordinates", "a.txt", "line 1"),
        ("number", "a.txt", "line 2"),
        ("zero_area", "a.txt", "line 3"),
        ("outside", "a.txt", "line 4"),
        ("unreadable", "broken.png", ""),
        ("missing_image", "gone.txt", ""),
        ("unreadable", "latin.txt", ""),
        ("missing_image", "twin.txt", ""),
        ("duplicate", "twin.jpg", ""),
    ]
    assert "spelt.png is spelt otherwise" in found.errors[0].what
    assert "may be each of image_2/twin.jpg, image_2/twin.png" in found.errors[8].what
    assert ("outside", "a.txt", "line 6") in said(found.notes)
    assert said(found.notes).count(("number", "a.txt", "line 7")) == 2
    assert ("left_out", "a.txt", "line 8") in said(found.notes)
    text = found.text()
    for part in (
        "*.JPG: 1 image: copies have the suffix in lower case",
        "classes 'Car' and 'car': differ in upper and lower case only",
        "class '7': 1 object: a number as a class",
        "a 16th column, the score of a prediction",
        "truncated is 1.5, accepted are 0 to 1",
        "occluded is 7, accepted are 0 to 3",
        "forgotten.png: has no label file",
        "several suffixes",
        "8 label files (1 empty: background)",
    ):
        assert part in text, part
    assert (found.empty, found.scores) == (["label_2/empty.txt"], 1)
    assert "image_2/forgotten.png" in found.unlabelled
    with pytest.raises(InputError) as raised:
        found.require()
    assert str(raised.value).count("\n  - ") == 10


def test_expected_classes(tmp_path: Path) -> None:
    labelled(tmp_path, "a.png", CAR, VAN, VAN, CAR.replace("Car", "DontCare"))
    [error] = check(tmp_path, ["Car"]).errors
    assert (error.where, error.what) == ("class 'Van'", "2 objects; expected are Car")


def test_what_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        check(tmp_path / "absent")
    picture(tmp_path / "image_2/a.png")
    with pytest.raises(InputError, match="holds no label files"):
        check(tmp_path)


def test_an_image_without_label_file_is_background_only_on_request(tmp_path: Path) -> None:
    labelled(tmp_path / "train", "a.png", CAR)
    picture(tmp_path / "train/image_2/b.png", 64, 48)
    picture(tmp_path / "train/image_3/a.png")
    assert [image.name for image in read_kitti(tmp_path).images] == ["train/a.png"]
    found = read_kitti(tmp_path, unlabelled_empty=True)
    assert [(i.name, i.part, i.width, len(i.shapes)) for i in found.images] == [
        ("train/a.png", "train", 100, 1),
        ("train/b.png", "train", 64, 0),
    ]
    assert [Path(problem.file).parent.name for problem in found.problems] == ["image_3"]
