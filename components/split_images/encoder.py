"""What describes a picture by numbers: the backbone of a detector or a classification network."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from components.core.artifacts.model_bundle import ModelBundle
from components.core.detection.bundles import TASK
from components.core.errors import InputError
from components.core.models import build
from components.core.models.bundle import load_network
from components.core.models.detector_input import normalised
from components.core.models.detectors import load_backbone


class Encoder:
    """Features of pictures: the last ones of a backbone, averaged over the picture.

    Args:
        body: takes (B, 3, H, W) and returns features by level, the coarsest last.
        about: what it is, for people.
        trained: whether its weights are from a training.
        device: that it runs on.
    """

    def __init__(self, body: nn.Module, about: str, trained: bool, device: torch.device) -> None:
        self.about = about
        self.trained = trained
        self.device = device
        self._body = body.to(device).eval()

    @torch.inference_mode()
    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (B, D) of pictures (B, H, W, 3), RGB."""
        given = torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2).float()
        levels = cast(dict[str, Tensor], self._body(normalised(given / 255)))
        last = list(levels.values())[-1]
        return np.asarray(last.mean(dim=(2, 3)).float().cpu().numpy(), np.float32)


def open_encoder(backbone: str, weights: str, seed: int, device: str) -> tuple[Encoder, list[str]]:
    """Makes the network that describes pictures.

    Args:
        backbone: of torchvision; not used where `weights` is a bundle.
        weights: '' for none, `imagenet`, a file, or the bundle of a detector.
        seed: of untrained weights.
        device: `auto`, `cpu`, `cuda` or `cuda:<number>`.

    Returns:
        The network, and notes about its weights.

    Raises:
        InputError: weights that cannot be read or do not belong to the backbone, a bundle of
            something else, or a GPU that is not there.
        ServiceError: weights that cannot be fetched.
    """
    place = _device(device)
    if weights and Path(weights).is_dir():
        bundle = ModelBundle.load(Path(weights))
        if bundle.task != TASK:
            raise InputError(
                f"embedding_weights: {weights} is a bundle for {bundle.task!r}; give that of a "
                f"detector ({TASK!r}), or a file with the weights of {backbone}"
            )
        about = f"the backbone of the detector {bundle.name}"
        return Encoder(_body(load_network(Path(weights))), about, True, place), []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build("fcos", classes=1, backbone=backbone, norm="batch", channels=32)
    if not weights:
        return Encoder(_body(network), f"an untrained {backbone}", False, place), []
    notes = load_backbone(network, weights)
    about = f"{backbone} with weights of {weights}"
    return Encoder(_body(network), about, True, place), notes


def _body(network: nn.Module) -> nn.Module:
    return cast(nn.Module, cast(nn.Module, network.backbone).body)


def _device(name: str) -> torch.device:
    found = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if found else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= found:
        raise InputError(
            f"device: got {name}, but this process sees {found} GPUs; accepted are auto and cpu"
            + "".join(f", cuda:{number}" for number in range(found))
        )
    return device
