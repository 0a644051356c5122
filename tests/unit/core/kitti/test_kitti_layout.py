"""Data sets as TAO reads them: nothing of a label is lost, and the source stays as it is."""

import json
from pathlib import Path

import numpy as np
import pytest
from kitti_folders import CAR, VAN, content, label, labelled
from labelled_images import every_kind, picture
from PIL import Image

from components.core.errors import InputError
from components.core.formats import coco, kitti_labels, voc
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.core.kitti.check import check
from components.core.kitti.layout import tao_layout
from components.core.kitti.names import flat_names
from components.core.kitti.reading import read_kitti


def rows(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_object_of_a_file_is_kept_with_15_columns(tmp_path: Path) -> None:
    """The old runner wrote only the last line back, with the 16th column or not, in place."""
    source, target = tmp_path / "source", tmp_path / "target"
    labelled(source, "a.png", f"{CAR} 0.9", VAN, f"{VAN} 0.4")
    labelled(source, "empty.png")
    picture(source / "image_2/unlabelled.png")
    before = content(source)
    made = tao_layout(read_kitti(source).images, target)
    assert content(source) == before
    written = rows(target / "label_2/a.txt")
    assert [row[0] for row in written] == ["Car", "Van", "Van"]
    assert {len(row) for row in written} == {15}
    assert written[0] == CAR.split()
    assert (target / "label_2/empty.txt").read_bytes() == b""
    assert (target / "image_2/empty.png").is_file()
    assert sorted(path.name for path in (target / "image_2").iterdir()) == ["a.png", "empty.png"]
    assert made.notes == ["the score (16th column) of 2 objects is not written"]
    assert (made.classes, check(target).notes) == (["Car", "Van"], [])


def test_real_kitti_is_the_same_again(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "kitti_samples/real_3/training"
    tao_layout(read_kitti(source).images, tmp_path / "made")
    for path in source.glob("label_2/*.txt"):
        pairs = zip(rows(path), rows(tmp_path / "made/label_2" / path.name), strict=True)
        for old, new in pairs:
            assert (new[0], [float(n) for n in new[1:]]) == (old[0], [float(n) for n in old[1:]])
    for path in source.glob("image_2/*.png"):
        made = tmp_path / "made/image_2" / path.name
        assert made.read_bytes() == path.read_bytes()


def test_coco_has_no_class_for_what_nobody_cares_about(shared_data: Path, tmp_path: Path) -> None:
    images = read_kitti(shared_data / "kitti_samples/real_3").images
    made = tao_layout(images, tmp_path / "made", "coco")
    document = json.loads((tmp_path / "made/annotations.json").read_text(encoding="utf-8"))
    assert [category["name"] for category in document["categories"]] == made.classes
    assert made.classes == ["Car", "Cyclist", "Misc", "Pedestrian", "Truck"]
    assert [category["id"] for category in document["categories"]] == [1, 2, 3, 4, 5]
    assert (len(document["images"]), len(document["annotations"])) == (3, 6)
    assert made.notes == ["4 objects of the class 'DontCare' left out"]
    assert (tmp_path / "made/labels.txt").read_text(encoding="utf-8").split() == made.classes
    assert all((tmp_path / "made/images" / i["file_name"]).is_file() for i in document["images"])


def test_images_are_stored_as_tao_reads_them(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shown = labelled(source, "LINK.JPG", CAR)
    picture(source / "image_2/scan.bmp")
    label(source, "scan", CAR)
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 255  # shown, the lower half is white
    Image.fromarray(pixels).save(source / "image_2/turned.png", exif=exif)
    label(source, "turned", CAR.replace("10.5 20.25 30 40", "1 31 39 59"))
    before = content(source)
    made = tao_layout(read_kitti(source).images, tmp_path / "made")
    place = tmp_path / "made/image_2"
    assert sorted(path.name for path in place.iterdir()) == ["LINK.jpg", "scan.png", "turned.png"]
    assert not (place / "LINK.jpg").is_symlink()
    assert not (place / "LINK.jpg").samefile(shown)
    assert (place / "LINK.jpg").read_bytes() == shown.read_bytes()
    with Image.open(place / "turned.png") as image:
        assert image.size == (40, 60)
        stored = np.asarray(image)
        assert (stored[:30].max(), stored[30:].min()) == (0, 255)
    assert "2 images written anew, as TAO reads it" in made.notes
    assert any("several suffixes" in note for note in made.notes)
    again = tao_layout(read_kitti(source).images, tmp_path / "one", suffix=".jpg")
    assert {image.path.suffix for image in again.images if image.path} == {".jpg"}
    with Image.open(tmp_path / "one/image_2/scan.jpg") as image:
        assert image.format == "JPEG"
    assert content(source) == before


def test_other_shapes_become_boxes_and_attributes_numbers(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    odd = Shape(
        "dog", Kind.RECTANGLE, (1, 2, 9, 8), attributes={"truncated": "true", "height": "tall"}
    )
    image = AnnotatedImage("a.png", 100, 80, [*every_kind(), odd], path)
    made = tao_layout([image], tmp_path / "made")
    written = rows(tmp_path / "made/label_2/a.txt")
    assert {len(row) for row in written} == {15}
    assert all(float(value) or True for row in written for value in row[1:])
    assert written[-1][:8] == ["dog", "1", "0", "-10", "1", "2", "9", "8"]
    assert written[-1][8] == "-1"
    assert len(written) == 10
    assert "1 label of a whole image left out" in made.notes
    assert any("outlines written as the box" in note for note in made.notes)
    again = kitti_labels.read(tmp_path / "made")  # in which some of the boxes are the same
    assert len(again.images[0].shapes) == len({(row[0], *row[4:8]) for row in written}) == 8
    assert [problem.fault for problem in again.problems] == ["duplicate"] * 2


def test_everything_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    images = [
        AnnotatedImage("a.png", 9, 9, [Shape("fat hen", Kind.RECTANGLE, (1, 1, 2, 2))], path),
        AnnotatedImage("b.png", 9, 9),
        AnnotatedImage("c.png", path=path),
    ]
    with pytest.raises(InputError) as raised:
        tao_layout(images, tmp_path, suffix=".gif")
    for part in (
        "already exists",
        "suffix: got '.gif'",
        "class 'fat hen' has blanks",
        "'b.png' has no file",
        "'c.png' cannot be read",
    ):
        assert part in str(raised.value)
    assert not (tmp_path / "image_2").exists()
    tao_layout(images[:1], tmp_path / "coco", "coco")
    assert coco.read(tmp_path / "coco").counts() == {"fat hen": 1}


def test_flat_names_are_unlike_all_others() -> None:
    names = ["x/a.png", "x/b.JPEG", "y/A.png", "c.tif", "d.jpg", "d.png", "e/f.jpg", "e_f.jpg"]
    found = flat_names([AnnotatedImage(name) for name in names])
    assert found == [
        "x_a.png", "b.jpg", "y_A.png", "c.png", "d_jpg.jpg", "d_png.png", "f.jpg", "e_f.jpg",
    ]  # fmt: skip
    hard = ["a.jpg", "a.png", "a_jpg.png", "x/a_jpg.jpg"]
    found = flat_names([AnnotatedImage(name) for name in hard], ".png")
    assert len({name.lower() for name in found}) == 4


def test_raccoons_for_both_kinds_of_heads(shared_data: Path, tmp_path: Path) -> None:
    images = voc.read(shared_data / "raccoon_voc").images
    tao_layout(images, tmp_path / "kitti")
    tao_layout(images, tmp_path / "coco", "coco")
    first, second = check(tmp_path / "kitti"), coco.read(tmp_path / "coco")
    assert (first.images, first.classes, first.errors, first.notes) == (
        160,
        {"raccoon": 173},
        [],
        [],
    )
    assert (len(second.images), second.counts(), second.problems) == (160, {"raccoon": 173}, [])
