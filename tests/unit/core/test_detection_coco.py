"""COCO: what is written is read again; documents of other tools; every defect."""

import json
from pathlib import Path

import pytest
from labelled_images import comparable, every_kind, picture, problems, rectangle

from components.core.errors import InputError
from components.core.formats import coco
from components.core.formats.shapes import AnnotatedImage, Kind, Mask, Shape


def test_everything_is_written_and_read_again(tmp_path: Path) -> None:
    picture(tmp_path / "x/a.png")
    picture(tmp_path / "b.png")
    shapes = [
        *every_kind(),
        rectangle("cat", 0.1, 0.1, 0.3, 0.7, score=0.25, crowd=True, track="3", keyframe=False),
        Shape("cat", Kind.POLYGON, (1, 1, 5, 1, 5, 5), further_parts=((7, 7, 9, 7, 9, 9),)),
        Shape("dog", Kind.POLYGON, (1, 1, 5, 1, 5, 5), box=(1, 1, 6, 6), source_id="abc"),
    ]
    tags = [shape for shape in shapes if shape.kind is Kind.TAG]
    ordered = tags + [shape for shape in shapes if shape.kind is not Kind.TAG]
    images = [
        AnnotatedImage(
            "x/a.png", 100, 80, ordered, task="pets", group="v.mp4", frame=0, part="val",
            source_id={"task": "3"}, checksum="ab",
        ),
        AnnotatedImage("b.png", 100, 80),
    ]  # fmt: skip
    coco.write(tmp_path / "all.json", images, ["dog", "cat"])
    found = coco.read(tmp_path / "all.json")
    assert found.problems == []
    assert found.labels == ["dog", "cat"]
    assert comparable(found.images) == images
    assert found.images[0].path == tmp_path / "x/a.png"


def test_the_document_is_plain_coco() -> None:
    shapes = [
        rectangle("cat", -5, 2, 30, 40),
        Shape("dog", Kind.POLYGON, (10, 10, 20, 10, 10, 20)),
        Shape("dog", Kind.ROTATED, (30, 30, 34, 32), rotation=90),
    ]
    images = [AnnotatedImage("a.png", 100, 80, shapes), AnnotatedImage("b.png", 100, 80)]
    content = coco.document(images, ["dog", "cat"])
    assert content["categories"] == [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    assert [(i["id"], i["file_name"], i["width"], i["height"]) for i in content["images"]] == [
        (1, "a.png", 100, 80),
        (2, "b.png", 100, 80),
    ]
    keys = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")
    assert [tuple(entry[key] for key in keys) for entry in content["annotations"]] == [
        (1, 1, 2, [0, 2, 30, 38], 1140, 0),
        (2, 1, 1, [10, 10, 10, 10], 50, 0),
        (3, 1, 1, [31, 29, 2, 4], 8, 0),
    ]
    assert content["annotations"][1]["segmentation"] == [[10, 10, 20, 10, 10, 20]]
    assert content["annotations"][2]["segmentation"] == [[33, 29, 33, 33, 31, 33, 31, 29]]
    with pytest.raises(InputError, match=r"classes 'cat', which are not among dog"):
        coco.document(images, ["dog"])
    with pytest.raises(InputError, match="twice"):
        coco.document(images, ["dog", "cat", "dog"])


def save(path: Path, **content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_documents_of_other_tools(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    save(
        tmp_path / "all.json",
        images=[{"id": 9, "file_name": "a.jpg", "height": 80, "width": 100}],
        categories=[{"id": 17, "name": "cat"}, {"id": 3, "name": "dog", "supercategory": "x"}],
        annotations=[
            {"id": 1, "image_id": 9, "category_id": 17, "bbox": [1, 2, 3.5, 4], "iscrowd": 0},
            {
                "id": 2, "image_id": 9, "category_id": 3, "bbox": [1, 1, 4, 4], "area": 8,
                "segmentation": [[1, 1, 5, 1, 5, 5]], "attributes": {"occluded": True},
            },
            {
                "id": 3, "image_id": 9, "category_id": 3, "bbox": [10, 0, 1, 80], "iscrowd": 1,
                "segmentation": {"size": [80, 100], "counts": [800, 80, 7120]},
            },
            {"id": 4, "image_id": 9, "category_id": 3, "bbox": [1, 1, 4, 4], "segmentation": []},
        ],
    )  # fmt: skip
    found = coco.read(tmp_path)
    assert found.problems == []
    assert found.labels == ["dog", "cat"]  # by id
    assert found.images[0].shapes == [
        rectangle("cat", 1, 2, 4.5, 6),
        Shape(
            "dog", Kind.POLYGON, (1, 1, 5, 1, 5, 5), box=(1, 1, 5, 5),
            attributes={"occluded": "true"},
        ),
        Shape(
            "dog", Kind.MASK, mask=Mask(10, 0, 1, 80, (0, 80)), box=(10, 0, 11, 80), crowd=True
        ),
        rectangle("dog", 1, 1, 5, 5),
    ]  # fmt: skip


def test_one_file_per_part(tmp_path: Path) -> None:
    for place, name in (
        ("annotations/instances_train2017.json", "1.png"),
        ("valid/_annotations.coco.json", "2.png"),
        ("test.json", "3.png"),
    ):
        picture(tmp_path / "images" / name)
        save(
            tmp_path / place,
            images=[{"id": 1, "file_name": name, "width": 100, "height": 80}],
            categories=[{"id": 1, "name": "cat"}],
            annotations=[{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2]}],
        )
    save(tmp_path / "annotations/captions_train2017.json", images=[], annotations=[])
    found = coco.read(tmp_path)
    assert {i.name: i.part for i in found.images} == {
        "1.png": "train", "2.png": "val", "3.png": "test",
    }  # fmt: skip
    assert [each[:2] for each in problems(found)] == [("left_out", "captions_train2017.json")]
    alone = coco.read(tmp_path / "annotations/instances_train2017.json", tmp_path / "images")
    assert [i.path for i in alone.images] == [tmp_path / "images/1.png"]


def test_defects_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "forgotten.png")
    image = {"id": 1, "file_name": "a.png", "width": 100, "height": 80}
    good = {"image_id": 1, "category_id": 1}
    path = save(
        tmp_path / "a.json",
        images=[
            image,
            {**image, "file_name": "b.png"},
            {**image, "id": 2},
            {**image, "id": 3, "file_name": "c.png"},
            {"id": 4},
        ],
        categories=[{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}, {"id": 1, "name": "x"}, 7],
        annotations=[
            {**good, "bbox": [1, 1, 0, 5]},
            {**good, "bbox": [1, 1, -3, 5]},
            {**good, "bbox": [95, 1, 30, 5]},
            {**good, "bbox": [1, 1, 4]},
            {**good},
            {**good, "bbox": [1, 1, "wide", 4]},
            {**good, "bbox": [1, 1, 4, 4], "category_id": 8},
            {**good, "bbox": [1, 1, 4, 4], "image_id": 8},
            {**good, "bbox": [1, 1, 4, 4], "keypoints": [1, 1, 2]},
            {**good, "segmentation": {"size": [2, 2], "counts": [9, 9]}},
            "text",
        ],
    )
    found = coco.read(path)
    assert [(fault, where) for fault, _, where, _ in problems(found)] == [
        ("duplicate", "categories[1]"),
        ("duplicate", "categories[2]"),
        ("unreadable", "categories[3]"),
        ("duplicate", "images[1]"),
        ("unreadable", "images[4]"),
        ("unreadable", "annotations[5]"),
        ("unknown_class", "annotations[6]"),
        ("missing_image", "annotations[7]"),
        ("left_out", "annotations[8]"),
        ("unreadable", "annotations[9]"),
        ("unreadable", "annotations[10]"),
        ("zero_area", "annotations[0]"),
        ("zero_area", "annotations[1]"),
        ("outside", "annotations[2]"),
        ("too_few_coordinates", "annotations[3]"),
        ("too_few_coordinates", "annotations[4]"),
        ("duplicate", "images[2]"),
        ("missing_image", "images[3]"),
        ("no_entry", ""),
    ]
    assert [shape.points for shape in found.images[0].shapes] == [(95, 1, 100, 6), (1, 1, 5, 5)]


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ({"shape": "blob"}, "unreadable"),
        ({"shape": "points", "points": [1, [2], 3, 4]}, "unreadable"),
        ({"shape": "polygon", "segmentation": []}, "too_few_coordinates"),
        ({"shape": "ellipse"}, "too_few_coordinates"),
        ({"shape": "mask", "mask": {"left": 0}}, "unreadable"),
        ({"box": [1, 2]}, "unreadable"),
        ({"attributes": [1]}, "unreadable"),
        ({"score": "high"}, "unreadable"),
        ({"bbox": [1, 1, float("nan"), 2]}, "number"),
        ({"segmentation": {"size": [10**6, 10**6], "counts": []}, "shape": None}, "unreadable"),
    ],
)
def test_damage_of_our_own_keys_is_told(tmp_path: Path, damage: dict, fault: str) -> None:
    picture(tmp_path / "a.png")
    image = AnnotatedImage("a.png", 100, 80, [rectangle("cat", 1, 2, 3, 4)])
    content = coco.document([image], ["cat"])
    content["annotations"][0] |= damage
    if damage.get("shape", "") is None:
        del content["annotations"][0]["shape"]
    found = coco.read(save(tmp_path / "a.json", **content))
    assert [each[0] for each in problems(found)] == [fault]
    assert found.images[0].shapes == []


