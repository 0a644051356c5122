"""Which classification networks can feed a detector: names only, so that any process can check."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence

BACKBONES = (
    *(f"resnet{n}" for n in (18, 34, 50, 101, 152)),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    *("wide_resnet50_2", "wide_resnet101_2"),
    *("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"),
    *(f"efficientnet_b{n}" for n in range(8)),
    *(f"efficientnet_v2_{size}" for size in "sml"),
    *(f"convnext_{size}" for size in ("tiny", "small", "base", "large")),
    *(f"regnet_x_{size}" for size in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")),
    *(f"regnet_y_{size}" for size in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")),
    "regnet_y_128gf",
    *(f"densenet{n}" for n in (121, 161, 169, 201)),
    *(f"shufflenet_v2_x{size}" for size in ("0_5", "1_0", "1_5", "2_0")),
    *(f"mnasnet{size}" for size in ("0_5", "0_75", "1_0", "1_3")),
    *(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
)
"""Those of torchvision with features of 4, 8, 16 and 32 pixels a cell."""

NETWORKS = ("faster_rcnn", "retinanet", "fcos")
"""The detectors that are built on them."""

NORMS = ("batch", "frozen", "group")
"""Normalisations of a backbone: batch statistics, those it came with, or groups of channels."""

LAYERS = 5
"""Parts of a backbone that can be trained or kept, see `backbones.PARTS`."""

LEVELS = 5
"""Scales at which each of them looks for objects, so many numbers `anchor_sizes` has."""


def feed_problems(backbone: str) -> list[str]:
    """Why a detector cannot be built on a backbone, in words; empty when it can."""
    if backbone in BACKBONES:
        return []
    near = difflib.get_close_matches(backbone, BACKBONES, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return [
        f"got {backbone!r}, which cannot feed a detector; accepted: {', '.join(BACKBONES)}{meant}"
    ]


def detector_problems(
    network: str,
    *,
    classes: int,
    backbone: str,
    v2: bool,
    anchor_sizes: Sequence[float],
    aspect_ratios: Sequence[float],
    trainable_layers: int,
    norm: str,
    channels: int,
    score_threshold: float,
    nms_iou: float,
    detections: int,
) -> list[str]:
    """What is wrong with the arguments of a detector, each with its name; empty when all fit.

    Args:
        network: one of NETWORKS; the others are its arguments, see `detectors.faster_rcnn`.
    """
    problems = [f"backbone: {text}" for text in feed_problems(backbone)]
    if network not in NETWORKS:
        problems.append(f"network: got {network!r}, accepted are {', '.join(NETWORKS)}")
    if network == "fcos" and v2:
        problems.append("v2: fcos has no second form; leave v2 false, or use another network")
    if network == "fcos" and aspect_ratios:
        problems.append("aspect_ratios: fcos has no anchor boxes; leave the list empty")
    if anchor_sizes and len(anchor_sizes) != LEVELS:
        problems.append(
            f"anchor_sizes: got {len(anchor_sizes)}, give one for each of {LEVELS} levels, or none"
        )
    for name, numbers in (("anchor_sizes", anchor_sizes), ("aspect_ratios", aspect_ratios)):
        if wrong := [number for number in numbers if not 0 < number < math.inf]:
            problems.append(f"{name}: got {wrong}, accepted are numbers above 0")
    for name, number in (("classes", classes), ("detections", detections)):
        if number < 1:
            problems.append(f"{name}: got {number}, at least 1 is needed")
    if not 0 <= trainable_layers <= LAYERS:
        problems.append(f"trainable_layers: got {trainable_layers}, accepted are 0 to {LAYERS}")
    if norm not in NORMS:
        problems.append(f"norm: got {norm!r}, accepted are {', '.join(NORMS)}")
    if channels < 32 or channels % 32:
        problems.append(f"channels: got {channels}, accepted are multiples of 32")
    for name, share in (("score_threshold", score_threshold), ("nms_iou", nms_iou)):
        if not 0 <= share <= 1:
            problems.append(f"{name}: got {share}, accepted are 0 to 1")
    return problems
