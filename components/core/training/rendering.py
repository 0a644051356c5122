"""Training networks that render a photograph from points and nearby photographs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from components.core.metrics.images import psnr, ssim
from components.core.training.task import Task

MONITORS = ("val_loss", "val_psnr", "val_ssim")
"""Figures that can choose the best epoch."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From the picture, the photograph (both B, 3, H, W, float32 in [0, 1]) and where it counts (B, 1,
H, W, float32 in [0, 1]) to a scalar, the mean over the examples."""


class Rendering(Task):
    """Trains a renderer with one loss; no other is computed.

    Args:
        network: from levels, photographs and coordinates, see `render`, to a picture (B, 3, H, W)
            in [0, 1].
        loss: compares picture and photograph.
    """

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network = network
        self.compare = loss
        self._sums = torch.zeros(4, dtype=torch.float64)

    def loss(self, network: nn.Module, batch: Any) -> Tensor:
        """The loss of a batch, in float32 whatever the network computes with."""
        return self.compare(render(network, batch).float(), batch["target"], batch["valid"])

    def start_validation(self) -> None:
        """Forgets the last validation."""
        self._sums = torch.zeros(4, dtype=torch.float64)

    @torch.no_grad()
    def validate(self, network: nn.Module, batch: Any) -> None:
        """Gathers loss, PSNR and SSIM of each example."""
        picture = render(network, batch).float()
        target, valid = batch["target"], batch["valid"]
        count = len(target)
        figures = [
            self.compare(picture, target, valid).double().cpu() * count,
            psnr(picture, target, valid).double().sum().cpu(),
            ssim(picture, target, valid).double().sum().cpu(),
            torch.tensor(count, dtype=torch.float64),
        ]
        self._sums += torch.stack(figures)

    def validation_metrics(self) -> dict[str, float]:
        """Means over the examples of all processes; `val_psnr` is in dB."""
        sums = self._sums
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            shares: list[Any] = [None] * dist.get_world_size()
            dist.all_gather_object(shares, sums)
            sums = torch.stack(shares).sum(0)
        loss, ratio, similarity, count = sums.tolist()
        count = max(count, 1)
        return {
            "val_loss": loss / count,
            "val_psnr": ratio / count,
            "val_ssim": similarity / count,
        }


def render(network: nn.Module, batch: Any) -> Tensor:
    """What a network makes of a batch of RenderingExamples."""
    picture: Tensor = network(batch["levels"], batch["aux"], batch["coordinates"])
    return picture
