"""Networks by name: `build("i3d", classes=5)`; one architecture per module, imported on demand."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from components.core.errors import InputError

if TYPE_CHECKING:
    from torch import nn

_BUILDERS = {
    "faster_rcnn": "components.core.models.detectors:faster_rcnn",
    "fcos": "components.core.models.detectors:fcos",
    "i3d": "components.core.models.i3d:I3D",
    "inovis": "components.core.models.inovis:INOVIS",
    "resized_i3d": "components.core.models.resized_i3d:resized_i3d",
    "resizer_2d": "components.core.models.resizer:ResizerMainNetworkV4_2D",
    "resizer_3d": "components.core.models.resizer:ResizerMainNetworkV4_3D",
    "retinanet": "components.core.models.detectors:retinanet",
    "spatial_transformer": "components.core.models.spatial_transformer:SpatialTransformer",
    "transformer_resizer": "components.core.models.transformer_resizer:TransformerWithResizer",
    "transformer_resizer_3d": "components.core.models.transformer_resizer:TransformerWithResizer3D",
}
"""Name → `module:callable` that makes the network from keyword arguments."""


def names() -> list[str]:
    """The names `build` knows."""
    return sorted(_BUILDERS)


def build(name: str, **arguments: Any) -> nn.Module:
    """Makes a network with fresh weights.

    Args:
        name: one of `names()`.
        arguments: keyword arguments of the architecture, as recorded in a bundle's `architecture`.

    Raises:
        InputError: no such network, or arguments it does not take.
    """
    if name not in _BUILDERS:
        raise InputError(f"unknown network {name!r}; the networks are {', '.join(names())}")
    module, _, function = _BUILDERS[name].partition(":")
    try:
        network: nn.Module = getattr(import_module(module), function)(**arguments)
    except TypeError as error:
        raise InputError(f"network {name!r} cannot be built: {error}") from None
    return network
