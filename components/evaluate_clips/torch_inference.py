"""Runs a bundle's network with PyTorch: for checkpoints, which have no ONNX graph."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.core.errors import InputError
from components.core.models.bundle import load_network
from components.core.training.fit import resolve_device


class TorchClassifier:
    """A network with its safetensors weights, in float32 without any gradient."""

    def __init__(self, directory: Path, device: str, threads: int) -> None:
        """Loads the network; `auto` is a GPU where there is one.

        Raises:
            InputError: the bundle cannot be loaded, or there is no such device.
        """
        self._device = resolve_device(device)
        if self._device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(threads)
        self.network = load_network(directory, self._device)
        self.device = (
            "CPU" if self._device.type == "cpu" else torch.cuda.get_device_name(self._device)
        )

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs `(B, C)` of inputs `(B, 3, T, H, W)`.

        Raises:
            InputError: the network does not accept this shape.
        """
        return self._run(self.network, batch)

    @property
    def has_resizer(self) -> bool:
        """Whether small clips pass a resizer network first; see `resized`."""
        return hasattr(self.network, "resize")

    def resized(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the resizer network makes of inputs `(B, 3, T, H, W)`: `(B, 3, T', H', W')`."""
        return self._run(cast(Callable[[Tensor], Tensor], self.network.resize), batch)

    def _run(
        self, function: Callable[[Tensor], Tensor], batch: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        # Full float32: cuDNN would otherwise round to TF32, and the ONNX graph does not.
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        try:
            with torch.inference_mode(), exact:
                found: Tensor = function(torch.from_numpy(batch).to(self._device))
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"the network fails on an input of shape {batch.shape}: {error}"
            ) from None
        return np.asarray(found.float().cpu().numpy())
