"""Features of VGG-16 (Simonyan and Zisserman, ICLR 2015), by which images are compared."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from components.core.errors import InputError
from components.core.models.pretrained import read_weights

LAST = {"relu1_2": 3, "relu2_2": 8, "relu3_3": 15, "relu4_3": 22}
"""Layer → its number in torchvision's `features`."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's photographs, RGB in [0, 1]."""


class VggFeatures(nn.Module):
    """The features of the layers of LAST; constant.

    Args:
        weights: a file with torchvision's weights of vgg16 (`.pt`, `.pth` or `.safetensors`).

    Raises:
        InputError: the file cannot be read, or is of another network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: Path | str) -> None:
        super().__init__()
        from torchvision.models import vgg16

        try:
            given = read_weights(Path(weights))
        except InputError as error:
            raise InputError(f"vgg_weights: {error}") from None
        with torch.device("meta"):
            layers = vgg16(weights=None).features[: max(LAST.values()) + 1]
        wanted = {f"features.{name}": value for name, value in layers.state_dict().items()}
        wrong = [
            name
            for name, value in wanted.items()
            if name not in given or given[name].shape != value.shape
        ]
        if wrong:
            raise InputError(
                f"vgg_weights: {weights} are not the weights of VGG-16: {', '.join(wrong[:3])} "
                f"{'are' if len(wrong) > 1 else 'is'} absent or of another shape; expected those "
                "that torchvision publishes for vgg16 (without batch normalisation)"
            )
        own = {name.removeprefix("features."): given[name].float() for name in wanted}
        layers.load_state_dict(own, assign=True)
        for module in layers:
            if isinstance(module, nn.ReLU):
                module.inplace = False  # what comes before one is kept
        self.layers = layers.requires_grad_(False)
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """B x 3 x H x W, float32, RGB in [0, 1] → features of relu1_2, 2_2, 3_3 and 4_3."""
        x = (images - self.mean) / self.std
        kept = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in LAST.values():
                kept.append(x)
        return kept
