"""The plateau schedule against PyTorch's, and that it carries no state."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from components.core.training.options import FitOptions
from components.core.training.schedule import learning_rate

OPTIONS = FitOptions(
    learning_rate=5e-4,
    schedule="plateau",
    decay=0.75,
    patience=3,
    cooldown=4,
    lowest_rate=5e-5,
    epochs=120,
)


def losses(kind: str) -> list[float]:
    """Of 120 epochs."""
    draw = np.random.default_rng(0)
    falling = [1 / (1 + epoch / 5) for epoch in range(120)]
    return {
        "falling": falling,
        "flat": [0.5] * 120,
        "noisy": [max(value, 0.2) + 0.1 * draw.random() for value in falling],
        "barely": [0.5 * (1 - 1e-5) ** epoch for epoch in range(120)],
        "broken": [float("nan") if n % 7 == 3 else max(v, 0.3) for n, v in enumerate(falling)],
    }[kind]


@pytest.mark.parametrize("kind", ["falling", "flat", "noisy", "barely", "broken"])
def test_plateau_equals_pytorchs(kind: str) -> None:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(()))], lr=5e-4)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.75, patience=3, threshold=1e-4, cooldown=4, min_lr=5e-5, eps=1e-8
    )
    history: list[dict[str, float]] = []
    found = []
    for epoch, loss in enumerate(losses(kind)):
        for step in (10 * epoch, 10 * epoch + 9):
            rate = learning_rate(OPTIONS, step, 10, history)
            assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        found.append(rate)
        history.append({"epoch": epoch + 1, "train_loss": 1.0, "val_loss": loss})
        schedule.step(loss)
    assert found[0] == 5e-4
    assert (found[-1] == 5e-4) == (kind == "falling")
    assert min(found) >= 5e-5


def test_plateau_looks_at_the_training_loss_where_nothing_is_validated() -> None:
    still = [{"epoch": n + 1, "train_loss": 1.0} for n in range(5)]
    falling = [{"epoch": n + 1, "train_loss": 1.0 / (n + 1)} for n in range(5)]
    assert learning_rate(OPTIONS, 50, 10, still) == pytest.approx(0.75 * 5e-4)
    assert learning_rate(OPTIONS, 50, 10, falling) == 5e-4


def test_plateau_never_raises_a_rate_below_the_lowest() -> None:
    options = FitOptions(learning_rate=1e-5, schedule="plateau", lowest_rate=1e-3, patience=0)
    still = [{"epoch": n + 1, "val_loss": 1.0} for n in range(50)]
    assert learning_rate(options, 500, 10, still) == 1e-5
