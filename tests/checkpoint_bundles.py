"""Bundles with kept checkpoints of the Motion network, whose figures are known without training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_bundles import CLASSES, FRAMES, SIZE, TRAITS, Motion

from components.core import models
from components.core.artifacts.model_bundle import ModelBundle
from components.core.models.bundle import save_bundle, save_weights

STEPS = 40
"""Optimizer steps of an epoch."""


class Watchful(Motion):
    """Fails when it is run for training, or with gradients."""

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        return super().forward(clip)


class Enlarging(Watchful):
    """Sees clips at twice their size and half again as bright; more than [-1, 1] on purpose."""

    def resize(self, clip: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        return 1.5 * clip.repeat_interleave(2, 3).repeat_interleave(2, 4)


@contextmanager
def registered() -> Iterator[None]:
    """Makes the networks of this module known to `build`."""
    with pytest.MonkeyPatch.context() as patch:
        for network in (Watchful, Enlarging):
            place = f"{__name__}:{network.__name__}"
            patch.setitem(models._BUILDERS, network.__name__.lower(), place)
        yield


def write_checkpoint(
    directory: Path,
    scale: float,
    epoch: int,
    *,
    multi_label: bool = False,
    network: type[Motion] = Watchful,
    epochs: int = 0,
    formats: Mapping[str, str] | None = None,
    **fields: Any,
) -> ModelBundle:
    """A bundle of one epoch with safetensors weights, as training writes it."""
    directory.mkdir(parents=True, exist_ok=True)
    weights = directory / "made.safetensors"
    save_weights(weights, network(multi_label, scale))
    content: dict[str, Any] = {
        "name": "motion",
        "task": "clip_classification",
        "multi_label": multi_label,
        "classes": TRAITS if multi_label else CLASSES,
        "architecture": {
            "name": network.__name__.lower(),
            "arguments": {"multi_label": multi_label},
        },
        "preprocessing": {"frames": FRAMES, "stride": 1, "size": SIZE, "sampling": {"mode": "all"}},
        "training": {"epoch": epoch, "epochs": epochs},
        "curves": [
            {"epoch": e, "step": e * STEPS, "train_loss": 1 / e, "val_loss": 1.2 / e}
            for e in range(1, max(epochs, epoch) + 1)
        ],
    }
    bundle = save_bundle(directory, weights, formats=formats, **{**content, **fields})
    weights.unlink()
    return bundle


def write_series(
    directory: Path, scales: Mapping[int, float], best: int, **fields: Any
) -> dict[int, ModelBundle]:
    """A bundle of epoch `best` with every epoch of `scales` beside it, and the last one."""
    last = max(scales)
    made = {
        epoch: write_checkpoint(
            directory / "checkpoints" / f"{epoch:04d}", scale, epoch, epochs=last, **fields
        )
        for epoch, scale in scales.items()
    }
    write_checkpoint(directory / "last", scales[last], last, epochs=last, **fields)
    write_checkpoint(directory, scales[best], best, epochs=last, **fields)
    return made
