"""The losses of a renderer by name, what they are made of, and which one is taken."""

from __future__ import annotations

TERMS: dict[str, dict[str, float]] = {
    "INOVIS": {"SSIM": 0.025, "VGG": 0.1},
    "XIAO": {"SSIM": 1.0, "VGG": 0.1},
    "VGG": {"VGG": 1.0},
    "MSE": {"MSE": 1.0},
    "L1": {"L1": 1.0},
    "SSIM": {"SSIM": 1.0},
    "Spectral": {"Spectral": 1.0},
    "L1_SSIM": {"L1": 0.8, "SSIM": 0.2},
}
"""Name → term → weight. SSIM is 1 - SSIM. All but L1_SSIM have the published names and weights;
its weights are those of 3D Gaussian Splatting (Kerbl et al., SIGGRAPH 2023)."""

WITH_VGG, WITHOUT_VGG = "INOVIS", "L1_SSIM"
"""What is taken when none is named."""

CONTENT, STYLE = 0.25, 3.0
"""Weights inside the term VGG: of features at relu2_2, and of correlations at all four layers."""


def needs_vgg(name: str) -> bool:
    """Whether a loss compares features of VGG-16."""
    return "VGG" in TERMS[name]


def loss_problems(name: str, vgg_weights: str = "", setting: str = "loss_function") -> list[str]:
    """What is wrong with a loss's name, or with its having no weights of VGG-16.

    Args:
        name: '' for the default.
        vgg_weights: a file, or '' for none.
        setting: how the name's setting is called.
    """
    if name and name not in TERMS:
        return [f"{setting}: {name!r} is unknown; accepted are {', '.join(TERMS)}"]
    if name and needs_vgg(name) and not vgg_weights:
        others = [other for other in TERMS if not needs_vgg(other)]
        return [
            f"{setting}: {name!r} compares features of VGG-16, whose weights are not given; set "
            f"vgg_weights to torchvision's file for vgg16, or take one of {', '.join(others)}"
        ]
    return []


def chosen_loss(name: str, vgg_weights: str = "") -> tuple[str, str]:
    """The loss that is taken, and a line that says why it is not the published default, or ''.

    Args:
        name: '' for the default.
        vgg_weights: a file with VGG-16's weights, or ''.
    """
    if name:
        return name, ""
    if vgg_weights:
        return WITH_VGG, ""
    return WITHOUT_VGG, (
        f"no vgg_weights are given: training with {WITHOUT_VGG} (0.8 L1 + 0.2 (1 - SSIM)) instead "
        f"of the published {WITH_VGG}, which compares features of VGG-16"
    )
