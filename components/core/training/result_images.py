"""Pictures of what a renderer makes of validation frames, every so many epochs, while it trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from components.core import files
from components.core.report.images import png
from components.core.training.loader import Examples
from components.core.training.module import FitModule
from components.core.training.rendering import render

FOLDER = "epoch-{:04d}"
"""Of the pictures of an epoch."""

GAIN = 4.0
"""Factor on the differences in the pictures."""


class ResultImages(pl.Callback):
    """Writes `<folder>/epoch-<n>/Result<k>.png`: rendered, photographed, and their difference.

    An epoch's pictures appear before its state is saved, so that none is missing after a kill; an
    epoch that is repeated writes the same ones again.

    Args:
        folder: to write into.
        every: epochs between pictures; the last epoch has some, too.
        examples: whose first `count` are shown.
        count: how many.
    """

    def __init__(self, folder: Path, every: int, examples: Examples, count: int) -> None:
        self._folder = folder
        self._every = every
        self._examples = examples
        self._count = min(count, len(examples))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Runs after the epoch was counted."""
        assert isinstance(pl_module, FitModule)
        epoch, last = pl_module.position.epoch, pl_module.options.epochs
        if epoch % self._every == 0 or epoch >= last or trainer.should_stop:
            self.write(pl_module.best_network, epoch, pl_module.device)

    def write(self, network: nn.Module, epoch: int, device: torch.device) -> None:
        """Writes the pictures of an epoch; the network is left as it was."""
        place = self._folder / FOLDER.format(epoch)
        place.mkdir(parents=True, exist_ok=True)
        modes = {module: module.training for module in network.modules()}
        network.eval()
        try:
            with torch.no_grad():
                for number in range(self._count):
                    batch = moved(self._examples.batch(0, [number]), device)
                    picture = as_pixels(render(network, batch)[0])
                    sheet = beside(picture, as_pixels(batch["target"][0]))
                    with files.atomic_path(place / f"Result{number}.png") as temporary:
                        temporary.write_bytes(png(sheet))
        finally:
            for module, mode in modes.items():
                module.training = mode


def beside(picture: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rendered, photographed and GAIN times their difference beside each other, (H, 3 W, 3)."""
    return np.concatenate([picture, target, difference(picture, target)], axis=1)


def difference(picture: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """GAIN times the absolute difference, (H, W, 3)."""
    apart = np.abs(picture.astype(np.float32) - target.astype(np.float32)) * GAIN
    return np.clip(apart, 0, 255).astype(np.uint8)


def as_pixels(picture: Tensor) -> NDArray[np.uint8]:
    """A picture (3, H, W) in [0, 1] as uint8 (H, W, 3)."""
    values = picture.float().clamp(0, 1).mul(255).round().byte()
    return np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy())


def moved(batch: Any, device: torch.device | str) -> Any:
    """A batch on another device."""
    move: Callable[[Any], Any] = lambda value: moved(value, device)  # noqa: E731
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, dict):
        return {name: move(value) for name, value in batch.items()}
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return [move(value) for value in batch]
    return batch
