"""Images as detectors get them: read as displayed, resized once, cut into tiles that cover them."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from components.core.detection.preprocessing import read_rgb, resized, scale_for, tiles
from components.core.errors import InputError
from components.core.formats.image_files import image_size


def picture(height=20, width=31):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.ppm", "a.tif", "a.webp", "a.gif"])
def test_every_format_gives_its_pixels_in_rgb(name, tmp_path):
    pixels = picture()
    image = Image.fromarray(pixels)
    if name.endswith("gif"):
        image = image.quantize(256)
        pixels = np.array(image.convert("RGB"))
    image.save(tmp_path / name, **({"lossless": True} if name.endswith("webp") else {}))
    np.testing.assert_array_equal(read_rgb(tmp_path / name), pixels)


def test_a_jpeg_gives_what_another_decoder_gives(tmp_path):
    smooth = np.linspace(0, 255, 40 * 60 * 3).reshape(40, 60, 3).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    expected = np.array(Image.open(tmp_path / "a.jpg").convert("RGB")).astype(int)
    assert np.abs(read_rgb(tmp_path / "a.jpg").astype(int) - expected).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_images_are_turned_as_players_turn_them(orientation, ending, tmp_path):
    path = tmp_path / f"turned.{ending}"
    blocks = np.kron(picture(3, 5), np.ones((16, 16, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(blocks).save(path, exif=exif, **({"quality": 95} if ending == "jpg" else {}))
    with Image.open(path) as image:
        expected = np.array(ImageOps.exif_transpose(image).convert("RGB")).astype(int)
    found = read_rgb(path)
    assert found.shape == expected.shape
    assert (found.shape[1], found.shape[0]) == image_size(path)
    assert np.abs(found.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16", "P", "1"])
def test_other_kinds_of_pixels_become_rgb(mode, tmp_path):
    if mode == "I;16":
        values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
        Image.fromarray(values).save(tmp_path / "a.png")
    else:
        Image.fromarray(picture(20, 30)).convert(mode).save(tmp_path / "a.png")
    found = read_rgb(tmp_path / "a.png")
    assert (found.shape, found.dtype) == ((20, 30, 3), np.uint8)
    assert found.max() > found.min()


def test_sixteen_bits_are_scaled(tmp_path):
    values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    Image.fromarray(values).save(tmp_path / "a.png")
    assert np.abs(read_rgb(tmp_path / "a.png")[..., 0].astype(int) - values // 256).max() <= 1


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_without_a_known_range_are_refused_without_another_word(kind, tmp_path, capfd):
    Image.fromarray(np.ones((6, 8), kind)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif is no readable image: .*convert it to 8 or 16"):
        read_rgb(tmp_path / "a.tif")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_told(content, tmp_path):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png is no readable image"):
        read_rgb(tmp_path / "a.png")


def test_an_absent_image_is_told(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_rgb(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((1920, 1080), (800, 1333), (1333, 750)),  # as torchvision resizes full HD
        ((1000, 1000), (800, 1333), (800, 800)),
        ((400, 300), (800, 1333), (1067, 800)),
        ((300, 400), (600, 0), (600, 800)),
        ((3840, 2160), (0, 1333), (3840, 2160)),
        ((5000, 1), (800, 1333), (1333, 1)),
    ],
)
def test_the_shorter_side_is_brought_to_its_size_within_the_limit(size, limits, expected):
    image = np.zeros((size[1], size[0], 3), np.uint8)
    found, scale = resized(image, *limits)
    assert (found.shape[1], found.shape[0]) == expected
    assert scale == scale_for(*size, *limits)
    assert scale == pytest.approx(expected[0] / size[0], rel=1e-3)


def test_smaller_images_hold_the_means_of_their_pixels():
    image = picture(64, 64)
    found, _ = resized(image, 16, 16)
    means = image.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(found - means).max() <= 0.51


@pytest.mark.parametrize("size", [(100, 100), (64, 64), (63, 200), (1000, 65), (1920, 1080)])
@pytest.mark.parametrize(("tile", "overlap"), [(64, 0), (64, 16), (64, 60), (512, 100)])
def test_tiles_cover_the_image_with_the_overlap_and_one_size(size, tile, overlap):
    width, height = size
    found = np.array(tiles(width, height, tile, overlap))
    assert {tuple(box[2:] - box[:2]) for box in found} == {(min(tile, width), min(tile, height))}
    for low, high, side in ((0, 2, width), (1, 3, height)):
        starts, ends = np.unique(found[:, low]), np.unique(found[:, high])
        assert starts[0] == 0
        assert ends[-1] == side
        assert (ends[:-1] - starts[1:] >= overlap).all()
    assert len(found) == len({tuple(box) for box in found})


@pytest.mark.parametrize(("tile", "overlap"), [(0, 0), (64, 64), (64, -1)])
def test_tiles_that_make_no_way_are_refused(tile, overlap):
    with pytest.raises(InputError, match="tile_overlap from 0 to below it"):
        tiles(100, 100, tile, overlap)
