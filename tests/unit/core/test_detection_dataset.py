"""DetectionDataset: written and read again, its counts and fingerprint, and what it refuses."""

import json
from pathlib import Path

import pytest
from labelled_images import every_kind, picture, problems, rectangle

from components.core import artifacts
from components.core.artifacts.detections import DetectionDataset
from components.core.errors import InputError
from components.core.formats import coco
from components.core.formats.shapes import (
    AnnotatedImage,
    Annotations,
    Fault,
    Kind,
    Problem,
    Shape,
    select_classes,
    told,
)


def pets(folder: Path) -> list[AnnotatedImage]:
    tags = [shape for shape in every_kind() if shape.kind is Kind.TAG]
    shapes = tags + [shape for shape in every_kind() if shape.kind is not Kind.TAG]
    first = AnnotatedImage(
        "one/a.png", 100, 80, shapes, picture(folder / "a.png"), task="one", group="film",
        frame=3, part="train", source_id={"task": "31"},
    )  # fmt: skip
    second = AnnotatedImage(
        "one/b.png", 100, 80, [rectangle("dog", 1, 2, 3, 4)], picture(folder / "b.png"),
        task="one", group="film", part="train",
    )  # fmt: skip
    empty = AnnotatedImage("c.png", 100, 80, path=picture(folder / "c.png", 100, 80), part="val")
    return [first, second, empty]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    images = pets(tmp_path / "mine")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "mine").iterdir()}
    DetectionDataset.write(tmp_path / "out", images, ["dog", "cat", "cow"], "mine")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "mine").iterdir()} == before
    found = DetectionDataset.load(tmp_path / "out")
    assert (found.classes, found.source) == (["dog", "cat", "cow"], "mine")
    again = found.images(tmp_path / "out")
    for image, original in zip(again, images, strict=True):
        assert image.path == tmp_path / "out/images" / image.name
        assert original.path is not None
        assert image.path.read_bytes() == original.path.read_bytes()
        assert len(image.checksum) == 64
        image.path, image.checksum = original.path, ""
    assert again == images
    assert artifacts.fingerprint(tmp_path / "out") == found.fingerprint


def test_categories_are_in_the_order_of_the_classes_from_1(tmp_path: Path) -> None:
    index = DetectionDataset.write(tmp_path / "out", pets(tmp_path), ["dog", "cat", "cow"])
    document = index.document(tmp_path / "out")
    assert document["categories"] == [
        {"id": 1, "name": "dog"},
        {"id": 2, "name": "cat"},
        {"id": 3, "name": "cow"},
    ]
    assert {entry["category_id"] for entry in document["annotations"]} == {1, 2}
    assert [entry["id"] for entry in document["annotations"]] == list(range(1, 11))
    found = coco.read(tmp_path / "out/annotations.json", tmp_path / "out/images")
    assert (found.problems, len(found.images)) == ([], 3)  # any tool for COCO can read it


def test_the_summary_counts(tmp_path: Path) -> None:
    index = DetectionDataset.write(tmp_path / "out", pets(tmp_path), ["dog", "cat", "cow"])
    summary = index.summary().model_dump()
    assert summary == {
        "images": 3,
        "empty": 1,
        "annotations": 10,
        "classes": {
            "dog": {"images": 2, "annotations": 5},
            "cat": {"images": 1, "annotations": 5},
            "cow": {"images": 0, "annotations": 0},
        },
        "tasks": {"": {"images": 1, "annotations": 0}, "one": {"images": 2, "annotations": 10}},
        "parts": {
            "train": {"images": 2, "annotations": 10},
            "val": {"images": 1, "annotations": 0},
        },
        "groups": 2,
        "shapes": {
            "cuboid": 1, "ellipse": 1, "mask": 1, "points": 1, "polygon": 1, "polyline": 1,
            "rectangle": 2, "rotated": 1, "skeleton": 1,
        },
        "sources": {"automatic": 1, "manual": 9},
    }  # fmt: skip
    assert list(summary["classes"]) == ["dog", "cat", "cow"]


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    def written(number: int, images: list[AnnotatedImage], classes: list[str]) -> str:
        return DetectionDataset.write(tmp_path / str(number), images, classes).fingerprint

    classes = ["dog", "cat"]
    base = written(0, pets(tmp_path / "a"), classes)
    assert written(1, pets(tmp_path / "elsewhere"), classes) == base
    others = [written(2, pets(tmp_path / "a"), ["cat", "dog"])]
    moved = pets(tmp_path / "a")
    moved[1].shapes = [rectangle("dog", 1, 2, 3, 5)]
    others.append(written(3, moved, classes))
    parted = pets(tmp_path / "a")
    parted[2].part = "test"
    others.append(written(4, parted, classes))
    painted = pets(tmp_path / "b")
    with open(tmp_path / "b/c.png", "ab") as file:
        file.write(b"more")
    others.append(written(5, painted, classes))
    assert len({base, *others}) == 5


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    picture(tmp_path / "real.png")
    (tmp_path / "link.png").symlink_to("real.png")
    image = AnnotatedImage("a.png", 100, 80, path=tmp_path / "link.png")
    DetectionDataset.write(tmp_path / "out", [image], ["cat"])
    assert not (tmp_path / "out/images/a.png").is_symlink()
    assert (tmp_path / "out/images/a.png").read_bytes() == (tmp_path / "real.png").read_bytes()


