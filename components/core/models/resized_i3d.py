"""I3D behind something that enlarges small clips for it, as one trainable network."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from components.core.errors import InputError
from components.core.models.i3d import I3D, arguments_for
from components.core.models.resizer import Resize, Resizer
from components.core.models.sizes import NETWORKS, network_problems
from components.core.models.spatial_transformer import SpatialTransformer
from components.core.models.transformer_resizer import (
    TransformerWithResizer,
    TransformerWithResizer3D,
)

RESIZERS = NETWORKS[1:]
"""Those that have weights."""


class ResizedI3D(nn.Module):
    """A spatial transformer where there is one, a resizer, and I3D, one after another.

    Args:
        transformer: keeps the size of the small clips; None for none.
        resizer: enlarges them.
        i3d: classifies the result.
    """

    def __init__(self, transformer: nn.Module | None, resizer: nn.Module, i3d: I3D) -> None:
        super().__init__()
        self.transformer = transformer
        self.resizer = resizer
        self.i3d = i3d

    def forward(self, clips: Tensor, along_time: bool = False) -> Tensor:
        """Logits of small clips, B x classes; or `time_logits`.

        Args:
            clips: B x 3 x T x h x w, float32 in [-1, 1], RGB.
            along_time: give `time_logits`, for wrappers that call only this.
        """
        return cast(Tensor, self.i3d(self.resize(clips), along_time=along_time))

    def resize(self, clips: Tensor) -> Tensor:
        """What I3D sees: B x 3 x frames x target_size x target_size, around [-1, 1] but unlimited.

        Raises:
            InputError: clips of another size than the network was built for, where that matters.
        """
        if self.transformer is not None:
            clips = self.transformer(clips)
        return cast(Tensor, self.resizer(clips))

    def time_logits(self, clips: Tensor) -> Tensor:
        """Logits along time, B x classes x T'; see `I3D.time_logits`."""
        return self.i3d.time_logits(self.resize(clips))


def resized_i3d(
    network: str,
    classes: int,
    input_size: int,
    target_size: int = 112,
    frames: int = 32,
    resblocks: int = 1,
    read_at: int = 0,
    apply_at: int = 7,
    width: float = 1.0,
    dropout: float = 0.5,
    over_time: str = "mean",
) -> ResizedI3D:
    """A ResizedI3D for square RGB clips.

    Args:
        network: one of NETWORKS: what enlarges the clips.
        classes: number of outputs.
        input_size: side of the small clips in pixels.
        target_size: side that I3D sees, in pixels.
        frames: frames of a clip.
        resblocks: residual blocks of the resizer network.
        read_at: where `transformer_resizer` reads its transformation, 0 to 8.
        apply_at: where it applies it, `read_at` to 8.
        width: factor on I3D's channels.
        dropout: probability in I3D's head.
        over_time: how a clip's logits come from those along time; see `I3D`.

    Raises:
        InputError: with everything that is wrong with the sizes and points.
    """
    if problems := network_problems(network, input_size, target_size, frames, read_at, apply_at):
        raise InputError(f"resized_i3d cannot be built: {'; '.join(problems)}")
    target = target_size, target_size
    transformer = None
    resizer: nn.Module
    match network.removeprefix("stn_"):
        case "trilinear":
            resizer = Resize(frames, target)
        case "transformer_resizer":
            resizer = TransformerWithResizer(
                3, frames, target, input_size, resblocks, read_at=read_at, apply_at=apply_at
            )
        case "transformer_resizer_3d":
            resizer = TransformerWithResizer3D(3, frames, target, target_size, resblocks)
        case name:
            resizer = Resizer(3, frames, target, resblocks, temporal=name == "resizer_3d")
    if network.startswith("stn_"):
        transformer = SpatialTransformer(3, input_size, frames)
    classifier = I3D(
        **arguments_for(target_size, classes, width, dropout),  # type: ignore[arg-type]
        over_time=over_time,
    )
    return ResizedI3D(transformer, resizer, classifier)
