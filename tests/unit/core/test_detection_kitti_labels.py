"""KITTI labels: what is written is read again, both folder layouts, every defect."""

from pathlib import Path

import pytest
from labelled_images import comparable, picture, problems, rectangle

from components.core.errors import InputError
from components.core.formats import kitti_labels
from components.core.formats.shapes import AnnotatedImage, Kind, Shape

CAR = "Car 0.50 1 1.85 10.5 20.25 30 40 1.67 1.87 3.69 -16.53 2.39 58.49 1.57"
DONT_CARE = "DontCare -1 -1 -10 50 50 60 60 -1 -1 -1 -1000 -1000 -1000 -10"


def save(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_what_is_read_is_written_again(tmp_path: Path) -> None:
    lines = CAR, DONT_CARE.replace(" -1 -1 -10 ", " 0 0 -10 ", 1), f"{CAR} 0.875"
    save(tmp_path / "one/labels/a.txt", *lines)
    save(tmp_path / "one/labels/empty.txt")
    for name in ("a", "empty"):
        picture(tmp_path / f"one/images/{name}.png")
        picture(tmp_path / f"two/images/{name}.png")
    first = kitti_labels.read(tmp_path / "one")
    assert first.problems == []
    assert first.labels == ["Car", "DontCare"]
    assert [(i.name, len(i.shapes)) for i in first.images] == [("a.png", 3), ("empty.png", 0)]
    car, ignored, predicted = first.images[0].shapes
    assert car.points == (10.5, 20.25, 30, 40)
    assert (car.occluded, car.attributes["truncated"], car.score) == (True, "0.50", None)
    assert (ignored.attributes, predicted.score) == ({}, 0.875)
    kitti_labels.write(tmp_path / "two", first.images)
    second = kitti_labels.read(tmp_path / "two")
    assert comparable(second.images) == comparable(first.images)
    written = (tmp_path / "two/labels/a.txt").read_text(encoding="utf-8").splitlines()
    assert written == list(lines)
    assert (tmp_path / "two/labels/empty.txt").read_text(encoding="utf-8") == ""


def test_left_images_belong_to_left_labels(tmp_path: Path) -> None:
    save(tmp_path / "training/label_2/000001.txt", CAR)
    for camera in ("image_2", "image_3"):
        picture(tmp_path / f"training/{camera}/000001.png")
    found = kitti_labels.read(tmp_path)
    assert [i.path for i in found.images] == [tmp_path / "training/image_2/000001.png"]
    assert [each[:2] for each in problems(found)] == [("no_entry", "000001.png")]


def test_parts_are_those_of_the_folders(tmp_path: Path) -> None:
    for part in ("train", "val"):
        save(tmp_path / part / "labels/a.txt", CAR)
        picture(tmp_path / part / "images/a.jpg")
    found = kitti_labels.read(tmp_path)
    assert found.problems == []
    assert [(i.name, i.part) for i in found.images] == [
        ("train/a.jpg", "train"),
        ("val/a.jpg", "val"),
    ]


def test_defects_are_told(tmp_path: Path) -> None:
    for name in ("a", "forgotten"):
        picture(tmp_path / f"images/{name}.png")
    save(
        tmp_path / "labels/a.txt",
        CAR.replace("30 40", "10.5 40"),
        CAR.replace("30 40", "130 40"),
        CAR.removesuffix(" 1.57"),
        CAR.replace("30 40", "30 forty"),
        CAR,
    )
    save(tmp_path / "labels/gone.txt", CAR)
    (tmp_path / "labels/latin.txt").write_bytes(b"M\xfcll")
    found = kitti_labels.read(tmp_path)
    assert [each[:3] for each in problems(found)] == [
        ("too_few_coordinates", "a.txt", "line 3"),
        ("number", "a.txt", "line 4"),
        ("zero_area", "a.txt", "line 1"),
        ("outside", "a.txt", "line 2"),
        ("missing_image", "gone.txt", ""),
        ("unreadable", "latin.txt", ""),
        ("no_entry", "forgotten.png", ""),
    ]
    assert [s.points for s in found.images[0].shapes] == [
        (10.5, 20.25, 100, 40),
        (10.5, 20.25, 30, 40),
    ]
    with pytest.raises(InputError, match="no label files"):
        kitti_labels.read(tmp_path / "images")


def test_what_kitti_cannot_hold_is_refused(tmp_path: Path) -> None:
    images = [AnnotatedImage("a.png", 9, 9, [rectangle("fat hen", 1, 1, 2, 2)])]
    with pytest.raises(InputError, match="cannot hold the classes 'fat hen'"):
        kitti_labels.write(tmp_path, images)
    with pytest.raises(InputError, match=r"would both be a\.txt"):
        kitti_labels.write(tmp_path, [AnnotatedImage("a.png"), AnnotatedImage("a.jpg")])
    polygon = Shape("hen", Kind.POLYGON, (1, 2, 8, 2, 8, 8), occluded=True)
    kitti_labels.write(tmp_path, [AnnotatedImage("a.png", 9, 9, [polygon])])
    assert (tmp_path / "labels/a.txt").read_text(encoding="utf-8") == (
        "hen 0 1 -10 1 2 8 8 -1 -1 -1 -1000 -1000 -1000 -10\n"
    )


def test_damaged_lines_are_counted_as_lost(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("Car 0 0\n", encoding="utf-8")
    assert [image.lost for image in kitti_labels.read(tmp_path).images] == [1]
