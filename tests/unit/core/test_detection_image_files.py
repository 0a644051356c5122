"""Images are found by the names that annotations give them, with their size as displayed."""

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.core.errors import InputError
from components.core.formats.image_files import ImageFiles, image_size, normal_name


def folder_with(folder: Path, *names: str) -> ImageFiles:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(path)
    return ImageFiles(folder)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("a/1.png", "a/1.png"),
        ("2.png", "b/2.png"),
        ("x/y/2.png", "b/2.png"),
        ("C:\\data\\b\\2.png", "b/2.png"),
        ("/somewhere/b/images/1.png", "b/images/1.png"),
        ("b/1.png", "b/images/1.png"),
        ("2", "b/2.png"),
        ("2.jpg", "b/2.png"),
        ("1.png", None),  # two of them
        ("9.png", None),
        ("a/2.png", None),  # that of folder b shows something else
    ],
)
def test_the_best_match_is_found(tmp_path: Path, wanted: str, found: str | None) -> None:
    files = folder_with(tmp_path, "a/1.png", "b/images/1.png", "b/2.png", ".hidden/3.png")
    assert files.names == ["a/1.png", "b/2.png", "b/images/1.png"]
    assert files.find(wanted) == (tmp_path / found if found else None)
    assert len(files.unused()) == (2 if found else 3)


def test_names_stay_inside_the_folder() -> None:
    assert normal_name("../../etc/./passwd.png") == "etc/passwd.png"


def test_sizes_follow_the_orientation_that_exif_asks_for(tmp_path: Path) -> None:
    image, exif = Image.new("RGB", (8, 6)), Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    image.save(tmp_path / "plain.jpg")
    assert image_size(tmp_path / "turned.jpg") == (6, 8)
    assert image_size(tmp_path / "plain.jpg") == (8, 6)
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(InputError, match=r"text\.jpg is no readable image"):
        image_size(tmp_path / "text.jpg")


def header_only(path: Path, width: int, height: int) -> Path:
    """A bitmap that says its size and holds no pixels."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header)
    return path


def test_mosaics_are_images_and_what_is_larger_is_told(tmp_path: Path) -> None:
    mosaic = header_only(tmp_path / "mosaic.bmp", 31_000, 31_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert image_size(mosaic) == (31_000, 31_000)
    with pytest.raises(InputError, match=r"40000 x 40000 pixels; at most 1,000,000,000 .*: cut it"):
        with pytest.warns(Image.DecompressionBombWarning):
            image_size(header_only(tmp_path / "larger.bmp", 40_000, 40_000))
    with pytest.raises(InputError, match=r"10000000000 pixels.*cut it into smaller"):
        image_size(header_only(tmp_path / "huge.bmp", 100_000, 100_000))


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_without_a_known_range_are_told(tmp_path: Path, kind: type) -> None:
    Image.fromarray(np.ones((6, 8), kind)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="convert it to 8 or 16 bits"):
        image_size(tmp_path / "a.tif")
