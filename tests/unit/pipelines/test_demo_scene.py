"""The generated scene has the viewer's form, and its lookup coordinates are exact."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from components.core.formats.inovis_blobs import read_blob
from components.core.formats.inovis_folders import found_sets
from components.core.rendering import lookup
from pipelines import demo_scene
from pipelines.demo_scene import write_scene

NATIVE = (104, 76)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("demo") / "sets", 6, 3, NATIVE, holes=0.3)


def image(scene: Path, folder: str, frame: int) -> np.ndarray:
    path = scene / "scene" / folder / f"Image{frame:04d}.png"
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(int)


def test_a_camera_finds_its_own_pixels_at_their_centres() -> None:
    camera = demo_scene._cameras(5, [1])[3]
    view = demo_scene._traced(camera, *NATIVE)
    found = demo_scene._looked_up(view.points, camera, *NATIVE).transpose(2, 0, 1)
    np.testing.assert_allclose(found, lookup.identity(*NATIVE[::-1]), atol=1e-6)


def test_all_folders_are_there_with_the_viewer_s_sizes(scene: Path) -> None:
    names = [str(p.relative_to(scene)) for p in scene.rglob("*.*")]
    found = found_sets(names, "lod0", "")[0]
    assert (found.name, found.aux, len(found.frames), found.incomplete) == ("scene", 3, 6, {})
    assert image(scene, "groundtruth", 0).shape == (76, 104, 4)
    for level in range(4):
        assert image(scene, f"input_{level}_lod0", 0).shape == (64 >> level, 96 >> level, 4)
        assert image(scene, f"depth_{level}_lod0", 0).shape == (64 >> level, 96 >> level, 4)
    assert image(scene, "nearest3_groundtruth_0", 0).shape == (76, 104, 4)
    assert read_blob(scene / "scene/nearest3_motion_0_lod0/Image0000.bin").shape == (64, 96, 3)


def test_smaller_levels_keep_the_nearest_of_four_points(scene: Path) -> None:
    depth, half = (image(scene, f"depth_{level}_lod0", 2)[..., 0] for level in (0, 1))
    colours, small = (image(scene, f"input_{level}_lod0", 2)[..., :3] for level in (0, 1))
    for row, column in ((0, 0), (7, 20), (31, 47), (16, 9)):
        block = depth[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].ravel()
        assert half[row, column] == min((value for value in block if value), default=0)
        of = colours[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(4, 3)
        assert small[row, column].tolist() in of.tolist()


def test_photos_are_found_where_the_coordinates_say(scene: Path) -> None:
    target = image(scene, "groundtruth", 2)[6:70, 4:100, :3] / 255
    motion = read_blob(scene / "scene/nearest1_motion_0_lod0/Image0002.bin")
    drawn = image(scene, "depth_0_lod0", 2)[..., 0] > 0
    assert 0.55 < drawn.mean() < 0.85
    np.testing.assert_array_equal(motion[..., 2] > 0, drawn)
    assert not motion[~drawn].any()
    photo = image(scene, "nearest1_groundtruth_0", 2)[..., :3].transpose(2, 0, 1) / 255
    assert np.abs(photo[:, 6:70, 4:100] - target.transpose(2, 0, 1)).mean() > 0.02  # another view
    found = lookup.coordinates(motion)
    seen = lookup.looked_up(photo, found).transpose(1, 2, 0)
    # off by at most half a pixel, but for what is hidden in the aux photo
    error = np.abs(seen - target)[found[2] > 0].mean(axis=1)
    assert np.median(error) < 0.03


def test_the_same_arguments_give_the_same_scene(scene: Path, tmp_path: Path) -> None:
    again = write_scene(tmp_path / "again", 6, 3, NATIVE, holes=0.3)
    files = sorted(p.relative_to(scene) for p in scene.rglob("*.*"))
    assert len(files) == 6 * (1 + 8 + 9)
    assert all((scene / f).read_bytes() == (again / f).read_bytes() for f in files)
    assert write_scene(scene, 99) == scene  # what is there is used as it is
    with pytest.raises(ValueError, match="aux must be from 1 to 3"):
        write_scene(tmp_path / "few", 4, 4)
    assert not (tmp_path / "few").exists()
