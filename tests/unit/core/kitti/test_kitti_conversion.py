"""From any format to any other: the same boxes, classes and parts; subsets; figures."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from kitti_folders import CAR, VAN, content, labelled
from labelled_images import picture, rectangle

from components.core.errors import InputError, ProblemsError
from components.core.formats import boxes
from components.core.formats.shapes import AnnotatedImage, Annotations, Kind
from components.core.kitti import conversion, statistics
from components.core.kitti.subsets import moved, whole, write_subsets


def table(found: Annotations) -> Counter[tuple[object, ...]]:
    """How often each part, class and box is there, to a tenth of a pixel."""
    return Counter(
        (image.part, s.label, *(round(n, 1) for n in boxes.box_on(s, image) or ()))
        for image in found.images
        for s in image.shapes
        if s.kind is not Kind.TAG
    )


def test_blood_cells_become_kitti(shared_data: Path, tmp_path: Path) -> None:
    read_as, found = conversion.read(shared_data / "bccd_voc")
    assert (read_as, len(found.images), sum(found.counts().values())) == ("voc", 292, 3941)
    assert len(conversion.losses(found.problems)) == 2
    (tmp_path / "made").mkdir()
    conversion.write("kitti", tmp_path / "made", found.images, found.labels)
    again_as, again = conversion.read(tmp_path / "made")
    assert (again_as, again.problems) == ("kitti", [])
    assert again.counts() == {"RBC": 3348, "WBC": 301, "Platelets": 292}
    assert Counter(image.part for image in again.images) == {"train": 205, "val": 87}
    assert table(again) == table(found)


@pytest.mark.parametrize("form", conversion.WRITTEN)
def test_raccoons_through_every_format(shared_data: Path, tmp_path: Path, form: str) -> None:
    _, found = conversion.read(shared_data / "raccoon_voc")
    images = found.images[:40]
    for place, image in enumerate(images):
        image.part = ("train", "val", "test", "train")[place % 4]
    conversion.write(form, tmp_path / "made", images, found.labels)
    again_as, again = conversion.read(tmp_path / "made")
    assert (again_as, again.problems, again.labels) == (form, [], ["raccoon"])
    assert Counter(image.part for image in again.images) == {"train": 20, "val": 10, "test": 10}
    assert table(again) == table(Annotations([], images))
    for image in again.images:
        assert image.path is not None
        original = shared_data / "raccoon_voc/images" / image.path.name
        assert image.path.read_bytes() == original.read_bytes()


@pytest.mark.parametrize("form", conversion.WRITTEN)
def test_a_cvat_project_with_names_in_common(shared_data: Path, tmp_path: Path, form: str) -> None:
    _, found = conversion.read(shared_data / "cvat_samples/for_images/export_project")
    assert len(found.images) == 6
    assert found.counts() == {"label1": 6, "label2": 6}
    conversion.write(form, tmp_path / "made", found.images, found.labels)
    _, again = conversion.read(tmp_path / "made")
    assert Counter(image.part for image in again.images) == {"train": 2, "val": 2, "test": 2}
    assert again.counts() == {"label1": 6, "label2": 6}
    assert table(again) == table(found)


def test_vott_is_read(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(
        '{"frames": {"a.png": [{"x1": 1, "y1": 2, "x2": 30, "y2": 40, "width": 100, "height": 80, '
        '"tags": ["cat"]}]}, "inputTags": "cat"}',
        encoding="utf-8",
    )
    read_as, found = conversion.read(tmp_path)
    assert (read_as, found.counts()) == ("vott", {"cat": 1})


def test_classes_get_other_names(tmp_path: Path) -> None:
    shapes = [rectangle(name, 1, 1, 9, 9) for name in ("car", "van", "dog", "DontCare")]
    found = Annotations(["car", "van", "dog", "DontCare"], [AnnotatedImage("a.png", 9, 9, shapes)])
    made = conversion.renamed(found, {"van": "car", "dog": ""})
    assert (made.labels, made.counts()) == (["car", "DontCare"], {"car": 2, "DontCare": 1})
    assert [(p.where, p.what) for p in made.problems] == [
        ("class 'dog'", "left out, as --map says")
    ]
    kept = conversion.renamed(found, {"van": "car"}, ["car"])
    assert kept.counts() == {"car": 2, "DontCare": 1}
    assert ["1 shape left out" in problem.what for problem in kept.problems] == [True]
    with pytest.raises(ProblemsError) as raised:
        conversion.renamed(found, {"vann": "car"}, ["cat"])
    assert "did you mean 'van'?" in str(raised.value)
    assert "--class: class 'cat' is not there" in str(raised.value)


def test_without_images_there_is_nothing_to_convert(tmp_path: Path) -> None:
    (tmp_path / "label_2").mkdir()
    (tmp_path / "label_2/a.txt").write_text(f"{CAR}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"none of 0 annotated images.*--images"):
        conversion.read(tmp_path)
    with pytest.raises(InputError, match="set --from"):
        conversion.read(picture(tmp_path / "b/b.png").parent)


def test_subsets_have_the_same_classes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    labelled(source, "a.png", CAR)
    labelled(source, "b.png", VAN)
    labelled(source, "c.png")
    _, found = conversion.read(source)
    for image, part in zip(found.images, ("train", "val", ""), strict=True):
        image.part = part
    with whole(tmp_path / "made") as folder:
        made = write_subsets(found.images, folder)
        assert not (tmp_path / "made").exists()
    assert {name: layout.classes for name, layout in made.items()} == {
        name: ["Car", "Van"] for name in ("train", "val", "full")
    }
    assert sorted(content(tmp_path / "made")) == sorted(
        f"{part}/{name}"
        for part, stem in (("train", "a"), ("val", "b"), ("full", "c"))
        for name in (f"image_2/{stem}.png", f"label_2/{stem}.txt", "labels.txt")
    )
    layout = moved(made["val"], folder, tmp_path / "made")
    assert [image.path for image in layout.images] == [tmp_path / "made/val/image_2/b.png"]
    assert layout.images[0].path is not None
    assert not layout.images[0].path.samefile(source / "image_2/b.png")
    linked = write_subsets(found.images, tmp_path / "linked", link=True)["val"].images[0].path
    assert linked is not None
    assert linked.samefile(source / "image_2/b.png")
    with pytest.raises(InputError, match="nothing was overwritten"):
        with whole(tmp_path / "made"):
            raise AssertionError("not reached")


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        with whole(tmp_path / "made") as folder:
            (folder / "a").write_text("half", encoding="utf-8")
            raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_figures_of_each_subset(shared_data: Path, tmp_path: Path) -> None:
    _, found = conversion.read(shared_data / "bccd_voc")
    made = statistics.statistics(found.images, found.labels)
    assert list(made) == ["train", "val", "all"]
    assert [subset.images for subset in made.values()] == [205, 87, 292]
    sizes = [s.points[2] - s.points[0] for i in found.images for s in i.shapes if s.label == "WBC"]
    lines = statistics.text(made).splitlines()
    [row] = [line.split() for line in lines if line.startswith("WBC")]
    assert int(row[1]) + int(row[2]) == int(row[3]) == 301
    assert row[4] == f"{np.median(sizes):.0f}"
    assert lines[-1] == "image sizes: 640 x 480 (292)"
    page = statistics.html(made, "cells", ["a <remark>"])
    assert page.count("<svg") == 3
    assert "a &lt;remark&gt;" in page
    assert statistics.document(made)["val"]["images"] == 87


def test_images_with_only_damaged_labels_are_no_background(tmp_path: Path) -> None:
    for name, line in (("a", CAR), ("b", "Car 0 0"), ("c", "")):
        picture(tmp_path / f"image_2/{name}.png")
        (tmp_path / "label_2").mkdir(exist_ok=True)
        (tmp_path / f"label_2/{name}.txt").write_text(f"{line}\n", encoding="utf-8")
    _, found = conversion.read(tmp_path)
    assert [image.name for image in found.images] == ["a.png", "c.png"]
    assert "image 'b.png': all its labels are damaged" in str(found.problems[-1])
