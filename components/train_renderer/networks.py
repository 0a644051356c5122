"""The network to train, fresh or with the weights that fine-tuning starts from."""

from __future__ import annotations

from collections.abc import Sequence

from components.core.errors import InputError
from components.core.formats.viewer_network import ViewerNetwork
from components.core.models import build
from components.core.models.inovis import INOVIS
from components.core.models.inovis_weights import load_renderer_weights
from components.core.training.seeds import WEIGHTS, seed_all
from components.train_renderer.stage import TrainRendererSettings


def make_network(settings: TrainRendererSettings) -> tuple[INOVIS, list[str]]:
    """The network, and notes for the user.

    Raises:
        InputError: weights that cannot be read or do not fit.
    """
    seed_all(settings.seed, WEIGHTS)
    network = plain_network(settings)
    notes = []
    if settings.pretrained:
        try:
            load_renderer_weights(network, settings.pretrained)
        except InputError as error:
            raise InputError(f"pretrained: {error}") from None
        notes.append(f"fine-tuning: the first weights are those of {settings.pretrained}")
    return network, notes


def plain_network(settings: TrainRendererSettings) -> INOVIS:
    """The network with any weights."""
    architecture = settings.architecture
    network = build(architecture["name"], **architecture["arguments"])
    assert isinstance(network, INOVIS)
    return network


def viewer_problems(settings: TrainRendererSettings) -> Sequence[str]:
    """Why the viewer could not use the network, however it is called."""
    depth, aux = settings.feature_extraction_depth, settings.in_gt_frame_amount
    return ViewerNetwork("network", depth, groundtruth_amount=aux).problems()
