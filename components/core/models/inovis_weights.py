"""Loads weights into the renderer INOVIS: own ones, and those of the published program."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from components.core.artifacts.base import resolve
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.training_results import CHECKPOINTS, TrainingResults
from components.core.errors import InputError
from components.core.models.inovis import INOVIS
from components.core.models.pretrained import fit_weights, read_weights
from components.core.models.trace import load_trace

ZOO, RENDERER = "model_zoo.pth", "renderer"
"""The published program's checkpoint, in the folder of an epoch, and the network's name in it."""

TRACE_PARTS = ("constants.pkl", "code/")
"""What a TorchScript file holds, in its folder."""


class _Inert:
    """Stands for whatever a checkpoint names beside tensors; nothing of it runs."""

    def __init__(self, *arguments: object) -> None:
        """Takes anything."""

    def __setstate__(self, state: object) -> None:
        """Forgets it."""


def load_renderer_weights(network: INOVIS, path: Path | str) -> None:
    """Loads weights in place; nothing in the file is executed.

    Accepts a ModelBundle, a training's results folder (its best epoch), a `.safetensors` file, a
    state dict, the published program's checkpoint (a folder with `model_zoo.pth`, or that file),
    and a trace, such as the published networks.

    Args:
        network: whose parameters are overwritten.
        path: file or folder.

    Raises:
        InputError: absent, damaged, or of another architecture.
    """
    fit_weights(network, read_renderer_weights(Path(path)), path, head="")


def read_renderer_weights(path: Path) -> dict[str, Tensor]:
    """The weights at a place that `load_renderer_weights` accepts, by name, on the CPU.

    Raises:
        InputError: absent or damaged.
    """
    if path.is_dir():
        path = resolve(path)
    if (path / TrainingResults.FILE).is_file() and not (path / ModelBundle.FILE).is_file():
        path = path / CHECKPOINTS / f"{TrainingResults.load(path).name}_best.pt"
    if (path / ZOO).is_file():
        path = path / ZOO
    if path.is_file() and path.suffix != ".safetensors":
        if _is_trace(path):
            return dict(load_trace(path).state_dict())
        unknown = _unsafe_names(path)
        if unknown or path.name == ZOO:
            return _from_zoo(path, unknown)
    return read_weights(path)


def _from_zoo(path: Path, unknown: list[str]) -> dict[str, Tensor]:
    """The renderer's state in a checkpoint that also pickles classes of its program."""
    inert = [(_Inert, name) for name in unknown]
    with torch.serialization.safe_globals(inert):  # type: ignore[arg-type]
        content = torch.load(path, map_location="cpu", weights_only=True)
    models = content.get("models") if isinstance(content, dict) else None
    state = models.get(RENDERER) if isinstance(models, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(
            f"{path} holds more than weights, and none of a network {RENDERER!r}; expected the "
            f"{ZOO} of the published program, a state dict, a trace or a bundle"
        )
    return dict(state)


def _is_trace(path: Path) -> bool:
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as archive:
            inside = {name.partition("/")[2] for name in archive.namelist()}
    except (BadZipFile, OSError):
        return False
    return any(name.startswith(TRACE_PARTS) for name in inside)


def _unsafe_names(path: Path) -> list[str]:
    """Classes and functions that a checkpoint names and that are none of PyTorch's own data."""
    try:
        return list(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # not a checkpoint: `read_weights` says what it is
        return []
