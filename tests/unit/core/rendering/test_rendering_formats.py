"""Files of the Inovis viewer: blobs, pictures, depths, and the folders they are in."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.core.errors import InputError
from components.core.formats.inovis_blobs import parse_blob, read_blob, write_blob
from components.core.formats.inovis_folders import found_sets, needed_folders
from components.core.formats.inovis_images import (
    linear_depth,
    parse_depth,
    parse_picture,
    write_grey16,
    write_rgba,
)

VALUES = np.linspace(-3, 3, 2 * 3 * 2).reshape(2, 3, 2)


@pytest.mark.parametrize(("kind", "size"), [("float32", 4), ("float16", 2), ("uint8", 1)])
def test_a_blob_comes_back(tmp_path: Path, kind: str, size: int) -> None:
    values = (VALUES * 20 + 100).astype(kind) if kind == "uint8" else VALUES.astype(kind)
    write_blob(tmp_path / "a.bin", values)
    data = (tmp_path / "a.bin").read_bytes()
    assert struct.unpack_from("<5I", data) == (3, 2, 2, size, 0)  # width, height, channels
    assert data[20 : 20 + size] == values[0, 0, :1].tobytes()
    expected = values.astype(np.float32) / (255 if kind == "uint8" else 1)
    found = read_blob(tmp_path / "a.bin")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_blob_of_the_older_form() -> None:
    data = struct.pack("<4I", 3, 2, 2, 0) + VALUES.astype("<f4").tobytes()
    np.testing.assert_allclose(parse_blob(data, "a"), VALUES, rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\0" * 12, "12 bytes"),
        (struct.pack("<5I", 3, 2, 2, 4, 0) + b"\0" * 47, "need 68 bytes, but it has 67"),
        (struct.pack("<5I", 3, 2, 2, 4, 0) + b"\0" * 49, "need 68 bytes, but it has 69"),
        (struct.pack("<5I", 3, 2, 2, 3, 0) + b"\0" * 36, "says 3 and 0"),
        (struct.pack("<5I", 3, 2, 2, 4, 7) + b"\0" * 48, "says 4 and 7"),
        (struct.pack("<5I", 1 << 30, 2, 2, 4, 0), "1073741824 x 2 pixels"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "no blob"),
    ],
)
def test_what_is_no_blob_is_refused_by_its_header_or_length(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_blob(data, "Image0001.bin")


def test_pictures_are_rgb_without_alpha(tmp_path: Path) -> None:
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    write_rgba(tmp_path / "a.png", picture)
    data = (tmp_path / "a.png").read_bytes()
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).shape == (2, 3, 4)
    np.testing.assert_array_equal(parse_picture(data, "a.png"), picture)
    with pytest.raises(InputError, match=r"b\.png is no readable picture"):
        parse_picture(data[:40], "b.png")


def test_depths_of_every_form_are_the_same(tmp_path: Path) -> None:
    depth = (np.arange(12).reshape(3, 4) / 11).astype(np.float32)
    write_rgba(tmp_path / "8.png", np.rint(depth * 255).astype(np.uint8))
    write_grey16(tmp_path / "16.png", depth)
    write_blob(tmp_path / "f.bin", depth[..., None])
    cv2.imwrite(str(tmp_path / "f.tif"), depth)
    for name, error in (("8.png", 0.002), ("16.png", 8e-6), ("f.bin", 0), ("f.tif", 0)):
        found = parse_depth((tmp_path / name).read_bytes(), name)
        assert found.shape == (3, 4)
        np.testing.assert_allclose(found, depth, atol=error, rtol=0)
    write_blob(tmp_path / "metres.bin", 7 * depth[..., None])
    with pytest.raises(InputError, match="outside"):
        parse_depth((tmp_path / "metres.bin").read_bytes(), "metres.bin")


def test_window_depth_becomes_a_distance() -> None:
    near, far, distances = 0.5, 20.0, np.array([0.5, 1.0, 3.7, 20.0])
    # OpenGL's projection matrix, and the default depth range
    clip = distances * (far + near) / (far - near) - 2 * far * near / (far - near)
    window = (clip / distances + 1) / 2
    found = linear_depth(window.astype(np.float32), near, far)
    np.testing.assert_allclose(found[1:], distances[1:] / far, rtol=1e-4)
    assert linear_depth(np.zeros(1, np.float32), near, far) == 0  # nothing was drawn there


def listing(aux: int = 2, stems: tuple[str, ...] = ("a", "b"), prefix: str = "s/") -> list[str]:
    return [f"{prefix}{f}/{stem}.png" for f in needed_folders(aux, "lod0") for stem in stems]


def test_stems_end_at_the_last_ending_and_match_in_all_folders() -> None:
    names = listing(stems=("Image0001", "Image0001.png"))
    blobs = [name.replace("png.png", "png.bin") if "motion" in name else name for name in names]
    found = found_sets(blobs, "lod0", "own")[0]
    assert (found.name, found.aux, found.incomplete) == ("s", 2, {})
    assert [frame.id for frame in found.frames] == ["s/Image0001", "s/Image0001.png"]
    motion = found.frames[1].files["nearest2_motion_0_lod0"]
    assert motion == "s/nearest2_motion_0_lod0/Image0001.png.bin"


def test_frames_that_lack_a_file_or_have_two_are_named() -> None:
    names = [n for n in listing() if n not in ("s/depth_2_lod0/a.png", "s/input_1_lod0/a.png")]
    found = found_sets([*names, "s/groundtruth/b.jpg", "s/groundtruth/notes.txt"], "lod0", "own")[0]
    assert not found.frames
    assert found.incomplete["s/a"] == "no file in input_1_lod0, depth_2_lod0"
    assert found.incomplete["s/b"] == "several files of this name in groundtruth"


def test_the_source_may_be_a_set_itself_and_masks_are_optional() -> None:
    names = listing(prefix="")
    found = found_sets([*names, "mask/b.png"], "lod0", "own")[0]
    assert [("mask" in frame.files, frame.id) for frame in found.frames] == [
        (False, "own/a"),
        (True, "own/b"),
    ]


def test_masks_that_belong_to_no_frame_are_named() -> None:
    names = [name for name in listing() if name != "s/input_0_lod0/b.png"]
    masks = [f"s/mask/{stem}.png" for stem in ("a", "b", "c", "A")]
    found = found_sets([*names, *masks], "lod0", "own")[0]
    assert (found.masked, found.lost_masks) == (True, ("A", "c"))  # b lacks another file
    assert [*found.incomplete] == ["s/b"]
    for extra, masked in (("s/mask/a.bmp", True), ("s/mask/.DS_Store", False)):
        found = found_sets([*names, extra], "lod0", "own")[0]
        assert (found.masked, found.lost_masks) == (masked, ())


def test_missing_folders_of_all_sets_are_told_at_once() -> None:
    names = listing(prefix="s/") + [n.replace("lod0", "lod2") for n in listing(prefix="t/")]
    names = [n for n in names if not n.startswith("s/nearest2_motion")]
    with pytest.raises(InputError) as caught:
        found_sets(names, "lod0", "own")
    assert "s: 1 sub-folder missing or empty: nearest2_motion_0_lod0" in str(caught.value)
    assert "it has lod lod2" in str(caught.value)
    with pytest.raises(InputError, match="no exported set"):
        found_sets(["videos/a.mp4", "pictures/a.png"], "lod0", "own")
