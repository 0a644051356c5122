"""Resizer networks with a spatial transformer inside: read at one point, applied at another.

Both forms of the low-resolution study's TransformerWithResizer: the later one, whose points can
be chosen, and the earlier one, which transforms the result.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from components.core.errors import InputError
from components.core.models.resizer import (
    ConvUnit,
    ResidualBlock,
    Resize,
    Resizer,
    refuse_other_clips,
)
from components.core.models.same3d import Size
from components.core.models.sizes import ENLARGED, POINTS, point_problems, refuse_below_one
from components.core.models.spatial_transformer import (
    Localisation,
    affine_head,
    folded,
    predict,
    scale_head,
    warped,
)

_NAME = "a resizer network"


class TransformerWithResizer(nn.Module):
    """The 2-D resizer network with the per-frame affine maps of a localisation network inside.

    At point `read_at` the localisation network sees the frames and gives an affine map and a scale
    for each; at point `apply_at` the frames are seen through them, and all later steps, skip
    connections included, have the result. The scale, from 0 to 2 and at first 1, is a factor on
    the map's linear part and leaves its translation alone. A new network equals the one without
    the transformation: its maps are the identity.

    Args:
        in_channels: channels of the clips, and of the result.
        n_frames: frames of the result; those of the clips when the maps cross the enlargement.
        scale_shape: height and width of the result in pixels; equal, and a multiple of 4, when
            `read_at` is 3 or more.
        in_res: height and width of the clips in pixels; a multiple of 4 when `read_at` is below 3.
        num_resblocks: residual blocks after the enlargement.
        skip: leave everything but the trilinear enlargement out.
        read_at: where the maps are read, a position in POINTS.
        apply_at: where they are applied; not before `read_at`.

    Raises:
        InputError: with everything that is wrong with the points and sizes.
    """

    def __init__(
        self,
        in_channels: int,
        n_frames: int,
        scale_shape: tuple[int, int],
        in_res: int = 56,
        num_resblocks: int = 1,
        skip: bool = False,
        read_at: int = 0,
        apply_at: int = 7,
    ) -> None:
        super().__init__()
        refuse_below_one(_NAME, in_channels=in_channels, num_resblocks=num_resblocks)
        if problems := point_problems(read_at, apply_at, in_res, scale_shape):
            raise InputError(f"TransformerWithResizer cannot be built: {'; '.join(problems)}")
        self.in_channels = in_channels
        self.skip = skip
        self.read_at = read_at
        self.apply_at = apply_at
        self.resize = Resize(n_frames, scale_shape)
        if skip:
            return
        frame: Size = 1, 7, 7
        self.c1 = ConvUnit(in_channels, 32, frame, activation=True)
        self.c2 = ConvUnit(32, 16, (1, 1, 1), activation=True, norm=True)
        self.residual_blocks = nn.Sequential(
            *(ResidualBlock(16, (1, 3, 3)) for _ in range(num_resblocks))
        )
        self.c3 = ConvUnit(16, 16, (1, 3, 3), norm=True)
        self.c4 = ConvUnit(16, in_channels, frame)
        channels = (in_channels, 32, 16, 16, 16, 16, 16, in_channels, in_channels)[read_at]
        side = in_res if read_at < ENLARGED else scale_shape[0]
        self.localisation = Localisation(channels, side, kernels=(5, 3), norm=True)
        self.affine = affine_head(self.localisation.features)
        self.scale = scale_head(self.localisation.features)

    def forward(self, clips: Tensor) -> Tensor:
        """B x in_channels x T x in_res x in_res → B x in_channels x n_frames x H x W."""
        refuse_other_clips(clips, self.in_channels)
        self._refuse_other_times(clips.shape[2])
        if self.skip:
            return cast(Tensor, self.resize(clips))
        value = plain = enlarged = clips
        for point in range(len(POINTS)):
            value = self._step(point, value, enlarged, plain)
            if point == self.read_at:
                maps = self._maps(value)
            if point == self.apply_at:
                value = warped(value, maps)
            if point == 0:
                plain = self.resize(value)
            if point == ENLARGED:
                enlarged = value
        return value

    def _step(self, point: int, value: Tensor, enlarged: Tensor, plain: Tensor) -> Tensor:
        match POINTS[point]:
            case "input":
                return value
            case "inner skip":
                return value + enlarged
            case "outer skip":
                return value + plain
            case name:
                return cast(Tensor, self.get_submodule(name)(value))

    def _maps(self, value: Tensor) -> Tensor:
        """The affine map of each frame, (B*T) x 2 x 3."""
        features = self.localisation(folded(value))
        maps = predict(self.affine, features).view(-1, 2, 3)
        scale = 2 * torch.sigmoid(predict(self.scale, features))
        return torch.cat([maps[..., :2] * scale[..., None], maps[..., 2:]], -1)

    def _refuse_other_times(self, frames: int) -> None:
        wanted = self.resize.size[0]
        if frames != wanted and self.read_at < ENLARGED <= self.apply_at:
            raise InputError(
                f"TransformerWithResizer reads a map for each of {frames} frames and would apply "
                f"them to {wanted}; give it clips of {wanted} frames"
            )


class TransformerWithResizer3D(Resizer):
    """The earlier form: the 3-D resizer network whose result is transformed frame by frame.

    A new one equals the resizer network: its maps are the identity.

    Args:
        in_channels: channels of the clips, and of the result.
        n_frames: frames of the result.
        scale_shape: height and width of the result in pixels, both `in_res`.
        in_res: height and width that the localisation network sees; a multiple of 4.
        num_resblocks: residual blocks after the enlargement.
        skip: leave everything but the trilinear enlargement out.

    Raises:
        InputError: `in_res` is no multiple of 4, or not the size of the result.
    """

    def __init__(
        self,
        in_channels: int,
        n_frames: int,
        scale_shape: tuple[int, int],
        in_res: int = 112,
        num_resblocks: int = 1,
        skip: bool = False,
    ) -> None:
        if tuple(scale_shape) != (in_res, in_res):
            raise InputError(
                f"in_res: {in_res} must be the size of the result, which is "
                f"{scale_shape[0]}x{scale_shape[1]} pixels"
            )
        super().__init__(in_channels, n_frames, scale_shape, num_resblocks, skip, temporal=True)
        if skip:
            return
        self.localisation = Localisation(in_channels, in_res, kernels=(5, 3), norm=True)
        self.affine = affine_head(self.localisation.features)

    def forward(self, clips: Tensor) -> Tensor:
        """B x in_channels x T x h x w → B x in_channels x n_frames x in_res x in_res."""
        enlarged = super().forward(clips)
        if self.skip:
            return enlarged
        theta = predict(self.affine, self.localisation(folded(enlarged)))
        return warped(enlarged, theta.view(-1, 2, 3))
