"""Crops of a RenderingDataset, compared with the files that the viewer wrote."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from rendered_scene import scene, synced

from components.core.errors import InputError
from components.core.formats.inovis_blobs import read_blob
from components.core.rendering import lookup
from components.core.rendering.reader import RenderingReader


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene(tmp_path_factory.mktemp("source") / "sets", depth="blob")


@pytest.fixture(scope="module")
def reader(source: Path, tmp_path_factory: pytest.TempPathFactory) -> RenderingReader:
    return RenderingReader(synced(source, tmp_path_factory.mktemp("synced") / "a"))


def picture(source: Path, folder: str, frame: int) -> np.ndarray:
    """(3, H, W) float in [0, 1], read by OpenCV."""
    image = cv2.imread(str(source / "scene" / folder / f"Image{frame:04d}.png"))
    return image[..., ::-1].transpose(2, 0, 1) / 255


def blob(source: Path, folder: str, frame: int) -> np.ndarray:
    return read_blob(source / "scene" / folder / f"Image{frame:04d}.bin")


@pytest.mark.parametrize(("top", "left"), [(0, 0), (16, 48), (32, 32)])
def test_a_crop_is_the_same_place_in_all_sizes(
    source: Path, reader: RenderingReader, top: int, left: int
) -> None:
    crop = reader.crop(5, top, left, (32, 48))
    for level, found in enumerate(crop.levels):
        rows = slice(top >> level, (top + 32) >> level)
        columns = slice(left >> level, (left + 48) >> level)
        colours = picture(source, f"input_{level}_lod0", 5)[:, rows, columns]
        np.testing.assert_allclose(found[:3], colours, atol=1e-6)
        depth = blob(source, f"depth_{level}_lod0", 5)[rows, columns, 0]
        np.testing.assert_allclose(found[3], depth, atol=1 / 65535)
    photo = picture(source, "groundtruth", 5)[:, 6 + top : 38 + top, 4 + left : 52 + left]
    np.testing.assert_allclose(crop.target, photo, atol=1e-6)
    assert crop.valid.shape == (1, 32, 48)
    assert crop.valid.min() == 1


def test_aux_photos_show_the_target_where_points_are(source: Path, reader: RenderingReader) -> None:
    crop = reader.crop(5)
    assert len(crop.aux) == 2
    for number, (photo, found) in enumerate(zip(crop.aux, crop.coordinates, strict=True), 1):
        whole = picture(source, f"nearest{number}_groundtruth_0", 5).astype(np.float32)
        motion = lookup.coordinates(blob(source, f"nearest{number}_motion_0_lod0", 5))
        expected = lookup.looked_up(whole, motion)
        seen = lookup.looked_up(photo[:3], found)
        same = np.isclose(seen, expected, atol=1e-6).all(axis=0)
        assert same.mean() > 0.97  # 16 bits: a few places between two pixels go the other way
        np.testing.assert_array_equal(found[2], motion[2])
        valid = found[2] > 0
        error = np.square(seen - crop.target).mean(axis=0)[valid].mean()
        assert error < 0.25 * np.square(crop.levels[0][:3] - crop.target).mean(axis=0).mean()


def test_coordinates_are_stored_to_a_fraction_of_a_pixel(
    source: Path, reader: RenderingReader, tmp_path: Path
) -> None:
    exact = lookup.coordinates(blob(source, "nearest1_motion_0_lod0", 2))
    valid = exact[2] > 0
    full = RenderingReader(synced(source, tmp_path / "full", full_precision=True))
    for each, error in ((reader, 1.6e-5), (full, 0)):
        found = each.coordinates(2, 0, 0, (64, 96), [0])[0]
        assert np.abs(found[:2] - exact[:2])[:, valid].max() <= error


def test_chosen_aux_views_and_whole_photos(reader: RenderingReader) -> None:
    crop = reader.crop(3, 0, 0, (32, 32), aux=[1], whole_aux=True)
    assert [photo.shape for photo in crop.aux] == [(4, 76, 104)]
    small = reader.crop(3, 0, 0, (32, 32), aux=[1])
    assert small.aux[0][0].size < crop.aux[0][0].size
    np.testing.assert_array_equal(
        *(lookup.looked_up(c.aux[0], c.coordinates[0]) for c in (crop, small))
    )


@pytest.mark.parametrize(
    ("top", "left", "size"),
    [(8, 0, (32, 32)), (0, 4, (32, 32)), (0, 0, (24, 32)), (48, 0, (32, 32)), (-16, 0, (32, 32))],
)
def test_crops_that_no_level_could_follow_are_refused(
    reader: RenderingReader, top: int, left: int, size: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="multiples of 16, inside of 64 x 96"):
        reader.crop(0, top, left, size)


def test_a_reader_goes_to_other_processes(reader: RenderingReader) -> None:
    reader.crop(0)
    copy = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(copy.crop(1).target, reader.crop(1).target)


def test_a_file_that_was_cut_is_told(source: Path, tmp_path: Path) -> None:
    frames = synced(source, tmp_path / "cut")
    entry = RenderingReader(frames).index.frames[0]
    damaged = frames / entry.file
    content = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(content[:-1])
    with pytest.raises(InputError, match="sync the frames again"):
        RenderingReader(frames).crop(0)
