"""How the next trial is chosen, and which ones are given up early."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna import pruners, samplers
from optuna.trial import FrozenTrial, TrialState

from components.hpo_sweep.space import Dimension, grid

VIOLATIONS = "violations"
"""Attribute of a trial: by how much it misses each constraint; 0 and below keep it."""

RETRIED = "retry_history"
"""Optuna's attribute of a trial that takes the place of others: their numbers."""


def sampler(name: str, seed: int, number: int, startup: int) -> samplers.BaseSampler:
    """What chooses trial `number`.

    Each trial has a sampler with a seed of its own, so that a study that is continued goes on as
    one that was never stopped.
    """
    own = (seed * 1_000_003 + number) % 2**32  # what numpy takes
    match name:
        case "tpe":
            return samplers.TPESampler(n_startup_trials=startup, multivariate=True, seed=own)
        case "gp":
            return samplers.GPSampler(
                n_startup_trials=startup, seed=own, warn_independent_sampling=False
            )
        case "cmaes":
            return samplers.CmaEsSampler(
                n_startup_trials=startup, seed=own, warn_independent_sampling=False
            )
        case _:  # a grid lies in the queue already
            return samplers.RandomSampler(seed=own)


def pruner(name: str, epochs: int) -> pruners.BasePruner:
    """What gives up trials that are worse than others were at the same epoch."""
    match name:
        case "median":
            return pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=max(2, epochs // 4))
        case "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=max(1, epochs))
        case _:
            return pruners.NopPruner()


def first_trials(
    wanted: str,
    dimensions: Sequence[Dimension],
    initial: Sequence[Mapping[str, Any]],
    seed: int,
) -> list[dict[str, Any]]:
    """What is tried first, without a sampler: initial trials, and then a whole grid."""
    found = [dict(trial) for trial in initial]
    if wanted == "grid":
        points = grid(dimensions)
        random.Random(seed).shuffle(points)
        found += [point for point in points if point not in found]
    return found


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The finished trial with the best value among those that keep the constraints."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    fit = [trial for trial in finished if is_feasible(trial)]
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    return min(fit, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether a trial keeps the constraints."""
    return all(missed <= 0 for missed in trial.user_attrs.get(VIOLATIONS, {}).values())


def begun(study: optuna.Study) -> int:
    """How many trials have begun, those that take the place of others not counted."""
    trials = study.get_trials(deepcopy=False)
    return sum(t.state != TrialState.WAITING and RETRIED not in t.system_attrs for t in trials)


def is_retried(study: optuna.Study, number: int) -> bool:
    """Whether another trial takes the place of this one."""
    trials = study.get_trials(deepcopy=False)
    return any(number in trial.system_attrs.get(RETRIED, ()) for trial in trials)


def still_free(study: optuna.Study, wanted: int) -> int:
    """How many trials may yet be begun, of those that were wanted."""
    trials = study.get_trials(deepcopy=False)
    retried = {number for trial in trials for number in trial.system_attrs.get(RETRIED, ())}
    taken = [t for t in trials if t.state != TrialState.WAITING and t.number not in retried]
    return wanted - len(taken)
