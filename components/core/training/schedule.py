"""The learning rate as a pure function of the step and the history; no state to restore."""

from __future__ import annotations

import math
from collections.abc import Sequence

from components.core.training.history import Row
from components.core.training.options import FitOptions
from components.core.training.plateau import plateau_rate


def learning_rate(
    options: FitOptions, step: int, steps_per_epoch: int, history: Sequence[Row] = ()
) -> float:
    """The learning rate of an optimizer step.

    Linear warm-up from 1/warm-up steps to the full rate, then cosine to zero at the end of the
    last epoch (Loshchilov and Hutter, arXiv:1608.03983, without restarts), or `decay` at every
    milestone passed (an epoch or, with milestone_unit `step`, an optimizer step), `decay` at the
    end of every `step_size` epochs (PyTorch's StepLR), or `decay` where the validation loss no
    longer falls (`plateau`), or constant.

    Args:
        options: epochs, learning_rate, schedule, warmup_epochs, milestones, milestone_unit,
            step_size, decay, patience, cooldown, lowest_rate.
        step: optimizer steps made so far, from 0.
        steps_per_epoch: optimizer steps in an epoch.
        history: the finished epochs; only `plateau` looks at them.
    """
    total = options.epochs * steps_per_epoch
    warmup = min(round(options.warmup_epochs * steps_per_epoch), total)
    if step < warmup:
        return options.learning_rate * (step + 1) / warmup
    if options.schedule == "cosine":
        share = (step - warmup) / max(total - warmup, 1)
        return options.learning_rate * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    if options.schedule == "multistep":
        unit = steps_per_epoch if options.milestone_unit == "epoch" else 1
        passed = sum(step >= round(milestone * unit) for milestone in options.milestones)
        return options.learning_rate * options.decay**passed
    if options.schedule == "step":
        passed = step // (max(options.step_size, 1) * steps_per_epoch)
        return options.learning_rate * options.decay**passed
    if options.schedule == "plateau":
        return plateau_rate(
            options.learning_rate,
            history,
            decay=options.decay,
            patience=options.patience,
            cooldown=options.cooldown,
            lowest=options.lowest_rate,
        )
    return options.learning_rate
