"""ModelBundles of PyTorch networks: writing them and getting the network back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from components import __version__
from components.core import files
from components.core.artifacts.model_bundle import ModelBundle, kept
from components.core.errors import InputError
from components.core.models import build
from components.core.state import digest

WEIGHTS = "weights.safetensors"


def save_weights(path: Path, network: nn.Module) -> None:
    """Writes a network's parameters and buffers as safetensors, atomically and durably."""
    state = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(save(state))  # not `save_file`, whose files only their owner may read
        file.flush()
        os.fsync(file.fileno())


def save_bundle(
    directory: Path, weights: Path, *, formats: Mapping[str, str] | None = None, **fields: Any
) -> ModelBundle:
    """Completes a bundle directory: puts the weights in place and writes `model.json` last.

    The fingerprint covers the checkpoints that lie in the directory: who compares them must not
    take another training's for the same.

    Args:
        directory: created if absent; further formats (an ONNX file) may lie in it already.
        weights: a safetensors file, hard-linked into the bundle where the volume allows it.
        formats: other formats in the directory, name → file name.
        fields: the other fields of ModelBundle (name, task, classes, architecture …).
    """
    directory.mkdir(parents=True, exist_ok=True)
    files.link_or_copy(weights, directory / WEIGHTS)
    content = {key: fields.get(key) for key in ("architecture", "classes", "preprocessing")}
    inside = {n: ModelBundle.load(place).fingerprint for n, place in kept(directory).items()}
    bundle = ModelBundle(
        fingerprint=digest([sha256(weights), content, *([inside] if inside else [])]),
        formats={"safetensors": WEIGHTS, **(formats or {})},
        code_version=__version__,
        **fields,
    )
    bundle.save(directory)
    return bundle


def load_network(directory: Path, device: str | torch.device = "cpu") -> nn.Module:
    """Rebuilds a bundle's network from its safetensors weights, in evaluation mode.

    Raises:
        InputError: no bundle, no safetensors weights, an unknown architecture, or weights that
            do not fit it.
    """
    bundle = ModelBundle.load(directory)
    weights = read_safetensors(bundle.file(directory, "safetensors"))
    name = bundle.architecture.get("name", "")
    network = build(name, **bundle.architecture.get("arguments", {}))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(f"{directory}: the weights do not fit network {name!r}: {first}") from None
    return network.to(device).eval()


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        InputError: the file is damaged.
    """
    from safetensors import SafetensorError

    try:
        weights: dict[str, Tensor] = load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged: {error}") from None
    return weights


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
