"""What ModelBundles of renderers have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.core.artifacts.model_bundle import ModelBundle, Tensor

TASK = "view_synthesis"

TORCHSCRIPT = "torchscript"
"""Format of the traces that the viewer runs."""

LEVELS = 4
"""Resolutions of the points."""


def tensors(aux: int) -> dict[str, list[Tensor]]:
    """`inputs` and `outputs`: four levels, then photographs, then lookup coordinates.

    Args:
        aux: photographs that the network is given.
    """
    unit, numbers = [0.0, 1.0], range(1, aux + 1)
    inputs = [_tensor(f"level{k}", 4, "RGB and depth of points", unit) for k in range(LEVELS)]
    inputs += [_tensor(f"aux{k}", 4, "RGB and depth of a photograph", unit) for k in numbers]
    inputs += [_tensor(f"coordinates{k}", 3, "x, y upwards, valid", []) for k in numbers]
    return {"inputs": inputs, "outputs": [_tensor("picture", 3, "RGB", unit)]}


def preprocessing(aux: int, pre_init_motion: bool, depth: Mapping[str, float]) -> dict[str, Any]:
    """What a caller of the network must know beside the tensors.

    Args:
        aux: photographs that the network is given.
        pre_init_motion: whether pixels without a point looked up the far plane in training.
        depth: `near` and `far` of linear depths; 0 for those of the window.
    """
    return {
        "aux": aux,
        "levels": LEVELS,
        "size_divisor": 16,
        "lookups": "absolute, in [-1, 1]; pixels without a point are far outside",
        "pre_init_motion": pre_init_motion,
        **depth,
    }


def sized_inputs(bundle: ModelBundle, height: int = 32, width: int = 48) -> list[Tensor]:
    """A bundle's inputs with sizes that fit each other: those of a rendering in pixels."""
    found = []
    for tensor in bundle.inputs:
        level = int(tensor.name[-1]) if tensor.name.startswith("level") else 0
        shape = [*tensor.shape[:2], height >> level, width >> level]
        found.append(tensor.model_copy(update={"shape": shape}))
    return found


def _tensor(name: str, channels: int, meaning: str, limits: list[float]) -> Tensor:
    return Tensor(
        name=name,
        dtype="float32",
        shape=[-1, channels, -1, -1],
        layout="B,C,H,W",
        range=limits,
        meaning=meaning,
    )
