"""Which sizes of clips the networks take: plain arithmetic, so that it can be checked anywhere."""

from __future__ import annotations

from typing import Literal, get_args

from components.core.errors import InputError

SMALL = 160
"""Below this input side, in pixels, I3D's MaxPool3d_2a is left out."""

Network = Literal[
    "i3d",
    "trilinear",
    "resizer_2d",
    "resizer_3d",
    "stn_resizer_2d",
    "stn_resizer_3d",
    "transformer_resizer",
    "transformer_resizer_3d",
]
"""I3D alone, or what stands before it."""

I3D, *NETWORKS = get_args(Network)

POINTS = (
    "input",
    "c1",
    "c2",
    "resize",
    "residual_blocks",
    "c3",
    "inner skip",
    "c4",
    "outer skip",
)
"""Where a transformation can be read and applied, 0 to 8: after each of these steps."""

ENLARGED = POINTS.index("resize")
"""From this point on the frames have the size of the result."""


def refuse_below_one(network: str, **values: int) -> None:
    """Refuses counts and sizes that make no network.

    Raises:
        InputError: with each that is below 1, by name.
    """
    if problems := [f"{name} is {value}" for name, value in values.items() if value < 1]:
        raise InputError(f"{network} needs at least 1 of each: {', '.join(problems)}")


def smallest_input(drop_pool_2a: bool) -> tuple[int, int]:
    """Fewest frames and pixels per side that give one full cell of I3D's last map."""
    return 8, 16 if drop_pool_2a else 32


def i3d_problems(frames: int, height: int, width: int, drop_pool_2a: bool) -> list[str]:
    """What is wrong with a clip's size for I3D, in words; empty when it can be used."""
    least_frames, least_side = smallest_input(drop_pool_2a)
    problems = []
    if frames < least_frames:
        problems.append(f"{frames} frames, but at least {least_frames} are needed")
    if min(height, width) < least_side:
        problems.append(
            f"{height}x{width} pixels, but at least {least_side}x{least_side} are needed"
        )
    return problems


def network_problems(
    network: str, input_size: int, target_size: int, frames: int, read_at: int, apply_at: int
) -> list[str]:
    """What is wrong with sizes and points, each with its setting; empty when all fits.

    Args:
        network: I3D, or one of NETWORKS.
        input_size: side of the clips in pixels.
        target_size: side that they are enlarged to; of no matter to I3D alone.
        frames: of a clip.
        read_at, apply_at: points of `transformer_resizer`; they matter to no other.
    """
    if network == I3D:
        texts = i3d_problems(frames, input_size, input_size, input_size < SMALL)
        return [f"clip_frames, input_size: {text}" for text in texts]
    if network not in NETWORKS:
        return [f"network: {network!r} is not one of {', '.join(NETWORKS)}"]
    problems = [
        f"target_size: {text}"
        for text in i3d_problems(frames, target_size, target_size, target_size < SMALL)
    ]
    if input_size < 1:
        problems.append(f"input_size: {input_size} pixels, but at least 1 is needed")
    elif network.startswith("stn_") and (problem := side_problem(input_size)):
        problems.append(f"input_size: {problem}")
    if network == "transformer_resizer_3d" and (problem := side_problem(target_size)):
        problems.append(f"target_size: {problem}")
    if network == "transformer_resizer":
        target = target_size, target_size
        named = {"in_res": "input_size", "scale_shape": "target_size"}
        for text in point_problems(read_at, apply_at, input_size, target):
            name, rest = text.split(":", 1)
            problems.append(f"{named.get(name, name)}:{rest}")
    return problems


def point_problems(
    read_at: int, apply_at: int, in_res: int, scale_shape: tuple[int, int]
) -> list[str]:
    """What is wrong with a TransformerWithResizer's points and sizes; empty when all fits."""
    last = len(POINTS) - 1
    problems = [
        f"{name}: {value} is no point; use 0 (input) to {last} (output)"
        for name, value in (("read_at", read_at), ("apply_at", apply_at))
        if not 0 <= value <= last
    ]
    if problems:
        return problems
    if read_at > apply_at:
        problems.append(
            f"read_at: {read_at} comes after apply_at {apply_at}; a transformation can only be "
            f"applied from where it is read, so use read_at 0 to {apply_at}"
        )
    height, width = scale_shape
    if read_at >= ENLARGED and height != width:
        problems.append(f"scale_shape: {height}x{width} is no square, as read_at {read_at} needs")
    seen, name = (in_res, "in_res") if read_at < ENLARGED else (height, "scale_shape")
    if problem := side_problem(seen):
        problems.append(f"{name}: {problem}")
    return problems


def side_problem(side: int) -> str:
    """What is wrong with the side of frames to transform, in words; '' when it can be used."""
    if side >= 4 and side % 4 == 0:
        return ""
    near = max(4, 4 * round(side / 4))
    return f"{side} pixels cannot be halved twice; use a multiple of 4, for example {near}"
