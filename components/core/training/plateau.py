"""A learning rate that falls where the loss no longer does, as a pure function of the history."""

from __future__ import annotations

import math
from collections.abc import Sequence

from components.core.training.history import Row

THRESHOLD = 1e-4
"""Relative improvement of the loss that counts as one."""

SMALLEST = 1e-8
"""Changes of the rate below this are not made."""


def plateau_rate(
    rate: float,
    history: Sequence[Row],
    *,
    decay: float,
    patience: int,
    cooldown: int,
    lowest: float,
) -> float:
    """What PyTorch's ReduceLROnPlateau makes of `rate` once it has seen each epoch of `history`.

    It keeps no state, so that a continued training goes on with the rate of an undisturbed one.

    Args:
        rate: of the first epoch.
        history: finished epochs; their `val_loss` counts, or `train_loss` where nothing is
            validated. A loss that is not finite is no improvement.
        decay: factor on the rate where the loss stands still.
        patience: epochs without improvement that are let pass.
        cooldown: epochs after a change before patience is counted again.
        lowest: the rate never falls below.
    """
    best, bad, cooling = math.inf, 0, 0
    for row in history:
        loss = row.get("val_loss", row.get("train_loss", math.nan))
        if loss < best * (1 - THRESHOLD):
            best, bad = loss, 0
        else:
            bad += 1
        if cooling:
            cooling -= 1
            bad = 0
        if bad > patience:
            lower = max(rate * decay, min(lowest, rate))
            rate = lower if rate - lower > SMALLEST else rate
            cooling, bad = cooldown, 0
    return rate
