"""How close images are to photographs: PSNR, SSIM and LPIPS, in tensors, one figure per image."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import InputError
from components.core.models.pretrained import read_weights

WINDOW = 11
SPREAD = 1.5
"""Side in pixels and standard deviation of SSIM's window (Wang et al., IEEE TIP 13(4), 2004)."""

RIM = WINDOW // 2
"""Pixels at each border that are in the middle of none of SSIM's windows."""

C1, C2 = 0.01**2, 0.03**2
"""SSIM's constants for images in [0, 1]."""

BEST_PSNR = 100.0
"""In dB; of equal images, and at most: figures are finite."""

_SMALLEST = 32
"""Side in pixels below which LPIPS' networks have nothing left to compare."""

_LPIPS_NETS: dict[tuple[int, ...], tuple[Literal["alex", "vgg"], int]] = {
    (64, 3, 11, 11): ("alex", 10),
    (64, 3, 3, 3): ("vgg", 26),
}
"""Shape of the first layer's weights → the network's name, and how many tensors it takes."""


def masked_mean(values: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean of each image's values where they count; 0 where nothing does.

    Args:
        values: B x C x H x W.
        valid: B x 1 x H x W, weights of the pixels from 0; without it all count alike.

    Returns:
        B.
    """
    if valid is None:
        return values.flatten(1).mean(1)
    weights = valid.to(values.dtype).expand_as(values).flatten(1)
    return (values.flatten(1) * weights).sum(1) / weights.sum(1).clamp_min(1e-12)


def any_counts(valid: Tensor, rim: int = 0) -> Tensor:
    """Whether something counts of each image, without pixels at the rim.

    Args:
        valid: B x 1 x H x W, weights of the pixels from 0.
        rim: pixels at each border that do not count; `RIM` where SSIM is measured.

    Returns:
        B, bool.
    """
    height, width = valid.shape[-2:]
    return (valid[..., rim : height - rim, rim : width - rim] > 0).flatten(1).any(1)


def psnr(image: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB, up to 100; NaN where nothing of an image counts.

    Args:
        image: B x C x H x W, in [0, 1].
        target: the same.
        valid: B x 1 x H x W, weights of the pixels.

    Returns:
        B, float64.
    """
    error = masked_mean((image.double() - target.double()) ** 2, valid)
    return _where_counts((-10 * torch.log10(error)).clamp_max(BEST_PSNR), valid)


def ssim(image: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Structural similarity, up to 1, over the places whose whole window lies in the image.

    NaN where none of them counts.

    Args:
        image: B x C x H x W, in [0, 1], at least 11 pixels a side.
        target: the same.
        valid: B x 1 x H x W, weights of the windows' centres.

    Returns:
        B, float32.

    Raises:
        InputError: smaller images.
    """
    if min(image.shape[-2:]) < WINDOW:
        raise InputError(
            f"SSIM compares images of at least {WINDOW} pixels a side, but got "
            f"{image.shape[-1]}x{image.shape[-2]}"
        )
    inner = None if valid is None else valid[:, :, RIM:-RIM, RIM:-RIM]
    return _where_counts(masked_mean(ssim_map(image, target), inner), inner)


def ssim_map(image: Tensor, target: Tensor, padding: int = 0) -> Tensor:
    """SSIM of each window, with a Gaussian over 11 x 11 pixels and for each channel by itself.

    Args:
        image: B x C x H x W, in [0, 1].
        target: the same.
        padding: pixels of zeros around the images; 5 keeps their size.

    Returns:
        B x C x (H - 10 + 2 padding) x (W - 10 + 2 padding), float32 (or float64, as given).
    """
    if image.dtype != torch.float64:  # differences of squares: too coarse in half precision
        image, target = image.float(), target.float()
    with torch.autocast(image.device.type, enabled=False):
        both = [image, target, image * image, target * target, image * target]
        means = _blurred(torch.cat(both, 1), padding)
    first, second, first_square, second_square, product = means.chunk(5, 1)
    luminance = (2 * first * second + C1) / (first**2 + second**2 + C1)
    variances = first_square - first**2 + second_square - second**2
    similarity: Tensor = luminance * (2 * (product - first * second) + C2) / (variances + C2)
    return similarity


def _where_counts(figures: Tensor, valid: Tensor | None) -> Tensor:
    """Figures (B,) of images, NaN of those of which nothing counts."""
    if valid is None:
        return figures
    return figures.masked_fill(~any_counts(valid).to(figures.device), torch.nan)


def _blurred(values: Tensor, padding: int) -> Tensor:
    channels = values.shape[1]
    place = torch.arange(WINDOW, dtype=values.dtype, device=values.device) - WINDOW // 2
    weights = torch.exp(-(place**2) / (2 * SPREAD**2))
    weights = (weights / weights.sum()).expand(channels, 1, WINDOW)
    rows = functional.conv2d(values, weights[:, :, None, :], padding=(0, padding), groups=channels)
    return functional.conv2d(rows, weights[:, :, :, None], padding=(padding, 0), groups=channels)


class Lpips(nn.Module):
    """Learned perceptual distance, version 0.1 (Zhang et al., CVPR 2018); less is closer.

    Args:
        weights: a file with torchvision's ImageNet weights of AlexNet (the distance that papers
            report) or VGG-16; which of them it is, is seen from the file.

    Raises:
        InputError: the file cannot be read, or is of another network.
    """

    def __init__(self, weights: Path | str) -> None:
        super().__init__()
        from torchmetrics.functional.image.lpips import _LPIPS

        given = read_weights(Path(weights))
        features = {
            name.removeprefix("features."): value
            for name, value in given.items()
            if name.startswith("features.")
        }
        first = features.get("0.weight")
        shape = tuple(first.shape) if first is not None else ()
        if shape not in _LPIPS_NETS or len(features) != _LPIPS_NETS[shape][1]:
            raise InputError(
                f"{weights} are not the weights of AlexNet or VGG-16; LPIPS takes those that "
                "torchvision publishes (alexnet or vgg16, IMAGENET1K_V1)"
            )
        self.kind = _LPIPS_NETS[shape][0]
        self.distance: nn.Module = _LPIPS(net=self.kind, pnet_rand=True)
        network = cast(nn.Module, self.distance.net)
        own = {name: name.split(".", 1)[1] for name in network.state_dict()}
        network.load_state_dict({name: features[key] for name, key in own.items()})
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> Lpips:
        """Stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        """B x 3 x H x W, both RGB in [0, 1], at least 32 pixels a side → B, float32.

        Raises:
            InputError: smaller images.
        """
        if min(image.shape[-2:]) < _SMALLEST:
            raise InputError(
                f"LPIPS compares images of at least {_SMALLEST} pixels a side, but got "
                f"{image.shape[-1]}x{image.shape[-2]}"
            )
        with torch.autocast(image.device.type, enabled=False):
            distances: Tensor = self.distance(image.float(), target.float(), normalize=True)
        return distances.flatten()
