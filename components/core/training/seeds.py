"""Randomness as a pure function of where training stands, so that a restart repeats it exactly.

No random state is carried from batch to batch: every batch and every example starts from a seed
made of the run's seed and its own position. What a worker process or a killed attempt drew
before cannot matter.
"""

from __future__ import annotations

import random

import numpy as np

ORDER, EXAMPLE, BATCH, VALIDATION, WEIGHTS = range(5)
"""What a stream of random numbers is for; different purposes never share a stream."""


def generator(seed: int, *position: int) -> np.random.Generator:
    """A numpy generator for one position, for example (EXAMPLE, epoch, index)."""
    return np.random.default_rng(np.random.SeedSequence([seed, *position]))


def seed_all(seed: int, *position: int) -> None:
    """Seeds Python, numpy and torch (all devices) for one position."""
    import torch

    state = np.random.SeedSequence([seed, *position]).generate_state(4, np.uint32)
    random.seed(int(state[0]) << 32 | int(state[1]))
    np.random.seed(state)
    torch.manual_seed(int(state[2]) << 32 | int(state[3]))