@pytest.mark.parametrize("text", ["{", "[]", '{"images": []}', "\ufeff{}"])
def test_files_that_are_no_coco(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    ((fault, _, _, what),) = problems(coco.read(tmp_path / "a.json"))
    assert fault == "unreadable"
    assert what.startswith(("no JSON", "no COCO"))


def test_shapes_of_a_second_entry_are_counted(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    image = {"file_name": "a.png", "width": 100, "height": 80}
    boxes = [{"image_id": 25, "category_id": 1, "bbox": [1, 1, n, n]} for n in (5, 9)]
    content = {
        "images": [{"id": 1, **image}, {"id": 25, **image}],
        "annotations": boxes,
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    found = coco.read(tmp_path / "a.json")
    what = "image 'a.png' is there a second time: only the first is kept, without the 2 shapes of "
    assert [problem.what for problem in found.problems] == [f"{what}this one"]
    assert found.images[0].lost == 2  # so that it is not taken for an image without objects


def test_a_category_without_a_name_is_no_class(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}],
        "annotations": [{"image_id": 1, "category_id": n, "bbox": [1, 1, 5, 5]} for n in (1, 2)],
        "categories": [{"id": 1, "name": ""}, {"id": 2, "name": "cat"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    found = coco.read(tmp_path / "a.json")
    assert (found.labels, found.counts()) == (["cat"], {"cat": 1})
    assert [problem.where for problem in found.problems] == ["annotations[0]"]


def test_shapes_of_two_names_of_one_file_are_counted(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    names = {1: "a.png", 2: "gone/a.png"}
    content = {
        "images": [{"id": n, "file_name": name} for n, name in names.items()],
        "annotations": [{"image_id": 2, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    found = coco.read(tmp_path / "a.json")
    assert found.problems[0].what.endswith("is already that of 'a.png': left out with 1 shape")
    assert found.images[0].lost == 1
