"""Photographs are read where the lookups say, and nowhere else."""

import pytest
import torch

from components.core.models.warp import backward_warp, identity_coordinates, lookup_validity


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 48), (720, 1280), (333, 1001)])
def test_identity_coordinates_reproduce_the_photograph_exactly(size):
    photo = torch.rand(2, 3, *size)
    place = identity_coordinates(*size).expand(2, -1, -1, -1)
    assert torch.equal(backward_warp(photo, place), photo)
    torch.testing.assert_close(
        backward_warp(photo, place, "bilinear"),
        photo,
        rtol=0,
        atol=2e-4 if max(size) > 99 else 1e-5,
    )
    assert lookup_validity(place).all()


def test_x_is_to_the_right_and_y_is_up():
    photo = torch.zeros(1, 1, 4, 6)
    photo[0, 0, 0, 5] = 1  # the corner at the top right
    corner = torch.tensor([0.9, 0.9]).view(1, 2, 1, 1)
    assert backward_warp(photo, corner).item() == 1
    for other in ([0.9, -0.9], [-0.9, 0.9], [-0.9, -0.9]):
        assert backward_warp(photo, torch.tensor(other).view(1, 2, 1, 1)).item() == 0


def test_the_result_has_the_size_of_the_lookups():
    assert backward_warp(torch.rand(2, 5, 90, 70), torch.zeros(2, 3, 16, 32)).shape == (
        2,
        5,
        16,
        32,
    )


@pytest.mark.parametrize("sampling", ["nearest", "bilinear"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1.5, -1.5, 1e30])
@pytest.mark.parametrize("axis", [0, 1])
def test_lookups_outside_or_nowhere_find_nothing(sampling, value, axis):
    place = torch.zeros(1, 3, 2, 2)
    place[0, 2] = 1
    place[0, axis, 0, 0] = value
    found = backward_warp(torch.ones(1, 1, 8, 8), place, sampling)
    assert found[0, 0].tolist() == [[0, 1], [1, 1]]
    assert lookup_validity(place)[0, 0].tolist() == [[0, 1], [1, 1]]


def test_holes_fetch_the_centre_unless_they_are_masked():
    hole = torch.zeros(1, 3, 1, 1)
    photo = torch.rand(1, 4, 9, 9) + 1
    assert torch.equal(backward_warp(photo, hole), photo[:, :, 4:5, 4:5])
    assert not backward_warp(photo, hole, masked=True).any()
    assert not lookup_validity(hole).any()


def test_places_stay_exact_with_features_in_half_precision():
    photo = torch.rand(1, 2, 3, 3001).half()
    found = backward_warp(photo, identity_coordinates(3, 3001))
    assert found.dtype == torch.float16
    assert torch.equal(found, photo)
