"""YOLO text labels: what is written is read again, three layouts, every defect."""

from pathlib import Path

import pytest
import yaml
from labelled_images import comparable, picture, problems, rectangle

from components.core.errors import InputError
from components.core.formats import yolo
from components.core.formats.shapes import AnnotatedImage, Kind, Shape


def save(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    shapes = [
        rectangle("dog", 1.5, 2.25, 30, 40.123456),
        rectangle("cat", 0, 0, 97, 83, score=0.875),
        Shape("cat", Kind.POLYGON, (5, 5, 50, 6.5, 20, 70)),
    ]
    images = [
        AnnotatedImage("x/a.png", 97, 83, shapes, task="x", part="train"),
        AnnotatedImage("x/b.png", 97, 83, task="x", part="val"),
    ]
    for image in images:
        picture(tmp_path / "images" / image.name, 97, 83)
    yolo.write(tmp_path, images, ["dog", "cat"], outlines=True)
    for source in (tmp_path, tmp_path / "data.yaml"):
        found = yolo.read(source)
        assert found.problems == []
        assert found.labels == ["dog", "cat"]
        assert comparable(found.images) == images
    yolo.write(tmp_path, images, ["dog", "cat"])
    assert yolo.read(tmp_path).images[0].shapes[2] == rectangle("cat", 5, 5, 50, 70)
    line = (tmp_path / "labels/x/a.txt").read_text(encoding="utf-8").splitlines()[0]
    assert float(line.split()[1]) == pytest.approx((1.5 + 30) / 2 / 97, abs=1e-10)


def test_what_yolo_cannot_hold_is_refused_all_at_once(tmp_path: Path) -> None:
    images = [
        AnnotatedImage("a.png", 10, 10, [rectangle("cow", 1, 1, 2, 2)]),
        AnnotatedImage("b.png"),
    ]
    with pytest.raises(InputError, match=r"(?s)class 'cow'.*size of 'b\.png' is not known"):
        yolo.write(tmp_path, images, ["cat"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [["cat", "dog"], {0: "cat", 1: "dog"}])
def test_the_layout_of_ultralytics(tmp_path: Path, names: object) -> None:
    config = {"train": "../images/train", "val": ["images/valid"], "names": names, "nc": 2}
    save(tmp_path / "data.yaml", yaml.safe_dump(config))
    for part in ("train", "valid"):
        picture(tmp_path / f"images/{part}/a.jpg")
        save(tmp_path / f"labels/{part}/a.txt", "1 0.5 0.5 0.2 0.25")
    picture(tmp_path / "images/train/empty.jpg")
    save(tmp_path / "labels/train/empty.txt")
    found = yolo.read(tmp_path)
    assert found.problems == []
    assert [(i.name, i.part, len(i.shapes)) for i in found.images] == [
        ("train/a.jpg", "train", 1),
        ("train/empty.jpg", "train", 0),
        ("valid/a.jpg", "val", 1),
    ]
    assert found.images[0].shapes == [rectangle("dog", 40, 30, 60, 50)]


def test_the_layout_of_darknet_and_cvat(tmp_path: Path) -> None:
    save(tmp_path / "obj.data", "classes = 1", "names = data/obj.names")
    save(tmp_path / "obj.names", "cat")
    save(tmp_path / "train.txt", "data/obj_train_data/a.png")
    picture(tmp_path / "obj_train_data/a.png")
    save(tmp_path / "obj_train_data/a.txt", "0 0.5 0.5 1 1")
    found = yolo.read(tmp_path)
    assert found.problems == []
    assert [(i.name, i.part, i.shapes) for i in found.images] == [
        ("obj_train_data/a.png", "train", [rectangle("cat", 0, 0, 100, 80)])
    ]


def test_labels_beside_their_images(tmp_path: Path) -> None:
    save(tmp_path / "classes.txt", "cat", "dog")
    save(tmp_path / "README.txt", "How these were made")
    picture(tmp_path / "a.png")
    save(tmp_path / "a.txt", "1 .5 .5 .1 .1 0.75", "0 0.1 0.1 0.9 0.1 0.9 0.9")
    found = yolo.read(tmp_path)
    assert found.problems == []
    assert found.images[0].shapes == [
        rectangle("dog", 45, 36, 55, 44, score=0.75),
        Shape("cat", Kind.POLYGON, (10, 8, 90, 8, 90, 72)),
    ]


def test_classes_are_needed(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    save(tmp_path / "a.txt", "0 0.5 0.5 1 1")
    with pytest.raises(InputError, match=r"does not name its classes; expected data\.yaml"):
        yolo.read(tmp_path)
    assert yolo.read(tmp_path, classes=["cat"]).counts() == {"cat": 1}
    save(tmp_path / "data.yaml", "names: {1: cat}")
    with pytest.raises(InputError, match="without gaps"):
        yolo.read(tmp_path)
    with pytest.raises(InputError, match="is not there"):
        yolo.read(tmp_path / "nothing")


def test_defects_are_told(tmp_path: Path) -> None:
    save(tmp_path / "data.yaml", "names: [cat]", "nc: 3", "val: nowhere")
    for name in ("a", "b"):
        picture(tmp_path / f"images/{name}.png")
    (tmp_path / "images/c.png").write_text("no image")
    save(
        tmp_path / "labels/a.txt",
        "0 0.5 0.5 0 0.1",
        "0 0.95 0.5 0.2 0.1",
        "0 0.5 0.5 0.1",
        "0 0.5 0.5 0.1 0.1 0.1 0.1 0.1",
        "1 0.5 0.5 0.1 0.1",
        "0.5 0.5 0.5 0.1 0.1",
        "0 0.5 half 0.1 0.1",
        "0 0.5 0.5 nan 0.1",
        "",
        "0 0.5 0.5 0.1 0.1",
    )
    save(tmp_path / "labels/c.txt", "0 0.5 0.5 0.1 0.1")
    save(tmp_path / "labels/gone.txt", "0 0.5 0.5 0.1 0.1")
    found = yolo.read(tmp_path)
    assert [each[:3] for each in problems(found)] == [
        ("unreadable", "data.yaml", ""),
        ("unreadable", "data.yaml", ""),
        ("too_few_coordinates", "a.txt", "line 3"),
        ("too_few_coordinates", "a.txt", "line 4"),
        ("unknown_class", "a.txt", "line 5"),
        ("unknown_class", "a.txt", "line 6"),
        ("number", "a.txt", "line 7"),
        ("zero_area", "a.txt", "line 1"),
        ("outside", "a.txt", "line 2"),
        ("number", "a.txt", "line 8"),
        ("no_entry", "b.png", ""),
        ("unreadable", "c.png", ""),
        ("missing_image", "gone.txt", ""),
    ]
    assert [(i.name, len(i.shapes)) for i in found.images] == [("a.png", 2), ("b.png", 0)]


def test_keypoints_leave_their_box(tmp_path: Path) -> None:
    save(tmp_path / "data.yaml", "names: [cat]", "kpt_shape: [2, 3]")
    picture(tmp_path / "images/a.png")
    save(tmp_path / "labels/a.txt", "0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2")
    found = yolo.read(tmp_path)
    assert found.images[0].shapes == [rectangle("cat", 0, 0, 100, 80)]
    assert [fault for fault, *_ in problems(found)] == ["left_out"]


@pytest.mark.parametrize("text", [b"0 0.5 0.5 0.1 x", b"0 0.5 0.5", b"9 0.5 0.5 0.1 0.1", b"\xff"])
def test_damaged_labels_are_counted_as_lost(tmp_path: Path, text: bytes) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(text)
    assert [image.lost for image in yolo.read(tmp_path, classes=["cat"]).images] == [1]
