"""What the renderer INOVIS is given: what is wrong with it, and examples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from components.core.errors import InputError
from components.core.models.inovis_options import MULTIPLE
from components.core.models.warp import identity_coordinates

Inputs = tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]
"""Renderings at each resolution, photographs, and lookups, as a renderer takes them."""


def input_problems(
    levels: Sequence[Tensor],
    aux: Sequence[Tensor],
    coordinates: Sequence[Tensor],
    *,
    channels: Sequence[int],
    aux_channels: int,
    aux_amount: int,
    flagged: bool,
) -> list[str]:
    """What is wrong with the numbers and shapes of inputs.

    Args:
        levels: as of INOVIS, like the next two.
        aux: photographs.
        coordinates: lookups.
        channels: that each level must have.
        aux_channels: that each photograph must have.
        aux_amount: photographs at most.
        flagged: whether lookups must have their third channel.
    """
    problems = []
    if len(levels) != len(channels):
        problems.append(f"{len(levels)} levels instead of {len(channels)}")
    if not 1 <= len(aux) <= aux_amount:
        problems.append(f"{len(aux)} photographs instead of 1 to {aux_amount}")
    if len(aux) != len(coordinates):
        problems.append(f"{len(coordinates)} lookups for {len(aux)} photographs")
    if not levels:
        return problems
    batch, _, height, width = levels[0].shape
    if height % MULTIPLE or width % MULTIPLE or not height or not width:
        problems.append(
            f"{width}x{height} pixels, which are no multiples of {MULTIPLE}: crop the renderings "
            "and lookups"
        )
    for number, (value, wanted) in enumerate(zip(levels, channels, strict=False)):
        shape = (batch, wanted, height >> number, width >> number)
        problems += _other_shape(f"level {number}", value, shape)
    for number, value in enumerate(aux):
        shape = (batch, aux_channels, *value.shape[-2:])
        problems += _other_shape(f"photograph {number}", value, shape)
    for number, value in enumerate(coordinates):
        shape = (batch, 2 if value.shape[1] == 2 and not flagged else 3, height, width)
        problems += _other_shape(f"lookups {number}", value, shape)
    return problems


def example_inputs(
    channels: Sequence[int],
    aux_channels: int,
    aux_amount: int,
    *,
    size: tuple[int, int] = (32, 48),
    aux_size: tuple[int, int] = (48, 32),
    batch: int = 1,
    seed: int = 0,
) -> Inputs:
    """Random inputs, float32 on the CPU, with lookups around their places.

    Some lookups are outside the photographs, some are not finite, and some are no surface.

    Args:
        channels: of the renderings at each resolution.
        aux_channels: of the photographs.
        aux_amount: number of photographs.
        size: height and width of the rendering in pixels, multiples of 16.
        aux_size: height and width of the photographs.
        batch: number of examples.
        seed: of the random numbers.

    Raises:
        InputError: a size that is no multiple of 16.
    """
    if size[0] % MULTIPLE or size[1] % MULTIPLE:
        raise InputError(f"size: {size[1]}x{size[0]} pixels are no multiples of {MULTIPLE}")
    random = torch.Generator().manual_seed(seed)

    def values(depth: int, height: int, width: int) -> Tensor:
        return torch.rand(batch, depth, height, width, generator=random)

    levels = tuple(
        values(depth, size[0] >> number, size[1] >> number) for number, depth in enumerate(channels)
    )
    aux = tuple(values(aux_channels, *aux_size) for _ in range(aux_amount))
    lookups = []
    for _ in range(aux_amount):
        moved = identity_coordinates(*size) + 0.5 * (values(3, *size) - 0.5)
        moved[:, 2] = (values(1, *size)[:, 0] > 0.2).float()
        moved[:, :2, :2] = float("nan")
        lookups.append(moved)
    return levels, aux, tuple(lookups)


def _other_shape(name: str, value: Tensor, wanted: tuple[int, ...]) -> list[str]:
    if tuple(value.shape) == wanted:
        return []
    shape, expected = (" x ".join(str(n) for n in sizes) for sizes in (value.shape, wanted))
    return [f"{name} of {shape} instead of {expected}"]
