"""The network that the settings ask for, with its first weights."""

from __future__ import annotations

from typing import Any, cast

from components.core.errors import InputError, SettingsError
from components.core.events import Reporter
from components.core.models import build
from components.core.models.i3d import I3D, arguments_for
from components.core.models.pretrained import load_pretrained
from components.core.training.freezing import freeze
from components.core.training.seeds import WEIGHTS, seed_all
from components.train_video.checks import frozen_names
from components.train_video.stage import TrainSettings


def architecture_of(settings: TrainSettings, classes: int) -> dict[str, Any]:
    """Builder name and arguments of the network, as a bundle records them; input_size is set."""
    return {
        "name": "i3d",
        "arguments": arguments_for(settings.input_size, classes, settings.width, settings.dropout),
    }


def make_network(settings: TrainSettings, architecture: dict[str, Any], report: Reporter) -> I3D:
    """The network with its first weights: pretrained ones, or random ones fixed by the seed.

    Raises:
        SettingsError: the pretrained weights do not fit, or `freeze` names no layer.
    """
    seed_all(settings.seed, WEIGHTS)
    network = cast(I3D, build(architecture["name"], **architecture["arguments"]))
    problems = []
    if settings.pretrained:
        try:
            for note in load_pretrained(network, settings.pretrained):
                report.message(note)
        except InputError as error:
            problems.append(f"pretrained: {error}")
    try:
        freeze(network, frozen_names(settings.freeze, network))
    except ValueError as error:
        problems.append(f"freeze: {error}")
    if problems:
        raise SettingsError(problems, "train_video")
    return network
