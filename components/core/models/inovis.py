"""The renderer INOVIS: a point cloud's renderings and nearby photographs become a photograph.

After Harrer et al., "Inovis: Instant Novel-View Synthesis" (SIGGRAPH Asia 2023), whose published
networks have the arguments PUBLISHED of `inovis_options` and whose weights load.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import InputError
from components.core.models.inovis_blocks import (
    BasicBlock,
    Block,
    FeatureExtraction,
    FeatureReweighting,
    GatedBlock,
    Norm,
    PhotoExtraction,
    normalization,
    plain_convolution,
)
from components.core.models.inovis_inputs import input_problems
from components.core.models.inovis_options import (
    channels_of,
    filters_of,
    injected_channels,
    network_problems,
)
from components.core.models.inovis_reconstruction import Reconstruction
from components.core.models.warp import backward_warp, lookup_validity

INITIAL_SPREAD = 0.02
"""Standard deviation of fresh weights."""


class INOVIS(nn.Module):
    """Renders the view of which it is given a point cloud's renderings.

    The renderings and the photographs (`aux`) are turned into features; those of the photographs
    are read where each pixel's surface lies in them, weighted by maps that a network makes from
    what they show there, and a U-Net makes the image. Every argument has the published name.

    Args:
        in_channels_current: channels of the renderings, one number for each resolution from the
            highest on; colour and depth.
        in_channels_gt: channels of a photograph; colour and depth.
        in_gt_frame_amount: photographs at most. Fewer may be given: absent ones show nothing.
        feature_amount_current: channels of the features of a rendering, beside itself.
        feature_amount_gt: channels of the features of a photograph.
        feature_extraction_depth: how often the size of the photographs' features is halved, 0 to
            3; the viewer takes only 0.
        out_channels: of the result.
        output_warped: keep what was warped, and the weights, in `parts` at each call.
        mask_warped: take nothing from a photograph where the lookups' third channel is 0.
        warp_rgbd: weigh by the photographs' colour and depth, which are then warped too;
            otherwise by their features.
        extract_lowres_features: also from the lower resolutions, which otherwise enter as they are.
        reweight_with_low_res: weigh by the lowest resolution too.
        conv_block_extraction_pr: `gated` or `basic`, of the renderings' features.
        conv_block_extraction_gt: `gated` or `basic`, of the photographs' features.
        conv_block_reweighting: `gated` or `basic`.
        conv_block_reconstruction: `gated` or `basic`.
        upsample_mode: `deconv` or `bilinear`.
        pooling_mode: `avg` or `max`.
        feature_scale: divides the default filters of the U-Net, 64 to 1024.
        filter_sizes: the five levels' filters instead.
        fe_current_filter_base: channels inside the extraction from renderings.
        fe_gt_filter_base: channels inside the extraction from photographs.
        disable_reweighting: weigh all alike.
        normalization: `batch` as published, or `group`, which suits small batches.
        sampling: `nearest` as published, or `bilinear`, of the photographs' features.
        reweight_with_validity: weigh also by whether a photograph shows the pixel's surface.

    Raises:
        InputError: with everything that is wrong with the arguments.
    """

    def __init__(
        self,
        in_channels_current: int | Sequence[int] = (4, 4, 4, 4),
        in_channels_gt: int = 4,
        in_gt_frame_amount: int = 3,
        feature_amount_current: int = 8,
        feature_amount_gt: int = 12,
        feature_extraction_depth: int = 0,
        out_channels: int = 3,
        output_warped: bool = False,
        mask_warped: bool = False,
        warp_rgbd: bool = True,
        extract_lowres_features: bool = True,
        reweight_with_low_res: bool = False,
        conv_block_extraction_pr: str = "gated",
        conv_block_extraction_gt: str = "gated",
        conv_block_reweighting: str = "basic",
        conv_block_reconstruction: str = "gated",
        upsample_mode: str = "deconv",
        pooling_mode: str = "avg",
        feature_scale: int = 4,
        filter_sizes: Sequence[int] = (),
        fe_current_filter_base: int = 32,
        fe_gt_filter_base: int = 16,
        disable_reweighting: bool = False,
        normalization: str = "batch",
        sampling: str = "nearest",
        reweight_with_validity: bool = False,
    ) -> None:
        options = {key: value for key, value in locals().items() if key in _ARGUMENTS}
        super().__init__()
        if problems := network_problems(options):
            raise InputError(f"the network INOVIS cannot be built: {'; '.join(problems)}")
        self.channels = channels_of(in_channels_current)
        self.arguments = {**options, "in_channels_current": list(self.channels)}
        self.arguments["filter_sizes"] = list(filter_sizes)
        self.aux_channels = in_channels_gt
        self.aux_amount = in_gt_frame_amount
        self.depth = feature_extraction_depth
        self.output_warped = output_warped
        self.parts: dict[str, Tensor] = {}
        self.mask_warped = mask_warped
        self.warp_rgbd = warp_rgbd
        self.extract_lowres_features = extract_lowres_features
        self.reweight_with_low_res = reweight_with_low_res
        self.reweight_with_validity = reweight_with_validity
        self.disable_reweighting = disable_reweighting
        self.sampling = sampling
        norm = _normalization(normalization)
        self.feature_extraction_current_module = FeatureExtraction(
            self.channels[0],
            feature_amount_current,
            _block(conv_block_extraction_pr, norm),
            fe_current_filter_base,
        )
        self.feature_extraction_previous_module = PhotoExtraction(
            in_channels_gt,
            feature_amount_gt,
            _block(conv_block_extraction_gt, norm),
            fe_gt_filter_base,
            feature_extraction_depth,
        )
        self.feature_reweighting_module = FeatureReweighting(
            self._reweighting_channels(feature_amount_gt),
            in_gt_frame_amount,
            _block(conv_block_reweighting, norm),
        )
        if disable_reweighting:  # its weights stay, so that those of other networks load
            self.feature_reweighting_module.requires_grad_(False)
        filters = filters_of(filter_sizes, feature_scale)
        down_filters = list(filters)
        if not filter_sizes:
            down_filters[self.depth] *= 2
        self.reconstruction_module = Reconstruction(
            injected_channels(options),
            down_filters,
            filters,
            out_channels,
            block=GatedBlock if conv_block_reconstruction == "gated" else BasicBlock,
            norm=norm,
            upsampling=upsample_mode,
            pooling=pooling_mode,
        )
        self.apply(_initialize)

    def forward(
        self, levels: Sequence[Tensor], aux: Sequence[Tensor], coordinates: Sequence[Tensor]
    ) -> Tensor:
        """The image of a view.

        Args:
            levels: renderings at each resolution, level k B x 4 x H/2**k x W/2**k, float32: RGB
                in [0, 1] and depth; H and W are multiples of 16.
            aux: up to `in_gt_frame_amount` photographs, each B x 4 x h x w, of any size each: RGB
                in [0, 1] and depth.
            coordinates: for each photograph the lookups into it, B x 2 or 3 x H x W, as of
                `backward_warp`; B x 3 x H x W where `mask_warped` or `reweight_with_validity`.

        Returns:
            B x out_channels x H x W, in (0, 1).

        Raises:
            InputError: inputs of other numbers or shapes.
        """
        if not _tracing():
            problems = input_problems(
                levels,
                aux,
                coordinates,
                channels=self.channels,
                aux_channels=self.aux_channels,
                aux_amount=self.aux_amount,
                flagged=self.mask_warped or self.reweight_with_validity,
            )
            if problems:
                raise InputError(f"the network INOVIS got {'; '.join(problems)}")
        lookups = [self._at_depth(value) for value in coordinates]
        warped = [self._warped(*pair) for pair in zip(aux, lookups, strict=True)]
        absent = self.aux_amount - len(warped)
        warped += [torch.zeros_like(warped[0])] * absent
        features = self._reweighted(levels, warped, lookups)
        injected: list[Tensor] = [
            self.feature_extraction_current_module(level)
            if number == 0 or self.extract_lowres_features
            else level
            for number, level in enumerate(levels)
        ]
        injected[self.depth] = torch.cat([injected[self.depth], *features], 1)
        image: Tensor = self.reconstruction_module(injected)
        return image

    def _warped(self, photo: Tensor, lookups: Tensor) -> Tensor:
        """What a photograph has to say about each pixel: colour, depth and features."""
        features = self.feature_extraction_previous_module(photo)
        if self.warp_rgbd:
            scale = 2**self.depth
            small = functional.avg_pool2d(photo, scale) if self.depth else photo
            features = torch.cat([small.to(features.dtype), features], 1)
        return backward_warp(features, lookups, self.sampling, masked=self.mask_warped)

    def _reweighted(
        self, levels: Sequence[Tensor], warped: list[Tensor], lookups: list[Tensor]
    ) -> list[Tensor]:
        """Each photograph's warped features times its weights, without colour and depth."""
        first = self.aux_channels if self.warp_rgbd else 0
        features = [value[:, first:] for value in warped]
        if self.disable_reweighting:
            return self._noted(warped, None, features)
        inputs = [levels[self.depth]]
        if self.reweight_with_low_res:
            lowest = len(self.channels) - 1
            factor = 2.0 ** (lowest - self.depth)
            enlarged = functional.interpolate(levels[lowest], scale_factor=factor, mode="bilinear")
            inputs.append(enlarged)
        inputs += [value[:, :first] if self.warp_rgbd else value for value in warped]
        if self.reweight_with_validity:
            valid = [lookup_validity(value) for value in lookups]
            inputs += valid + [torch.zeros_like(valid[0])] * (len(warped) - len(valid))
        weights = self.feature_reweighting_module(inputs)
        weighted = [value * weights[:, n : n + 1] for n, value in enumerate(features)]
        return self._noted(warped, weights, weighted)

    def _noted(
        self, warped: list[Tensor], weights: Tensor | None, features: list[Tensor]
    ) -> list[Tensor]:
        """Keeps what was asked for; returns the features."""
        if self.output_warped and not _tracing():
            self.parts = {"warped": torch.stack([value[:, :3] for value in warped], 1).detach()}
            if weights is not None:
                self.parts["weights"] = weights.detach()
        return features

    def _at_depth(self, coordinates: Tensor) -> Tensor:
        """The lookups of every 2**depth-th pixel: they are places, and need no other change."""
        step = 2**self.depth
        return coordinates[:, :, ::step, ::step] if self.depth else coordinates

    def _reweighting_channels(self, features: int) -> int:
        lowest = self.channels[-1] if self.reweight_with_low_res else 0
        each = self.aux_channels if self.warp_rgbd else features
        each += self.reweight_with_validity
        return self.channels[self.depth] + lowest + each * self.aux_amount


_ARGUMENTS = frozenset(INOVIS.__init__.__annotations__) - {"return"}
_normalization = normalization  # an argument has the same name


def _block(kind: str, norm: Norm) -> Block:
    if kind == "basic":
        return plain_convolution
    return lambda in_channels, out_channels: GatedBlock(in_channels, out_channels, norm)


def _tracing() -> bool:
    """Whether TorchScript records what is computed, to which checks of shapes do not belong."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def _initialize(module: nn.Module) -> None:
    """Fresh weights as of the published training."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, INITIAL_SPREAD)
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
        nn.init.normal_(module.weight, 1.0, INITIAL_SPREAD)
    else:
        return
    assert module.bias is not None
    nn.init.zeros_(module.bias)
