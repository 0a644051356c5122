"""Resized images: boxes lie on the same pixels as before, whatever the proportions."""

from pathlib import Path

import numpy as np
import pytest
from kitti_folders import CAR, content, label, labelled
from labelled_images import every_kind, picture
from PIL import Image

from components.core.errors import InputError
from components.core.formats import boxes, voc
from components.core.formats.shapes import AnnotatedImage, Kind, Shape
from components.core.kitti.layout import tao_layout
from components.core.kitti.reading import read_kitti
from components.core.kitti.resizing import FILL, placement, resized, size_of


def marked(path: Path, size: tuple[int, int], box: tuple[int, int, int, int]) -> AnnotatedImage:
    """A black image whose box is white."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return AnnotatedImage(path.name, *size, [Shape("w", Kind.RECTANGLE, box)], path)


def white(path: Path) -> tuple[int, int, int, int]:
    """The box around the bright pixels."""
    with Image.open(path) as image:
        rows, columns = np.nonzero(np.asarray(image.convert("L")) > 127)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("letterbox", [True, False])
@pytest.mark.parametrize("size", [(320, 160), (64, 256), (1008, 992)])
def test_boxes_lie_on_the_same_pixels(
    tmp_path: Path, size: tuple[int, int], letterbox: bool
) -> None:
    image = marked(tmp_path / "a.png", (200, 120), (40, 30, 120, 90))
    [made] = resized([image], size, tmp_path / "made", letterbox)
    assert made.path is not None
    with Image.open(made.path) as opened:
        assert opened.size == size == (made.width, made.height)
        corner = np.asarray(opened)[0, 0].tolist()
    np.testing.assert_allclose(made.shapes[0].points, white(made.path), atol=1.0)
    assert corner == ([FILL] * 3 if letterbox else [0] * 3)
    left, top, right, bottom = made.shapes[0].points
    scale = (right - left) / 80, (bottom - top) / 60
    expected = (min(size[0] / 200, size[1] / 120),) * 2
    expected = expected if letterbox else (size[0] / 200, size[1] / 120)
    np.testing.assert_allclose(scale, expected, rtol=0.02)


def test_other_columns_stay(tmp_path: Path) -> None:
    labelled(tmp_path / "source", "a.png", CAR, f"{CAR} 0.5")
    images = resized(read_kitti(tmp_path / "source").images, (208, 160), tmp_path / "pixels", False)
    tao_layout(images, tmp_path / "made")
    line = (tmp_path / "made/label_2/a.txt").read_text(encoding="utf-8").splitlines()[0].split()
    assert [float(value) for value in line[4:8]] == [10.5 * 2.08, 40.5, 62.4, 80]
    assert line[:4] + line[8:] == CAR.split()[:4] + CAR.split()[8:]


def test_shapes_that_do_not_scale_become_their_boxes(tmp_path: Path) -> None:
    image = AnnotatedImage("a.png", 100, 80, every_kind(), picture(tmp_path / "a.png"))
    [made] = resized([image], (160, 160), tmp_path / "made", letterbox=False)
    place = placement(100, 80, (160, 160), False)
    for old, new in zip(image.shapes, made.shapes, strict=True):
        before = boxes.box(old)
        if before is None:
            assert new == old
            continue
        scaled = [n * (place.down if k % 2 else place.across) for k, n in enumerate(before)]
        np.testing.assert_allclose(boxes.box(new), scaled)
        assert (new.label, new.occluded, new.attributes) == (
            old.label,
            old.occluded,
            old.attributes,
        )
    assert made.shapes[2].kind is Kind.POLYGON


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    images = [marked(tmp_path / f"{n}.png", (64, 64), (1, 1, 9, 9)) for n in range(3)]
    told: list[tuple[int, int]] = []
    first = resized(images, (32, 32), tmp_path / "made")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "made").iterdir()}
    gone = first[1].path
    assert gone is not None
    gone.unlink()
    again = resized(images, (32, 32), tmp_path / "made", progress=lambda *n: told.append(n))
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "made").iterdir()}
    assert {path for path in after if after[path] != before[path]} == {gone}
    assert (again, told) == (first, [(1, 3), (2, 3), (3, 3)])


def test_a_turned_image_is_resized_as_it_is_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 255
    (tmp_path / "image_2").mkdir()
    Image.fromarray(pixels).save(tmp_path / "image_2/t.png", exif=exif)
    label(tmp_path, "t", CAR.replace("10.5 20.25 30 40", "0 30 40 60"))
    [made] = resized(read_kitti(tmp_path).images, (80, 112), tmp_path / "made", letterbox=False)
    assert made.path is not None
    assert white(made.path) == (0, 56, 80, 112) == tuple(map(int, made.shapes[0].points))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1000x1000", "width 1000 is no multiple of 16; the next ones are 992 and 1008; height"),
        ("960x8", "height 8 is no multiple of 16; the smallest is 16"),
        ("960", "accepted is <width>x<height>, such as 960x544"),
        ("0x16", "width 0 is no multiple"),
    ],
)
def test_wrong_sizes_name_the_next_ones(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        size_of(text)
    assert size_of(" 960X544 ") == (960, 544)


def test_images_that_cannot_be_resized_are_told_before(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"height 10 is.*\n.*'a\.png' has no file"):
        resized([AnnotatedImage("a.png", 9, 9)], (16, 10), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_raccoons_of_109_sizes(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "raccoon_voc"
    before = content(source / "annotations")
    images = voc.read(source).images
    assert len({(image.width, image.height) for image in images}) > 100
    made = resized(images, (64, 48), tmp_path / "made")
    assert {(image.width, image.height) for image in made} == {(64, 48)}
    for old, new in zip(images, made, strict=True):
        for a, b in zip(old.shapes, new.shapes, strict=True):
            usable, _, what = boxes.fit(b, 64, 48)
            assert usable is not None, what
            wide, tall = (a.points[2] - a.points[0]), (a.points[3] - a.points[1])
            scale = min(64 / old.width, 48 / old.height)
            np.testing.assert_allclose(b.points[2] - b.points[0], wide * scale, rtol=0.05)
            np.testing.assert_allclose(b.points[3] - b.points[1], tall * scale, rtol=0.05)
    assert content(source / "annotations") == before
