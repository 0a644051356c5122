"""Loads published or own weights into a network, whatever wrapped them when they were saved."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError

WRAPPERS = ("module.", "model.", "_orig_mod.")
"""Prefixes that data parallelism, containers and compilation put before a parameter's name."""

CONTAINERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training programs keep the weights beside other things."""

COUNTER = "num_batches_tracked"


def load_pretrained(network: nn.Module, path: Path | str, head: str = "logits") -> list[str]:
    """Loads weights in place; a head for another number of classes stays fresh.

    Accepts a `.pt`/`.pth` state dict (read without executing anything in it), a `.safetensors`
    file or a ModelBundle directory; names may carry `model.` and `module.` in any combination,
    and BatchNorm counters may be missing.

    Args:
        network: whose parameters are overwritten.
        path: file or directory.
        head: name of the sub-module whose shape may differ.

    Returns:
        Notes for the user, for example that the head was replaced.

    Raises:
        InputError: the file cannot be read or does not belong to this network.
    """
    return fit_weights(network, read_weights(Path(path)), path, head)


def fit_weights(
    network: nn.Module,
    given: dict[str, Tensor],
    source: Path | str,
    head: str = "logits",
    optional: Sequence[str] = (),
) -> list[str]:
    """Puts weights that were read into a network; see `load_pretrained`.

    Args:
        network: whose parameters are overwritten.
        given: the weights by name.
        source: where they come from, for messages.
        head: name of the sub-module whose shape may differ.
        optional: sub-modules that stay as they are when nothing is given for them.

    Raises:
        InputError: they do not belong to this network.
    """
    own = network.state_dict()
    fitting, notes = _without_other_head(given, own, head)
    kept = tuple(f"{name}." for name in optional if not _any_in(fitting, name))
    if notes:
        kept = (*kept, f"{head}.")
    missing = [k for k in own if k not in fitting and not k.endswith(COUNTER)]
    missing = [key for key in missing if not key.startswith(kept)]
    unknown = [key for key in fitting if key not in own]
    different = [
        f"{key} is {_shape(value)}, the network's is {_shape(own[key])}"
        for key, value in fitting.items()
        if key in own and value.shape != own[key].shape
    ]
    problems = [
        *_listed("it lacks", missing),
        *_listed("the network has no", unknown),
        *_listed("other shapes:", different),
    ]
    if problems:
        raise InputError(
            f"the weights in {source} do not fit this network: {'; '.join(problems)}; "
            "check its width, its input channels and whether the file is of this architecture"
        )
    network.load_state_dict(fitting, strict=False)
    return notes


def read_weights(path: Path) -> dict[str, Tensor]:
    """The parameters of a file or bundle on the CPU, by name without wrapping prefixes.

    Raises:
        InputError: absent, damaged, or not a mapping of tensors.
    """
    if path.is_dir():
        path = ModelBundle.load(path).file(path, "safetensors")
    if not path.is_file():
        raise InputError(f"{path} does not exist; expected a .pt or .safetensors file, or a bundle")
    content = _load(path)
    for key in CONTAINERS:
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path} holds no state dict (a mapping of names to tensors)")
    return {_unwrapped(name): value for name, value in content.items()}


def _load(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path, device="cpu")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path} cannot be read as weights: it holds more than tensors, or is no PyTorch file; "
            "expected a state dict, as torch.save(network.state_dict(), path) writes it"
        ) from None
    except SafetensorError as error:
        raise InputError(f"{path} cannot be read as weights: {error}") from None
    except Exception as error:  # torch's reader fails in many ways on files that are not its own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} cannot be read as weights: {reason}; expected a .pt or .safetensors file, or "
            "a bundle"
        ) from None
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds a {type(content).__name__}, not a state dict")
    return content


def _unwrapped(name: str) -> str:
    for wrapper in WRAPPERS:
        if name.startswith(wrapper):
            return _unwrapped(name.removeprefix(wrapper))
    return name


def _any_in(weights: Mapping[str, Tensor], name: str) -> bool:
    return any(key.startswith(f"{name}.") for key in weights)


def _without_other_head(
    given: dict[str, Tensor], own: Mapping[str, Tensor], head: str
) -> tuple[dict[str, Tensor], list[str]]:
    ours = {key for key in own if key.startswith(f"{head}.")}
    theirs = {key for key in given if key.startswith(f"{head}.")}
    same_inputs = all(
        given[key].shape[1:] == own[key].shape[1:] for key in ours & theirs if own[key].ndim > 1
    )
    outputs = {given[key].shape[0] for key in theirs} - {own[key].shape[0] for key in ours}
    if ours and theirs == ours and same_inputs and outputs:
        rest = {key: value for key, value in given.items() if key not in theirs}
        here = own[min(ours)].shape[0]
        return rest, [
            f"the head for {outputs.pop()} classes was replaced by an untrained one for {here}"
        ]
    return given, []


def _shape(value: Tensor) -> str:
    return "x".join(str(n) for n in value.shape) or "scalar"


def _listed(text: str, names: list[str]) -> list[str]:
    if not names:
        return []
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"{text} {', '.join(names[:3])}{rest}"]
