"""Backward warping: what another photograph shows of the surface that each pixel sees."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SAMPLINGS = ("nearest", "bilinear")
"""How a photograph is read between the centres of its pixels."""

OUTSIDE = 4.0
"""A coordinate that no photograph reaches; where a lookup is not finite."""


def backward_warp(
    features: Tensor, coordinates: Tensor, sampling: str = "nearest", *, masked: bool = False
) -> Tensor:
    """Reads `features` at the place that each pixel of the target looks up.

    What is looked up outside of [-1, 1], or nowhere (a coordinate that is not finite), is 0.

    Args:
        features: B x C x h x w, of the photograph.
        coordinates: B x 2 or 3 x H x W: x to the right and y UP, normalised to [-1, 1] inside the
            photograph, whose pixel centres lie at odd multiples of 1/w and 1/h; the third channel
            is 1 where the target shows a surface and 0 elsewhere.
        sampling: one of SAMPLINGS.
        masked: multiply the result by the third channel, so that pixels without a surface, whose
            coordinates may be anything (0, 0: the centre of the photograph), are 0 too.

    Returns:
        B x C x H x W, of the type of the features.
    """
    kind = features.dtype
    if kind in (torch.float16, torch.bfloat16):  # too coarse for places in large photographs
        features = features.float()
    coordinates = coordinates.to(features.dtype)
    place = coordinates[:, 0:2]
    place = torch.where(torch.isfinite(place), place, torch.full_like(place, OUTSIDE))
    grid = torch.stack([place[:, 0], -place[:, 1]], 3)
    warped = functional.grid_sample(
        features, grid, mode=sampling, padding_mode="zeros", align_corners=False
    )
    return (warped * coordinates[:, 2:3] if masked else warped).to(kind)


def lookup_validity(coordinates: Tensor) -> Tensor:
    """1 where a lookup is finite, inside the photograph and marked as a surface; else 0.

    Args:
        coordinates: B x 2 or 3 x H x W, as of `backward_warp`.

    Returns:
        B x 1 x H x W, of the type of the coordinates.
    """
    inside = (coordinates[:, 0:2].abs() <= 1).all(1, keepdim=True)  # never with NaN
    if coordinates.shape[1] > 2:
        inside = inside & (coordinates[:, 2:3] > 0)
    return inside.to(coordinates.dtype)


def identity_coordinates(height: int, width: int) -> Tensor:
    """The lookups that reproduce a photograph of height x width pixels: 1 x 3 x height x width."""
    x = (2 * torch.arange(width, dtype=torch.float32) + 1) / width - 1
    y = 1 - (2 * torch.arange(height, dtype=torch.float32) + 1) / height
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows, torch.ones_like(rows)])[None]
