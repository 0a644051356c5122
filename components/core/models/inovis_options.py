"""The options of the renderer INOVIS: their defaults, and what is wrong with given ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LEVELS = 5
"""Resolutions inside the network; each has half the pixels per side of the one before."""

MULTIPLE = 2 ** (LEVELS - 1)
"""Height and width of what is rendered are multiples of this, in pixels."""

BLOCKS = ("gated", "basic")
UPSAMPLING = ("deconv", "bilinear")
POOLING = ("avg", "max")
NORMALIZATIONS = ("batch", "group")
FILTERS = (64, 128, 256, 512, 1024)
"""Filters of the levels where none are given, before they are divided by `feature_scale`."""

MOST_AUX = 6
"""Photographs that the viewer has at most."""

PUBLISHED: dict[str, Any] = {
    "in_gt_frame_amount": 4,
    "upsample_mode": "bilinear",
    "pooling_mode": "max",
    "filter_sizes": [32, 32, 32, 32, 32],
}
"""Arguments of the published networks, 324,071 parameters; the rest is as by default."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "conv_block_extraction_pr": BLOCKS,
    "conv_block_extraction_gt": BLOCKS,
    "conv_block_reweighting": BLOCKS,
    "conv_block_reconstruction": BLOCKS,
    "upsample_mode": UPSAMPLING,
    "pooling_mode": POOLING,
    "normalization": NORMALIZATIONS,
    "sampling": ("nearest", "bilinear"),
}
_COUNTS = (
    "in_channels_gt",
    "in_gt_frame_amount",
    "feature_amount_current",
    "feature_amount_gt",
    "out_channels",
    "feature_scale",
    "fe_current_filter_base",
    "fe_gt_filter_base",
)


def channels_of(in_channels_current: int | Sequence[int]) -> tuple[int, ...]:
    """Channels of the renderings of each resolution given, from the highest on."""
    if isinstance(in_channels_current, int):
        return (in_channels_current,)
    return tuple(in_channels_current)


def filters_of(filter_sizes: Sequence[int], feature_scale: int) -> tuple[int, ...]:
    """Filters of the five levels: those given, or FILTERS divided by the scale."""
    return tuple(filter_sizes) or tuple(size // feature_scale for size in FILTERS)


def network_problems(options: Mapping[str, Any]) -> list[str]:
    """What is wrong with the arguments of INOVIS, all at once; each names its argument.

    Args:
        options: every argument of INOVIS by name, of the right types.
    """
    problems = [
        f"{name}: {options[name]} is too small; expected at least 1"
        for name in _COUNTS
        if options[name] < 1
    ]
    problems += [
        f"{name}: {options[name]!r} is unknown; accepted are {' and '.join(choices)}"
        for name, choices in _CHOICES.items()
        if options[name] not in choices
    ]
    channels = channels_of(options["in_channels_current"])
    if not 1 <= len(channels) <= LEVELS or min(channels, default=0) < 1:
        problems.append(
            f"in_channels_current: {list(channels)} are not 1 to {LEVELS} numbers of at least 1, "
            "one for each resolution of the rendering"
        )
    depth = options["feature_extraction_depth"]
    if not 0 <= depth <= 3:
        problems.append(f"feature_extraction_depth: {depth} is not between 0 and 3")
    elif depth >= len(channels):
        problems.append(
            f"feature_extraction_depth: {depth} needs a rendering at 1/{2**depth} of the size; "
            f"in_channels_current has {len(channels)} resolutions"
        )
    sizes = options["filter_sizes"]
    if len(sizes) not in (0, LEVELS) or (sizes and min(sizes) < 1):
        problems.append(
            f"filter_sizes: {list(sizes)} are not {LEVELS} numbers of at least 1, or none"
        )
    return problems or _room_problems(options, channels, depth)


def _room_problems(options: Mapping[str, Any], channels: tuple[int, ...], depth: int) -> list[str]:
    """Levels whose filters leave none for what comes from the level above."""
    injected = injected_channels(options)
    filters = filters_of(options["filter_sizes"], options["feature_scale"])
    name = "filter_sizes" if options["filter_sizes"] else "feature_scale"
    problems = []
    for level in range(LEVELS):
        wide = filters[level] * (2 if level == depth and not options["filter_sizes"] else 1)
        needed = injected[level] + 1 if level else 1
        if wide < needed:
            problems.append(
                f"{name}: level {level} of the reconstruction has {wide} filters but needs "
                f"{needed} or more, {injected[level]} of them for what is added there"
            )
    return problems


def injected_channels(options: Mapping[str, Any]) -> list[int]:
    """Channels that enter the reconstruction at each of the five levels; 0 where none do."""
    channels = channels_of(options["in_channels_current"])
    injected = [*channels, *[0] * (LEVELS - len(channels))]
    for level in range(len(channels)):
        if level == 0 or options["extract_lowres_features"]:
            injected[level] = channels[0] + options["feature_amount_current"]
    aux = options["feature_amount_gt"] * options["in_gt_frame_amount"]
    injected[options["feature_extraction_depth"]] += aux
    return injected
