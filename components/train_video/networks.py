"""The network that the settings ask for, with its first weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from components.core.errors import InputError, SettingsError
from components.core.events import Reporter
from components.core.models import build
from components.core.models.i3d import arguments_for
from components.core.models.pretrained import COUNTER, fit_weights, read_weights
from components.core.models.resized_i3d import RESIZERS, ResizedI3D
from components.core.training.freezing import freeze
from components.core.training.seeds import WEIGHTS, seed_all
from components.train_video.checks import frozen_names
from components.train_video.stage import TrainSettings

TRANSFORMATIONS = {
    "transformer": "its spatial transformer",
    "resizer.localisation": "its localisation network",
    "resizer.affine": "the head of its affine maps",
    "resizer.scale": "the head of its scales",
}
"""Parts before I3D that may be new beside known weights of the others: they change nothing yet."""


def architecture_of(settings: TrainSettings, classes: int) -> dict[str, Any]:
    """Builder name and arguments of the network, as a bundle records them; input_size is set."""
    arguments: dict[str, Any]
    if settings.network == "i3d":
        name = "i3d"
        arguments = arguments_for(settings.input_size, classes, settings.width, settings.dropout)
    else:
        name = "resized_i3d"
        arguments = {
            "network": settings.network,
            "classes": classes,
            "input_size": settings.input_size,
            "target_size": settings.target_size,
            "frames": settings.clip_frames,
            "width": settings.width,
            "dropout": settings.dropout,
        }
        if settings.network in RESIZERS:
            arguments["resblocks"] = settings.resblocks
        if settings.network == "transformer_resizer":
            arguments |= {"read_at": settings.read_at, "apply_at": settings.apply_at}
    if settings.localisation:
        arguments["over_time"] = "max"  # what the loss on clips looks at
    return {"name": name, "arguments": arguments}


def make_network(
    settings: TrainSettings, architecture: dict[str, Any], report: Reporter
) -> nn.Module:
    """The network with its first weights: pretrained ones, or random ones fixed by the seed.

    Raises:
        SettingsError: with every pretrained file that does not fit, and a `freeze` that names no
            layer.
    """
    seed_all(settings.seed, WEIGHTS)
    network = build(architecture["name"], **architecture["arguments"])
    problems = []
    for name, path, load in (
        ("pretrained", settings.pretrained, load_classifier),
        ("pretrained_resizer", settings.pretrained_resizer, load_resizer),
    ):
        problems += _loaded(name, path, load, network, report)
    try:
        freeze(network, frozen_names(settings.freeze, network))
    except ValueError as error:
        problems.append(f"freeze: {error}")
    if problems:
        raise SettingsError(problems, "train_video")
    return network


def load_classifier(network: nn.Module, path: Path) -> list[str]:
    """Loads weights of I3D, or of the whole network where the names fit the whole.

    Of a network with something else before I3D, I3D's weights are taken.

    Returns:
        Notes for the user.

    Raises:
        InputError: the file cannot be read or does not fit.
    """
    given = read_weights(path)
    inside = _below("i3d", given)
    if not isinstance(network, ResizedI3D):
        return [*fit_weights(network, inside or given, path), *_left_out(given, inside)]
    if not inside:
        return fit_weights(network.i3d, given, path)
    if _names(given) == _names(network.state_dict()):
        return fit_weights(network, given, path, head="i3d.logits")
    return [*fit_weights(network.i3d, inside, path), *_left_out(given, inside)]


def load_resizer(network: nn.Module, path: Path) -> list[str]:
    """Loads weights of a resizer network into what stands before I3D.

    Accepts a resizer network's own file, also without the transformation that `network` has, and
    a bundle of a resized network.

    Returns:
        Notes for the user.

    Raises:
        InputError: the file cannot be read, does not fit, or holds no resizer network.
    """
    parts = {name: part for name, part in network.named_children() if name != "i3d"}
    given = read_weights(path)
    if any(name.startswith("i3d.") for name in given):
        given = {name: value for name, value in given.items() if not name.startswith("i3d.")}
        if not given:
            raise InputError(f"{path} holds no resizer network, only I3D")
    elif not any(name.startswith(tuple(f"{part}." for part in parts)) for name in given):
        given = {f"resizer.{name}": value for name, value in given.items()}
    fit_weights(nn.ModuleDict(parts), given, path, optional=list(TRANSFORMATIONS))
    fresh = [
        text
        for name, text in TRANSFORMATIONS.items()
        if _below(name, network.state_dict()) and not _below(name, given)
    ]
    if not fresh:
        return []
    return [f"{path} holds the resizer network alone; new here: {', '.join(fresh)}"]


def _loaded(
    name: str,
    path: str,
    load: Callable[[nn.Module, Path], list[str]],
    network: nn.Module,
    report: Reporter,
) -> list[str]:
    if not path:
        return []
    try:
        for note in load(network, Path(path)):
            report.message(note)
    except InputError as error:
        return [f"{name}: {error}"]
    return []


def _below(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): v for name, v in weights.items() if name.startswith(start)}


def _names(weights: dict[str, Tensor]) -> set[str]:
    return {name for name in weights if not name.endswith(COUNTER)}


def _left_out(given: dict[str, Tensor], inside: dict[str, Tensor]) -> list[str]:
    if not inside or len(inside) == len(given):
        return []
    return ["only the weights of I3D were taken, not those of what stands before it"]
