"""Losses that compare a rendered image with the photograph; only the chosen one is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from components.core.errors import InputError
from components.core.metrics.images import WINDOW, masked_mean, ssim_map
from components.core.models.vgg_features import VggFeatures
from components.core.training.rendering_loss_names import CONTENT, STYLE, TERMS, loss_problems


class RenderingLoss(nn.Module):
    """A weighted sum of losses under its published name.

    Its weights of VGG are constant, and no part of what is trained.

    Args:
        name: a name of TERMS.
        vgg_weights: a file with torchvision's ImageNet weights of VGG-16; '' where the loss needs
            none.

    Raises:
        InputError: an unknown name, or weights that are missing, unreadable or of another network.
    """

    def __init__(self, name: str, vgg_weights: Path | str = "") -> None:
        super().__init__()
        if problems := loss_problems(name, str(vgg_weights)):
            raise InputError("; ".join(problems))
        self.name = name
        self.terms = TERMS[name]
        self.vgg = VggFeatures(vgg_weights) if "VGG" in self.terms else None

    def forward(self, image: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """The mean over the batch of each image's loss, a scalar, computed in float32.

        Args:
            image: B x 3 x H x W, RGB in [0, 1].
            target: the same.
            valid: B x 1 x H x W, weights of the pixels in [0, 1]; where nothing of an image counts
                its loss is 0.
        """
        with torch.autocast(image.device.type, enabled=False):
            return self._each(image.float(), target.float(), valid).mean()

    def _each(self, image: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        losses = torch.zeros(len(image), device=image.device)
        for term, weight in self.terms.items():
            if term == "VGG":
                assert self.vgg is not None
                value = perceptual(self.vgg, image, target, valid)
            else:
                value = PLAIN[term](image, target, valid)
            losses = losses + weight * value
        return losses


def mse(image: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean squared difference of each image, `(B,)`."""
    return masked_mean((image - target) ** 2, valid)


def l1(image: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean absolute difference of each image, `(B,)`."""
    return masked_mean((image - target).abs(), valid)


def dissimilarity(image: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """1 - SSIM of each image, `(B,)`: of every pixel's window, zeros around the image."""
    return masked_mean(1 - ssim_map(image, target, padding=WINDOW // 2), valid)


def spectral(image: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean squared difference of the spectrum's magnitudes of each image, `(B,)`."""
    image = _filled(image, target, valid)
    found, wanted = (torch.fft.fft2(value, norm="ortho").abs() for value in (image, target))
    return masked_mean((found - wanted) ** 2)


def perceptual(
    features: VggFeatures, image: Tensor, target: Tensor, valid: Tensor | None = None
) -> Tensor:
    """Difference of VGG-16's features, and three times that of their correlations, `(B,)`.

    After Johnson et al., "Perceptual Losses for Real-Time Style Transfer", ECCV 2016.
    """
    with torch.no_grad():
        wanted = features(target)
    found = features(_filled(image, target, valid))
    content = masked_mean((found[1] - wanted[1]) ** 2)
    pairs = zip(found, wanted, strict=True)
    style = torch.stack([((gram(a) - gram(b)) ** 2).mean((1, 2)) for a, b in pairs]).sum(0)
    return CONTENT * content + STYLE * style


def gram(features: Tensor) -> Tensor:
    """Correlations of channels, B x C x H x W → B x C x C, over C x H x W."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


PLAIN: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    "MSE": mse,
    "L1": l1,
    "SSIM": dissimilarity,
    "Spectral": spectral,
}
"""The terms that need no other network."""


@torch.no_grad()
def loss_figures(
    image: Tensor, target: Tensor, valid: Tensor | None = None, vgg: VggFeatures | None = None
) -> dict[str, float]:
    """Every published loss of a batch, for curves; those of VGG only where it is given."""
    image, target = image.float(), target.float()
    single = {name: float(term(image, target, valid).mean()) for name, term in PLAIN.items()}
    if vgg is not None:
        single["VGG"] = float(perceptual(vgg, image, target, valid).mean())
    return {
        name: sum(weight * single[term] for term, weight in terms.items())
        for name, terms in TERMS.items()
        if terms.keys() <= single.keys()
    }


def _filled(image: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
    """The image where it counts, and the photograph elsewhere."""
    return image if valid is None else torch.lerp(target, image, valid.to(image.dtype))
