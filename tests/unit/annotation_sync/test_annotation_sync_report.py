"""Figures and report of annotations."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from labelled_images import every_kind, picture, rectangle
from PIL import Image
from synced_annotations import sync, write_coco

from components.annotation_sync.gallery import colour, samples
from components.core.detection.figures import statistics
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.core.report.charts import heat_map
from components.core.report.histogram import count_names, histogram, range_names


def images() -> list[AnnotatedImage]:
    first = [rectangle("cat", 0, 0, 31, 33), rectangle("dog", 0, 0, 32, 32)]
    second = [rectangle("cat", 0, 0, 96, 96), rectangle("cat", 0, 0, 95, 97)]
    return [
        AnnotatedImage("a", 500, 400, first, task="one", group="film"),
        AnnotatedImage("b", 500, 400, [*second, Shape("dog", Kind.TAG)], task="two", group="film"),
        AnnotatedImage("c", 500, 300, [], task="two"),
    ]


def test_figures() -> None:
    found = statistics(images(), ["cat", "dog", "cow"])
    assert (found.images, found.empty, found.annotations, found.groups) == (3, 1, 4, 2)
    cat, dog, cow = found.classes
    assert (cat.annotations, cat.images, cat.tasks) == (3, 2, 2)
    # 31 x 33 = 1023 and 95 x 97 = 9215 are just below COCO's limits.
    assert (cat.small, cat.medium, cat.large) == (1, 1, 1)
    assert (dog.small, dog.medium, dog.large) == (0, 1, 0)
    assert (cat.width, cat.height) == (95, 96)
    assert (cow.annotations, cow.images, cow.width) == (0, 0, 0)
    assert [(t.name, t.images, t.empty, t.classes) for t in found.tasks] == [
        ("one", 1, 0, {"cat": 1, "dog": 1, "cow": 0}),
        ("two", 2, 1, {"cat": 2, "dog": 0, "cow": 0}),
    ]
    assert found.together == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert found.sides == [0, 0, 1, 1, 2, 0, 0, 0, 0]
    assert found.ratios == [0, 0, 0, 0, 4, 0, 0, 0, 0]
    assert found.per_image == [1, 0, 2, 0, 0, 0, 0, 0, 0]
    assert found.image_sizes == {"500 x 400": 2, "500 x 300": 1}
    assert (found.tags, found.kinds) == ({"dog": 1}, {"rectangle": 4})
    assert sum(found.document()["limits"]["sides"]) == 2040


def test_bars_and_their_names() -> None:
    assert range_names([8, 0.5, 1024]) == ["< 8", "8–0.5", "0.5–1024", "≥ 1024"]
    assert count_names([1, 2, 5]) == ["0", "1", "2–4", "≥ 5"]
    svg = histogram(["a", "<b>"], [3, 0], "what")
    heights = [float(height) for height in re.findall(r'height="([\d.]+)"/>', svg)]
    assert heights[0] > 100
    assert heights[1] == 0
    assert "&lt;b&gt;" in svg


def test_shares_of_a_heat_map_can_be_of_something_else_than_the_row() -> None:
    svg = heat_map([[2, 1], [1, 1]], ["x", "y"], "images with", "and", "together with", [2, 1])
    assert "x together with y: 1 of 2" in svg
    assert "50%" in svg
    assert "y taken for x: 1 of 2" in heat_map([[2, 1], [1, 1]], ["x", "y"], "a", "b")


def test_the_gallery_shows_each_class_and_negatives(tmp_path: Path) -> None:
    many = [
        AnnotatedImage(f"{n}.png", 100, 80, [rectangle("cat", 10, 20, 60, 70)] if n % 2 else [],
                       path=picture(tmp_path / f"{n}.png"))
        for n in range(40)
    ]  # fmt: skip
    many[8].shapes.append(rectangle("dog", 1, 1, 9, 9))
    found = samples(many, ["cat", "dog"])
    assert [sample.name for sample in found if "dog" in sample.counts] == ["8.png"]
    assert len([sample for sample in found if not sample.counts]) == 3
    assert len([sample for sample in found if "cat" in sample.counts]) == 3
    shown = next(sample for sample in found if sample.counts == {"cat": 1})
    data = base64.b64decode(shown.picture.partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert pixels.shape == (80, 100, 3)
    assert np.abs(pixels[45, 10] - colour(0)).max() < 90  # JPEG blurs thin lines
    assert pixels[45, 35].max() < 30


@pytest.mark.parametrize("label", ["<script>alert(1)</script>", 'a "quoted" & odd class'])
def test_names_do_no_harm_in_the_page(tmp_path: Path, label: str) -> None:
    folder = tmp_path / "source"
    picture(folder / "images" / "a.png")
    shapes = [*every_kind(), rectangle(label, 1, 2, 30, 40)]
    write_coco(folder, [AnnotatedImage("a.png", 100, 80, shapes)], ["cat", "dog", label])
    found = sync(tmp_path, annotations=str(folder))
    assert label not in found.report
    assert "src=" in found.report
    assert not re.search(r'(?:src|href)="(?!data:)', found.report)  # one self-contained file
    again = sync(tmp_path, annotations=str(folder))
    assert again.report == found.report


def test_pictures_of_sixteen_bits_are_not_white(tmp_path: Path) -> None:
    values = np.full((40, 60), 64 * 256, np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    image = AnnotatedImage("a.png", 60, 40, [], path=tmp_path / "a.png")
    picture = samples([image], [])[0].picture
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))))
    assert abs(float(shown.mean()) - 64) < 3
