"""Feature pyramids on the classification networks of torchvision that have features at every scale.

FPN: Lin et al., "Feature Pyramid Networks for Object Detection", 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torchvision.models import get_model
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from components.core.models.backbone_names import BACKBONES, feed_problems

__all__ = ["BACKBONES", "STRIDES", "FeaturePyramid", "Norm", "feature_pyramid", "feed_problems"]

Norm = Literal["batch", "frozen", "group"]
"""Normalisation of the backbone: batch statistics, those it came with, or groups of channels."""

STRIDES = (4, 8, 16, 32)
"""Pixels of the input per cell of the features that a pyramid can be built on."""

PARTS = (2, *STRIDES)
"""The parts of a backbone, by the stride at which each ends; the unit of freezing."""

_PROBE = 64
"""Side in pixels of the image by which the features are found; more than the largest stride."""

_GROUPS, _IN_GROUP = 32, 4
"""Most groups of a group normalisation, and fewest channels in one."""


class FeaturePyramid(nn.Module):
    """A backbone and the pyramid on its features; torchvision's detectors take it as theirs."""

    def __init__(
        self, name: str, body: nn.Module, fpn: FeaturePyramidNetwork, channels: int
    ) -> None:
        super().__init__()
        self.name = name
        self.body = body
        self.fpn = fpn
        self.out_channels = channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features by level, the finest first.

        Args:
            images: B, 3, H, W, normalised; H and W multiples of 32.
        """
        return cast(dict[str, Tensor], self.fpn(self.body(images)))


def feature_pyramid(
    backbone: str,
    *,
    strides: tuple[int, ...],
    channels: int,
    extra: Callable[[int], ExtraFPNBlock],
    trainable_layers: int,
    norm: Norm,
    pyramid_norm: Callable[..., nn.Module] | None,
) -> FeaturePyramid:
    """Makes a pyramid on an untrained backbone.

    Args:
        backbone: one of BACKBONES.
        strides: the features it is built on, some of STRIDES.
        channels: of each level.
        extra: makes, from the number of channels of the last features, what adds coarser levels.
        trainable_layers: of the five parts of the backbone (up to stride 2, 4, 8, 16 and 32), how
            many are trained, counted from the last.
        norm: what takes the place of the backbone's batch normalisation.
        pyramid_norm: makes the normalisation of the pyramid's own layers, if any.
    """
    network = cast(nn.Module, get_model(backbone, weights=None))
    found = _features(network)
    network = with_norm(network, norm)
    traced = create_feature_extractor(
        network, {found[stride][0]: str(index) for index, stride in enumerate(strides)}
    )
    # As a plain GraphModule: copies of what torchvision returns are always in training mode.
    body = GraphModule(traced, traced.graph)
    _freeze(body, [found[stride][0] for stride in PARTS if stride in found], trainable_layers)
    widths = [found[stride][1] for stride in strides]
    fpn = FeaturePyramidNetwork(widths, channels, extra(widths[-1]), pyramid_norm)
    return FeaturePyramid(backbone, body, fpn, channels)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation (Wu and He, 2018) of any number of channels."""
    groups = max(
        g
        for g in range(1, _GROUPS + 1)
        if channels % g == 0 and (channels // g >= _IN_GROUP or g == 1)
    )
    return nn.GroupNorm(groups, channels)


def with_norm(network: nn.Module, norm: Norm) -> nn.Module:
    """Puts another normalisation in the place of each batch normalisation, in place."""
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(network, name, _other_norm(child, norm))
        else:
            with_norm(child, norm)
    return network


def _other_norm(layer: nn.BatchNorm2d, norm: Norm) -> nn.Module:
    if norm == "frozen":
        return cast(nn.Module, FrozenBatchNorm2d(layer.num_features, layer.eps))
    return group_norm(layer.num_features) if norm == "group" else layer


def _features(network: nn.Module) -> dict[int, tuple[str, int]]:
    """For each stride the module that gives its last features, as high up as can be; channels."""
    found: dict[int, tuple[int, str, int]] = {}

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _given: object, output: object) -> None:
            if not isinstance(output, Tensor) or output.ndim != 4:
                return
            depth, size = name.count("."), tuple(output.shape[2:])
            for stride in PARTS:
                best = found.get(stride)
                if size == (_PROBE // stride,) * 2 and (best is None or depth <= best[0]):
                    found[stride] = depth, name, output.shape[1]

        return hook

    hooks = [m.register_forward_hook(note(name)) for name, m in network.named_modules() if name]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, _PROBE, _PROBE))
    finally:
        network.train(training)
        for handle in hooks:
            handle.remove()
    return {stride: (name, channels) for stride, (_, name, channels) in found.items()}


def _freeze(body: GraphModule, ends: list[str], trainable: int) -> None:
    """Freezes all but the last `trainable` of the parts that the modules in `ends` close."""
    targets = [str(node.target) for node in body.graph.nodes]
    closed = [max(i for i, t in enumerate(targets) if _inside(t, end)) for end in ends]
    frozen = len(PARTS) - trainable
    for name, parameter in body.named_parameters():
        first = next(i for i, target in enumerate(targets) if _inside(name, target))
        missing = len(PARTS) - len(ends)  # a first step of stride 4 leaves the first part empty
        if missing + sum(end < first for end in closed) < frozen:
            parameter.requires_grad_(False)


def _inside(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")
