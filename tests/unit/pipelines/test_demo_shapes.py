"""The images of shapes that detectors are demonstrated on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.core.formats import coco
from components.core.formats.shapes import AnnotatedImage
from pipelines.demo_shapes import ANNOTATIONS, CLASSES, COLOURS, OVERLAP, write_images


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[AnnotatedImage]:
    folder = write_images(tmp_path_factory.mktemp("demo") / "shapes", frames=6)
    found = coco.read(folder / ANNOTATIONS)
    assert not found.problems
    assert found.labels == list(CLASSES)
    return found.images


def test_there_is_of_everything(images: list[AnnotatedImage]) -> None:
    assert len(images) == 60
    assert {image.task for image in images} == {"field", "meadow"}
    assert len({image.group for image in images}) == 10
    assert 1 <= sum(not image.shapes for image in images) <= 20
    boxes = [(s.label, s.points) for image in images for s in image.shapes]
    assert {label for label, _ in boxes} == set(CLASSES)
    sides = [right - left for _, (left, _, right, _) in boxes]
    assert min(sides) <= 14
    assert max(sides) >= 36


def test_boxes_are_around_the_shapes(images: list[AnnotatedImage]) -> None:
    for image in images:
        assert image.path is not None
        pixels = np.asarray(Image.open(image.path).convert("RGB"), np.float64)
        assert pixels.shape == (128, 128, 3)
        for number, shape in enumerate(image.shapes):
            left, top, right, bottom = map(int, shape.points)
            assert 0 <= left < right <= 128
            assert 0 <= top < bottom <= 128
            inside = pixels[top:bottom, left:right]
            colour = pixels[bottom - 2, (left + right) // 2]
            assert np.abs(colour - COLOURS[shape.label]).max() < 90
            same = np.abs(inside - colour).max(2) == 0
            # it touches every side of its box, unless a later one covers a little of it
            touched = [same[0], same[-1], same[:, 0], same[:, -1]]
            assert number < len(image.shapes) - 1 or all(side.any() for side in touched)


def test_the_same_seed_gives_the_same_images(tmp_path: Path) -> None:
    first, second, other = (
        write_images(tmp_path / name, 1, 2, 64, seed)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    files = sorted(path.relative_to(first) for path in first.rglob("*.*"))
    assert len(files) == 5
    assert all((first / f).read_bytes() == (second / f).read_bytes() for f in files)
    assert any((first / f).read_bytes() != (other / f).read_bytes() for f in files)
    before = (first / ANNOTATIONS).stat().st_mtime_ns
    assert write_images(first, 5) == first
    assert (first / ANNOTATIONS).stat().st_mtime_ns == before


def test_shapes_hardly_overlap(images: list[AnnotatedImage]) -> None:
    assert OVERLAP < 0.1
    for image in images:
        cover = np.zeros((128, 128), int)
        for shape in image.shapes:
            left, top, right, bottom = map(int, shape.points)
            cover[top:bottom, left:right] += 1
        if image.shapes:
            assert (cover > 1).sum() <= 0.25 * (cover > 0).sum()
