"""Lookup coordinates: exact, masked, and the same on a crop of the aux photo as on all of it."""

import numpy as np
import pytest
import torch

from components.core.models.warp import backward_warp
from components.core.rendering import lookup
from components.core.rendering.lookup import Window

RNG = np.random.default_rng(0)


def warped(photo: np.ndarray, found: np.ndarray, sampling: str = "nearest") -> np.ndarray:
    pair = torch.from_numpy(photo)[None], torch.from_numpy(found)[None]
    return backward_warp(*pair, sampling)[0].numpy()


@pytest.mark.parametrize(("height", "width"), [(32, 48), (45, 37)])
def test_identity_coordinates_reproduce_the_photo_exactly(height: int, width: int) -> None:
    photo = RNG.random((3, height, width), np.float32)
    found = lookup.identity(height, width)
    assert found[0, 0, 0] < 0 < found[1, 0, 0]  # the first pixel is left and up
    np.testing.assert_array_equal(lookup.looked_up(photo, found), photo)
    np.testing.assert_array_equal(warped(photo, found), photo)


def test_holes_see_nothing_instead_of_the_middle_of_the_photo() -> None:
    motion = np.zeros((4, 4, 3), np.float32)  # what the viewer writes where no point is
    motion[0] = (0.1, 0.2, 1)
    motion[1] = (np.nan, 0.2, 1)
    motion[2] = (1.2, 0.2, 1)
    found = lookup.coordinates(motion)
    assert found[2].tolist() == [[1] * 4, *[[0] * 4] * 3]
    photo = np.ones((3, 9, 9), np.float32)
    for picture in (lookup.looked_up(photo, found), warped(photo, found)):
        assert picture[:, 0].all()
        assert not picture[:, 1:].any()


def test_a_crop_of_the_photo_gives_what_the_photo_gives() -> None:
    photo = RNG.random((3, 60, 90), np.float32)
    places = lookup.identity(20, 30)[:2] * 0.3 + np.array([0.4, -0.3])[:, None, None]
    places = places + RNG.normal(0, 0.03, places.shape)
    found = lookup.coordinates(places.transpose(1, 2, 0).astype(np.float32))
    window = lookup.aux_window(found, 60, 90)
    assert window.height * window.width < 0.5 * 60 * 90
    part = photo[:, window.top : window.top + window.height]
    part = part[..., window.left : window.left + window.width]
    moved = lookup.remapped(found, window, 60, 90)
    np.testing.assert_array_equal(warped(part, moved), warped(photo, found))
    smooth = warped(photo, found, "bilinear")
    np.testing.assert_allclose(warped(part, moved, "bilinear"), smooth, atol=1e-4)


def test_the_halo_is_enough_for_the_features_of_three_convolutions() -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3 if n == 0 else 4, 4, 3, padding=1) for n in range(3)]
    network = torch.nn.Sequential(*layers)
    photo = RNG.random((3, 50, 80), np.float32)
    found = lookup.identity(16, 16) * np.array([0.3, 0.3, 1])[:, None, None].astype(np.float32)
    window = lookup.aux_window(found, 50, 80)
    rows = slice(window.top, window.top + window.height)
    columns = slice(window.left, window.left + window.width)
    moved = lookup.remapped(found, window, 50, 80)

    def features(pixels: np.ndarray, places: np.ndarray) -> torch.Tensor:
        seen = network(torch.from_numpy(np.ascontiguousarray(pixels))[None])
        return backward_warp(seen, torch.from_numpy(places)[None])

    with torch.no_grad():
        whole, part = features(photo, found), features(photo[:, rows, columns], moved)
    torch.testing.assert_close(part, whole, rtol=0, atol=1e-6)


def test_windows_grow_inside_the_photo_to_a_common_size() -> None:
    near_corner, middle = Window(0, 70, 20, 20), Window(20, 30, 25, 10)
    size = lookup.common_size([(near_corner, (60, 90)), (middle, (60, 90))])
    assert size == (32, 32)
    assert lookup.grown(near_corner, *size, (60, 90)) == Window(0, 58, 32, 32)
    assert lookup.grown(middle, *size, (60, 90)) == Window(17, 19, 32, 32)
    assert lookup.common_size([(Window(0, 0, 59, 70), (60, 90))]) == (60, 90)
    assert lookup.grown(Window(0, 0, 20, 20), 32, 32, (24, 90)) == Window(0, 0, 32, 32)


def test_a_window_where_nothing_is_seen() -> None:
    nothing = lookup.coordinates(np.zeros((16, 16, 3), np.float32))
    window = lookup.aux_window(nothing, 60, 90)
    assert window.height <= 60
    assert lookup.remapped(nothing, window, 60, 90)[2].max() == 0
