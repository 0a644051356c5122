"""Training networks that render a photograph from points and nearby photographs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from components.core.metrics.images import RIM, any_counts, psnr, ssim
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
        self._sums = torch.zeros(5, dtype=torch.float64)

    def loss(self, network: nn.Module, batch: Any) -> Tensor:
        """The loss of a batch, in float32 whatever the network computes with."""
        return self.compare(render(network, batch).float(), batch["target"], batch["valid"])

    def start_validation(self) -> None:
        """Forgets the last validation."""
        self._sums = torch.zeros(5, dtype=torch.float64)

    @torch.no_grad()
    def validate(self, network: nn.Module, batch: Any) -> None:
        """Gathers loss, PSNR and SSIM of each example of which something counts."""
        images = render(network, batch).float(), batch["target"], batch["valid"]
        picture, target, valid = _those(images, any_counts(images[2]))
        if not (count := len(target)):
            return
        inner = _those((picture, target, valid), any_counts(valid, RIM))
        figures = [
            self.compare(picture, target, valid).double().cpu() * count,
            psnr(picture, target, valid).double().sum().cpu(),
            ssim(*inner).double().sum().cpu(),
            torch.tensor(count, dtype=torch.float64),
            torch.tensor(len(inner[0]), dtype=torch.float64),
        ]
        self._sums += torch.stack(figures)

    def validation_metrics(self) -> dict[str, float]:
        """Means over the examples of all processes of which something counts; PSNR is in dB.

        A figure that no example has is left out.
        """
        sums = self._sums
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            shares: list[Any] = [None] * dist.get_world_size()
            dist.all_gather_object(shares, sums)
            sums = torch.stack(shares).sum(0)
        loss, ratio, similarity, count, inner = sums.tolist()
        found = {"val_loss": (loss, count), "val_psnr": (ratio, count)}
        found["val_ssim"] = similarity, inner
        return {name: total / number for name, (total, number) in found.items() if number}


def _those(images: tuple[Tensor, ...], which: Tensor) -> tuple[Tensor, ...]:
    """Of tensors (B, ...), the examples that (B,) says."""
    return images if bool(which.all()) else tuple(image[which] for image in images)


def render(network: nn.Module, batch: Any) -> Tensor:
    """What a network makes of a batch of RenderingExamples."""
    picture: Tensor = network(batch["levels"], batch["aux"], batch["coordinates"])
    return picture
