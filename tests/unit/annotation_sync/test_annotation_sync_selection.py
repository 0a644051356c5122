"""What goes into the data set, what is left out of it, and that this is told."""

import json
from pathlib import Path
from typing import Any

import pytest
from labelled_images import picture, rectangle
from synced_annotations import Synced, sync, write_coco

from components.annotation_sync.stage import AnnotationSyncSettings
from components.core.errors import InputError, ProblemsError, SettingsError
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.core.settings import build


def image(folder: Path, name: str, *shapes: Shape, file: bool = True) -> AnnotatedImage:
    if file:
        picture(folder / "images" / name).write_bytes(
            # A content of its own for each.
            picture(folder / "images" / name).read_bytes() + name.encode()
        )
    return AnnotatedImage(name, 100, 80, list(shapes), task=name.rpartition("/")[0])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two tasks, a negative, and an image whose file is not there."""
    folder = tmp_path / "source"
    images = [
        image(
            folder, "north/1.png", rectangle("weed", 1, 2, 30, 40), rectangle("crop", 5, 5, 9, 9)
        ),
        image(folder, "north/2.png", rectangle("Weed", 1, 2, 30, 40), rectangle("dog", 1, 1, 9, 9)),
        image(folder, "south/1.png"),
        image(folder, "south/3.png", rectangle("crop", 1, 2, 30, 40), file=False),
    ]
    write_coco(folder, images, ["crop", "weed", "Weed", "dog", "unused"])
    return folder


def test_everything_of_the_source_by_default(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = sync(tmp_path, annotations=str(source))
    assert [*found.images] == ["north/1.png", "north/2.png", "south/1.png"]
    # In the source's own order; what has no box is no class.
    assert found.counts == {"crop": 1, "weed": 1, "Weed": 1, "dog": 1}
    assert found.images["south/1.png"].shapes == []
    assert [(p["kind"], p["where"]) for p in found.problems] == [("missing_image", "images[3]")]
    said = capsys.readouterr().err
    assert "the annotations are coco" in said
    assert "the classes are those of the annotations: crop, weed, Weed, dog" in said
    assert "labels without any box are no classes: unused" in said
    assert "1 of 4 images left out: no file of them can be read" in said
    assert "image 'south/3.png' is not in" in said
    assert found.metadata == {
        "images": 3, "empty_images": 1, "annotations": 4, "classes": 4, "tasks": 2, "problems": 1,
        "annotations of crop": 1, "annotations of weed": 1, "annotations of Weed": 1,
        "annotations of dog": 1,
    }  # fmt: skip


def test_classes_are_in_their_given_order_and_merged(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = sync(
        tmp_path,
        annotations=str(source),
        classes=["weed", "crop", "thistle"],
        merge_classes=["Weed=weed"],
        ignored_classes=["unused"],
    )
    assert found.counts == {"weed": 2, "crop": 1, "thistle": 0}
    assert [p["what"] for p in found.problems if p["kind"] == "unknown_class"] == [
        "not among the classes weed, crop, thistle: 1 shape left out"
    ]
    said = capsys.readouterr().err
    assert "Weed became weed: 1 shape" in said
    assert "classes without any shape: thistle" in said
    assert found.index.classes == ["weed", "crop", "thistle"]


def test_tasks_and_images_are_taken_by_name(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [*sync(tmp_path, annotations=str(source), tasks=["north"]).images] == [
        "north/1.png",
        "north/2.png",
    ]
    assert len(sync(tmp_path, annotations=str(source), tasks=["*th"]).images) == 3
    with pytest.raises(InputError, match=r"'nort' \(did you mean 'north'\?\)") as caught:
        sync(tmp_path, annotations=str(source), tasks=["nort", "n.rth", "south"])
    assert "'n.rth'" in str(caught.value)  # only * is special
    excluded = ["/weed_data/fielddata/north/2.png", "absent.png", "*/3.png"]
    found = sync(tmp_path, annotations=str(source), excluded_images=excluded)
    assert [*found.images] == ["north/1.png", "south/1.png"]
    said = capsys.readouterr().err
    assert "2 images left out by excluded_images" in said
    assert "excluded_images: no image is meant by absent.png" in said


def test_negatives_can_be_left_out(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = sync(tmp_path, annotations=str(source), keep_empty=False, classes=["weed"])
    assert [*found.images] == ["north/1.png"]
    assert "2 images without shapes left out (keep_empty: false)" in capsys.readouterr().err


def test_strict_refuses_what_would_be_told(tmp_path: Path, source: Path) -> None:
    with pytest.raises(InputError, match="1 problem in the annotations: 1 missing_image") as caught:
        sync(tmp_path, annotations=str(source), strict=True)
    assert "image 'south/3.png' is not in" in str(caught.value)
    assert not (tmp_path / "run 1" / "dataset").exists()
    picture(source / "images" / "south" / "3.png")
    assert len(sync(tmp_path, annotations=str(source), strict=True).images) == 4
    with pytest.raises(InputError, match="class 'dog': not among the classes crop"):
        sync(tmp_path, annotations=str(source), strict=True, classes=["crop"])
    others = ["dog", "weed", "Weed"]
    options: dict[str, Any] = {"classes": ["crop"], "ignored_classes": others}
    assert sync(tmp_path, annotations=str(source), strict=True, **options).counts == {"crop": 2}


def test_images_elsewhere_and_none_at_all(tmp_path: Path, source: Path) -> None:
    (source / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"none of the 4 images .* was found: set images"):
        sync(tmp_path, annotations=str(source))
    found = sync(tmp_path, annotations=str(source), images=str(tmp_path / "elsewhere"))
    assert len(found.images) == 3


def test_files_in_another_folder_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, text = tmp_path / "source", "taken from another folder than the annotations name"
    images = [image(folder, f"south/{n}.png", rectangle("weed", 1, 2, 30, 40)) for n in (1, 2)]
    write_coco(folder, images, ["weed"])
    sync(tmp_path, annotations=str(folder))
    assert text not in capsys.readouterr().err
    moved = folder / "images" / "west" / "1.png"
    moved.parent.mkdir()
    (folder / "images" / "south" / "1.png").rename(moved)
    found = sync(tmp_path, annotations=str(folder))
    assert f"1 image {text}" in (said := capsys.readouterr().err)
    assert f"south/1.png at {moved}" in said
    assert text in found.report


def test_an_image_that_cannot_be_read_is_left_out(tmp_path: Path, source: Path) -> None:
    (source / "images" / "north" / "2.png").write_bytes(b"no picture")
    found = sync(tmp_path, annotations=str(source))
    assert [*found.images] == ["north/1.png", "south/1.png"]
    assert [p["kind"] for p in found.problems] == ["unreadable", "missing_image"]


def test_tags_do_not_make_an_image_a_positive_one(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    images = [
        image(folder, "1.png", Shape("weed", Kind.TAG)),
        image(folder, "2.png", rectangle("weed", 1, 2, 30, 40)),
    ]
    write_coco(folder, images, ["weed"])
    assert [*sync(tmp_path, annotations=str(folder)).images] == ["1.png", "2.png"]
    assert [*sync(tmp_path, annotations=str(folder), keep_empty=False).images] == ["2.png"]


def test_the_same_annotations_have_the_same_fingerprint(tmp_path: Path, source: Path) -> None:
    def fingerprint(**settings: Any) -> str:
        return sync(tmp_path, annotations=str(source), **settings).index.fingerprint

    first = fingerprint()
    assert fingerprint() == first
    assert fingerprint(connections=3) == first
    content = json.loads((source / "annotations.json").read_text(encoding="utf-8"))
    content["annotations"][0]["bbox"][2] += 1
    (source / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    assert fingerprint() != first


def test_copies_are_told(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = [source / "images" / name for name in ("north/1.png", "south/1.png")]
    places[1].write_bytes(places[0].read_bytes())
    found: Synced = sync(tmp_path, annotations=str(source))
    text = "1 image with the same content as another one, which may be trained on and tested with"
    assert f"{text}: south/1.png = north/1.png" in capsys.readouterr().err
    assert text in found.report


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "annotations: name the folder or file with them"),
        (
            {"origin": "cvat", "format": "coco", "annotations": "x"},
            "annotations, format: no effect",
        ),
        ({"origin": "database"}, "images: the annotation database holds no images"),
        ({"annotations": "x", "remove_vanished": True}, "remove_vanished: needs origin: cvat"),
        (
            {"origin": "cvat", "database": True, "remove_vanished": True, "tasks": ["a"]},
            "and no tasks",
        ),
        ({"annotations": "x", "classes": ["a", "b", "a"]}, "classes: named more than once: a"),
        ({"annotations": "x", "classes": ["a", " "]}, "' ' is no name"),
        ({"annotations": "x", "classes": ["a"], "ignored_classes": ["a"]}, "also among classes: a"),
        ({"annotations": "x", "merge_classes": ["a"]}, "'a': expected old=new"),
        ({"annotations": "x", "merge_classes": ["a=b", "a=c"]}, "renamed more than once: a"),
        ({"annotations": "x", "merge_classes": ["a=b", "b=c"]}, "b is both an old and a new name"),
        (
            {"annotations": "x", "merge_classes": ["a=b"], "classes": ["a"]},
            "a will be called otherwise",
        ),
        ({"annotations": "x", "format": "csv"}, "format: Input should be 'auto', 'coco'"),
    ],
)
def test_settings_that_contradict_each_other(values: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build(AnnotationSyncSettings, values)
    assert text in str(caught.value)


def test_places_that_are_not_there_are_told_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRAINYARD_CVAT_URL", "TRAINYARD_MONGODB_URI"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ProblemsError) as caught:
        sync(tmp_path, annotations=str(tmp_path / "a"), images=str(tmp_path / "b"), database=True)
    [first, second, third] = caught.value.problems
    assert first.startswith(f"annotations: {tmp_path / 'a'} does not exist")
    assert second.startswith(f"images: {tmp_path / 'b'} does not exist")
    assert third.startswith("database: TRAINYARD_MONGODB_URI is not set")
    path = picture(tmp_path / "a.png")
    with pytest.raises(ProblemsError, match=r"images: .*a.png is a file; a folder is needed"):
        sync(tmp_path, annotations=str(path), images=str(path))
    with pytest.raises(ProblemsError, match=r"origin cvat: .*TRAINYARD_CVAT_URL"):
        sync(tmp_path, origin="cvat")


def test_images_with_only_damaged_boxes_are_no_negatives(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((source / "annotations.json").read_text(encoding="utf-8"))
    own = next(image["id"] for image in content["images"] if image["file_name"] == "south/1.png")
    broken: dict[str, Any] = {"id": 99, "image_id": own, "category_id": 2}
    for wrong in ({"bbox": [5, 5, 0, 9]}, {"bbox": ["x", 1, 2, 3]}, {"category_id": 77}):
        entry = {"bbox": [1, 1, 9, 9], **broken, **wrong}
        text = json.dumps({**content, "annotations": [*content["annotations"], entry]})
        (source / "annotations.json").write_text(text, encoding="utf-8")
        found = sync(tmp_path, annotations=str(source))
        assert [*found.images] == ["north/1.png", "north/2.png"], wrong
        said = "1 image left out, of which labels are damaged and no other is left"
        assert said in capsys.readouterr().err
        assert said in found.report
    # What is left out as intended leaves a negative behind.
    (source / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    found = sync(tmp_path, annotations=str(source), classes=["crop"])
    assert found.index.counts.empty == 2


def test_odd_names_of_classes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, labels = tmp_path / "source", ["weed", " weed ", "Weed", "background", "DontCare"]
    shapes = [rectangle(label, 1 + n, 2, 30, 40) for n, label in enumerate(labels)]
    write_coco(folder, [image(folder, "a.png", *shapes)], labels)
    found = sync(tmp_path, annotations=str(folder), strict=True)
    assert found.counts == {"weed": 2, "Weed": 1, "background": 1}
    said = capsys.readouterr().err
    assert "blanks around labels left out: ' weed ' (1)" in said
    assert "warning: labels that differ in case or blanks only are not one class: " in said
    assert "weed (2), Weed (1); make them one with merge_classes, such as Weed=weed" in said
    assert "background is an ordinary class, that boxes are found of (1)" in said
    assert "DontCare, KITTI's word" in said
    assert "1 shape left out; name it in classes" in said
    assert "differ in case or blanks" in found.report
    merged = sync(tmp_path, annotations=str(folder), merge_classes=["Weed=weed", "background=soil"])
    assert merged.counts == {"weed": 3, "soil": 1}
    assert "differ in case" not in capsys.readouterr().err
    kept = sync(tmp_path, annotations=str(folder), classes=["weed", "DontCare"])
    assert kept.counts == {"weed": 2, "DontCare": 1}
    assert "weed (2), Weed (1)" in capsys.readouterr().err


def test_one_class_without_a_name_does_not_block_the_others(tmp_path: Path, source: Path) -> None:
    path = source / "annotations.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    dog = next(entry for entry in content["categories"] if entry["name"] == "dog")
    dog["name"] = ""
    path.write_text(json.dumps(content), encoding="utf-8")
    found = sync(tmp_path, annotations=str(source))
    assert found.counts == {"crop": 1, "weed": 1, "Weed": 1}
    [told] = [problem for problem in found.problems if problem["kind"] == "unknown_class"]
    assert (told["file"], told["where"]) == (str(path), "annotations[3]")
    assert told["what"] == "rectangle whose class has no name: left out"