def test_a_later_change_of_an_image_does_not_reach_the_data_set(tmp_path: Path) -> None:
    theirs, ours = picture(tmp_path / "theirs/a.png"), picture(tmp_path / "ours/b.png")
    before = theirs.read_bytes()
    (tmp_path / "ours/link.png").symlink_to(theirs)
    images = [
        AnnotatedImage(name, 100, 80, path=path)
        for name, path in (("a.png", theirs), ("b.png", ours), ("c.png", ours.parent / "link.png"))
    ]
    DetectionDataset.write(tmp_path / "out", images, ["cat"], own=tmp_path / "ours")
    with open(theirs, "r+b") as file:  # in place, as some tools rotate or tag pictures
        file.write(b"other")
    written = tmp_path / "out/images"
    assert [(written / name).read_bytes() for name in ("a.png", "c.png")] == [before, before]
    assert (written / "b.png").samefile(ours)  # costs nothing where nobody else changes it


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    images = [
        AnnotatedImage("a.png", 100, 80, [rectangle("cow", 1, 1, 2, 2)], path),
        AnnotatedImage("a.png", 100, 80, path=path),
        AnnotatedImage("../b.png", 100, 80, path=path),
        AnnotatedImage("c\n.png", 100, 80, path=path),
        AnnotatedImage("d.png", 100, 80),
        AnnotatedImage("e.png", 100, 80, path=tmp_path / "gone.png"),
        AnnotatedImage("f.png", 0, 80, path=path),
        AnnotatedImage("g.png", 100, 80, path=path, part="holdout"),
        AnnotatedImage("a.png/h.png", 100, 80, path=path),
        AnnotatedImage("i.png", 100, 80, [Shape("cat", Kind.POINTS, (1, 1))], path),
    ]
    with pytest.raises(InputError) as caught:
        DetectionDataset.write(tmp_path / "out", images, ["cat", "cat", ""], "mine")
    assert str(caught.value).replace(str(tmp_path), "…").splitlines() == [
        "mine cannot be used as they are:",
        "  - class 'cat' is there 2 times: name it once",
        "  - a class without a name: name it",
        "  - image 'a.png' is there 2 times: rename it",
        "  - image 'a.png' has shapes of the class 'cow', which is not in the class map: add it, "
        "or leave them out",
        "  - image 'a.png' is also a folder of images: rename it",
        "  - image 'a.png' is also a folder of images: rename it",
        "  - image '../b.png' has no relative name like <folder>/<file>: rename it",
        "  - image 'c\\n.png' has a name with characters that are no text: rename it",
        "  - image 'd.png' has no file: bring it, or leave the image out",
        "  - image 'e.png' is not at …/gone.png: bring it, or leave the image out",
        "  - image 'f.png' has the size 0 x 80: its pixels are needed",
        "  - image 'g.png' is of the part 'holdout': accepted are train, val, test and none",
        "  - image 'i.png' has a shape that cannot be used: points 'cat' has too few coordinates "
        "for a box",
    ]
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=r"(?s)no classes.*no images"):
        DetectionDataset.write(tmp_path / "out", [], [])


def test_damaged_data_sets_are_refused(tmp_path: Path) -> None:
    index = DetectionDataset.write(tmp_path / "out", pets(tmp_path), ["dog", "cat"])
    path = tmp_path / "out/annotations.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    for content in ("{", "[]", json.dumps({**document, "categories": []}), "{}"):
        path.unlink()
        path.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"annotations\.json is damaged"):
            index.images(tmp_path / "out")
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        index.document(tmp_path / "out")


def test_classes_are_selected_and_the_others_told() -> None:
    shapes = [rectangle(label, 1, 1, 2, 2) for label in ("dog", "cat", "cow", "cow")]
    images = [AnnotatedImage("a.png", 9, 9, [*shapes, Shape("ant", Kind.TAG)])]
    found = select_classes(Annotations(["x"], images), ["cat", "dog"], ignored=["ant"])
    assert found.labels == ["cat", "dog"]
    assert [shape.label for shape in found.images[0].shapes] == ["dog", "cat"]
    assert problems(found) == [
        (
            "unknown_class", "", "class 'cow'",
            "not among the classes cat, dog: 2 shapes left out",
        )
    ]  # fmt: skip


def test_many_problems_are_told_in_few_lines() -> None:
    many = [Problem(Fault.OUTSIDE, f"{number}.xml", "line 1", "out") for number in range(5)]
    one = Problem(Fault.DUPLICATE, "a.xml", "", "twice")
    assert told([many[0], one, *many[1:]], limit=2) == [
        "0.xml: line 1: out",
        "1.xml: line 1: out",
        "and 3 more of the kind outside",
        "a.xml: twice",
    ]


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb", "a\n", "\u2028a"])
def test_class_names_with_line_breaks_are_refused_before_training(
    tmp_path: Path, name: str
) -> None:
    image = AnnotatedImage("a.png", 100, 80, path=picture(tmp_path / "a.png"))
    with pytest.raises(InputError, match="has a line break, with which no model can be served"):
        DetectionDataset.write(tmp_path / "out", [image], ["cat", name])
    DetectionDataset.write(tmp_path / "out", [image], ["cat", "red cat"])
