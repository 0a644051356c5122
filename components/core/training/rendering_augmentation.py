"""Random changes of rendered crops that leave the task what it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.rendering.lookup import NOWHERE
from components.core.rendering.reader import RenderingCrop
from components.core.training.seeds import EXAMPLE, generator

_PLACE, _VIEWS, _CHANGE = range(3)
"""Streams of random numbers of one example."""


@dataclass(frozen=True)
class RenderingAugmentation:
    """How training crops vary; each draw depends on the seed, the epoch and the example only."""

    seed: int = 0
    flip: bool = True
    """Half of the crops are mirrored, with their aux photos and coordinates."""
    exposure: float = 0.0
    """All colours, the target's too, are multiplied by one factor between exp(-x) and exp(x)."""
    aux_dropout: float = 0.0
    """Probability of each aux view to be blank; one of them always stays."""
    shuffle_aux: bool = False
    """Aux views come in random order instead of from the most similar one on."""

    def place(self, epoch: int, index: int, room: tuple[int, int], step: int) -> tuple[int, int]:
        """Row and column where the crop begins: multiples of `step`, both ends included.

        Args:
            epoch: of training.
            index: of the example.
            room: last possible row and column.
            step: in pixels.
        """
        rng = generator(self.seed, EXAMPLE, epoch, index, _PLACE)
        top, left = (int(rng.integers(end // step + 1)) * step for end in room)
        return top, left

    def views(self, epoch: int, index: int, there: int, wanted: int) -> list[int]:
        """Which aux views, and in which order."""
        if not self.shuffle_aux:
            return list(range(wanted))
        rng = generator(self.seed, EXAMPLE, epoch, index, _VIEWS)
        return [int(view) for view in rng.permutation(there)[:wanted]]

    def change(self, epoch: int, index: int, crop: RenderingCrop) -> None:
        """Mirrors, brightens and blanks, in place."""
        rng = generator(self.seed, EXAMPLE, epoch, index, _CHANGE)
        mirrored, factor = rng.random() < 0.5, np.exp(rng.uniform(-self.exposure, self.exposure))
        dropped = rng.random(len(crop.aux)) < self.aux_dropout
        if self.exposure:
            _brighten(crop, np.float32(factor))
        if dropped.all() and len(dropped):
            dropped[rng.integers(len(dropped))] = False
        for view in np.flatnonzero(dropped):
            crop.aux[view] = np.zeros_like(crop.aux[view])
            crop.coordinates[view] = _nowhere(crop.coordinates[view])
        if self.flip and mirrored:
            mirror(crop)


def mirror(crop: RenderingCrop) -> None:
    """Exchanges left and right of the target and of all aux photos, in place."""
    crop.levels = [level[..., ::-1] for level in crop.levels]
    crop.target, crop.valid = crop.target[..., ::-1], crop.valid[..., ::-1]
    crop.aux = [photo[..., ::-1] for photo in crop.aux]
    for view, places in enumerate(crop.coordinates):
        flipped = places[..., ::-1].copy()
        flipped[0] = np.where(flipped[2] > 0, -flipped[0], NOWHERE)
        crop.coordinates[view] = flipped


def _brighten(crop: RenderingCrop, factor: np.float32) -> None:
    for picture in (*crop.levels, *crop.aux):
        picture[:3] = np.minimum(picture[:3] * factor, 1)
    crop.target = np.minimum(crop.target * factor, np.float32(1))


def _nowhere(places: np.ndarray) -> np.ndarray:
    blank = np.full_like(places, NOWHERE)
    blank[2] = 0
    return blank
