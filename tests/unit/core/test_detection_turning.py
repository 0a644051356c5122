"""Shapes drawn on stored pixels, where EXIF turns the image."""

import json
from pathlib import Path

import numpy as np
import pytest
from labelled_images import every_kind, problems, rectangle
from PIL import Image, ImageOps

from components.core.detection.preprocessing import read_rgb
from components.core.formats import boxes, coco, masks
from components.core.formats.shapes import Kind, Mask, Shape
from components.core.formats.turning import SIDEWAYS, turned

WIDTH, HEIGHT = 100, 80


def shown(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as Pillow turns them."""
    image, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = orientation
    image.info["exif"] = exif.tobytes()
    return np.asarray(ImageOps.exif_transpose(image))


def drawn(shape: Shape, width: int, height: int) -> np.ndarray:
    """The pixels whose centres are in the box of a shape."""
    found = boxes.box(shape)
    assert found is not None
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    inside = (x > found[0]) & (x < found[2]) & (y > found[1]) & (y < found[3])
    return inside.astype(np.uint8)


@pytest.mark.parametrize("orientation", SIDEWAYS)
@pytest.mark.parametrize("shape", every_kind()[:-1], ids=lambda shape: str(shape.kind))
def test_shapes_stay_on_their_pixels(shape: Shape, orientation: int) -> None:
    moved = turned(shape, orientation, WIDTH, HEIGHT)
    expected = shown(drawn(shape, WIDTH, HEIGHT), orientation)
    assert (drawn(moved, HEIGHT, WIDTH) == expected).all()
    if shape.mask:
        whole = np.zeros((HEIGHT, WIDTH), bool)
        whole[20:23, 10:14] = masks.pixels(shape.mask)
        expected = shown(whole.astype(np.uint8), orientation)
        assert masks.of_pixels(expected.astype(bool)) == moved.mask


@pytest.mark.parametrize("orientation", SIDEWAYS)
def test_corners_of_a_rotated_box_are_those_of_its_outline(orientation: int) -> None:
    box = Shape("dog", Kind.ROTATED, (30.0, 30.0, 60.0, 50.0), rotation=33.5)
    outline = turned(Shape("dog", Kind.POLYGON, boxes.corners(box)), orientation, WIDTH, HEIGHT)
    found = boxes.corners(turned(box, orientation, WIDTH, HEIGHT))

    def rounded(points: tuple[float, ...]) -> list[tuple[float, float]]:
        pairs = zip(points[0::2], points[1::2], strict=True)
        return sorted((round(x, 3), round(y, 3)) for x, y in pairs)

    assert rounded(found) == rounded(outline.points)


def test_what_is_wrong_stays_wrong() -> None:
    for points in ((9.0, 1.0, 5.0, 9.0), (1.0, 1.0, 9.0)):
        usable, fault, _ = boxes.fit(turned(rectangle("a", *points), 6, 100, 80), 80, 100)
        assert usable is None
        assert fault == boxes.fit(rectangle("a", *points), 100, 80)[1]
    with pytest.raises(ValueError, match="run lengths"):
        turned(Shape("a", Kind.MASK, mask=Mask(0, 0, 2, 2, (0, 9))), 6, 100, 80)


@pytest.mark.parametrize("stated", [(WIDTH, HEIGHT), (HEIGHT, WIDTH)])
def test_readers_turn_what_was_drawn_on_stored_pixels(
    tmp_path: Path, stated: tuple[int, int]
) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[20:40, 10:60] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    as_stored = stated == (WIDTH, HEIGHT)
    good = [10, 20, 50, 20] if as_stored else [40, 10, 20, 50]
    entries = [good, [-10, 5, 20, 20], [1, 1, 0, 5]]
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": stated[0], "height": stated[1]}],
        "categories": [{"id": 1, "name": "weed"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": box} for n, box in enumerate(entries)
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(document), encoding="utf-8")
    found = coco.read(tmp_path / "a.json")
    image = found.images[0]
    assert (image.width, image.height) == (HEIGHT, WIDTH)
    box = boxes.box_on(image.shapes[0], image)
    assert box == (40, 10, 60, 60)
    assert read_rgb(tmp_path / "a.png")[10:60, 40:60].min() == 255
    told = problems(found)
    assert [each[0] for each in told if each[0] != "size"] == ["outside", "zero_area"]
    sizes = [each[3] for each in told if each[0] == "size"]
    assert len(sizes) == as_stored
    for what in sizes:
        assert "EXIF (orientation 6)" in what
        assert "3 shapes are turned as well" in what
