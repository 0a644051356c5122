"""Order of the data, randomness, learning rate, choice of the best epoch."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from components.core.training.history import best_epoch, exhausted
from components.core.training.options import FitOptions, milestone_problems
from components.core.training.plan import BatchPlan, share_problems
from components.core.training.schedule import learning_rate
from components.core.training.seeds import generator, seed_all


@pytest.mark.parametrize(
    ("count", "size", "accumulate"), [(17, 8, 1), (203, 16, 3), (5, 8, 4), (1, 1, 1)]
)
def test_every_example_is_used_once_in_batches_of_nearly_the_same_size(
    count: int, size: int, accumulate: int
) -> None:
    plan = BatchPlan(count, size, accumulate, seed=1)
    batches = plan.examples(0)
    assert len(batches) == plan.batches == -(-count // size)
    assert Counter(i for batch in batches for i in batch) == Counter(range(count))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    assert sizes == [plan.size(b) for b in range(plan.batches)]
    ends = [b for b in range(plan.batches) if plan.ends_step(b)]
    assert len(ends) == plan.steps
    assert ends[-1] == plan.batches - 1
    assert sum(plan.step_size(b) for b in ends) == count
    for batch in range(plan.batches):
        first = batch // accumulate * accumulate
        assert plan.step_size(batch) == sum(sizes[first : first + accumulate])


def test_epochs_differ_and_repeat() -> None:
    plan = BatchPlan(100, 10, seed=1)
    assert plan.examples(0) != plan.examples(1)
    assert plan.examples(1) == BatchPlan(100, 10, seed=1).examples(1)
    assert plan.examples(1) != BatchPlan(100, 10, seed=2).examples(1)
    assert plan.examples(1, first_batch=7) == plan.examples(1)[7:]
    assert plan.examples(1, first_batch=10) == []
    assert BatchPlan(4, 2, shuffle=False).examples(3) == [[0, 1], [2, 3]]


def test_seeding_a_position_fixes_every_generator() -> None:
    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(()))]

    seed_all(1, 2, 3)
    first = draw()
    seed_all(1, 2, 4)
    assert all(a != b for a, b in zip(first, draw(), strict=True))
    seed_all(1, 2, 3)
    assert draw() == first
    assert generator(1, 2).integers(1 << 40) != generator(1, 3).integers(1 << 40)


def rates(**changes: Any) -> list[float]:
    options = FitOptions(learning_rate=0.4, epochs=6, **changes)
    return [learning_rate(options, step, 5) for step in range(30)]


def test_cosine_equals_pytorchs() -> None:
    weight = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], lr=0.4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
    for rate in rates(schedule="cosine"):
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()


def test_multistep_equals_pytorchs() -> None:
    weight = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], lr=0.4)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [10, 20], gamma=0.1)
    for rate in rates(schedule="multistep", milestones=(2, 4)):
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()


def test_milestones_may_count_optimizer_steps() -> None:
    weight = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], lr=0.4)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [7, 22], gamma=0.1)
    for rate in rates(schedule="multistep", milestones=(7, 22), milestone_unit="step"):
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_shares_of_the_processes_are_the_whole_batch(processes: int) -> None:
    whole = BatchPlan(41, 7, 2, seed=1)
    plans = [BatchPlan(41, 7, 2, 1, True, process, processes) for process in range(processes)]
    shares = [plan.examples(3, 1) for plan in plans]
    for number, batch in enumerate(whole.examples(3, 1)):
        own = [share[number] for share in shares]
        assert sorted(example for share in own for example in share) == sorted(batch)
        assert [len(share) for share in own] == [plan.share(number + 1) for plan in plans]
        assert max(map(len, own)) - min(map(len, own)) <= 1


@pytest.mark.parametrize("count", [1, 5, 22, 23, 64])
def test_batches_too_small_for_all_processes_are_refused_with_a_fix_that_works(count: int) -> None:
    for batch_size in range(1, count + 1):
        smallest = min(map(len, BatchPlan(count, batch_size).examples(0)))
        for processes in range(1, count + 1):
            problems = share_problems(count, batch_size, processes)
            assert bool(problems) == (smallest < processes)
            if problems:
                enough = int(problems[0].split("at least ")[1].split(",")[0])
                assert not share_problems(count, enough, processes)
    assert share_problems(count, count, count + 1)[0].startswith(f"processes: {count + 1} is more")


def test_warm_up_rises_to_the_full_rate() -> None:
    found = rates(schedule="constant", warmup_epochs=1.6)
    assert found[:8] == pytest.approx([0.05 * n for n in range(1, 9)])
    assert found[8:] == [0.4] * 22
    assert rates(schedule="cosine", warmup_epochs=1)[5] == 0.4
    assert rates(schedule="cosine", warmup_epochs=1)[-1] < 0.004


def row(epoch: int, f1: float, loss: float) -> dict[str, float]:
    return {"epoch": epoch, "val_macro_f1": f1, "val_loss": loss}


def test_the_best_epoch_and_its_ties() -> None:
    history = [row(1, 0.5, 1.0), row(2, 0.8, 0.9), row(3, 0.8, 0.7), row(4, 0.8, 0.7)]
    assert best_epoch(history, "val_macro_f1") == 3
    assert best_epoch([*history, row(5, 0.1, 0.1)], "val_loss") == 5
    assert best_epoch([*history, row(5, float("nan"), 0.1)], "val_macro_f1") == 3
    assert best_epoch([{"epoch": 1}, {"epoch": 2}], "val_macro_f1") == 2
    assert best_epoch([], "val_loss") == 0


def test_early_stopping_waits_for_as_many_epochs_as_told() -> None:
    history = [row(1, 0.5, 1.0), row(2, 0.8, 0.9), row(3, 0.7, 0.9), row(4, 0.7, 0.9)]
    assert exhausted(history, 10, 2, "val_macro_f1")
    assert not exhausted(history, 10, 3, "val_macro_f1")
    assert not exhausted(history, 10, 0, "val_macro_f1")
    assert exhausted(history, 4, 0, "val_macro_f1")
    assert not exhausted([], 4, 1, "val_macro_f1")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("cosine", [5], "epoch", 30), "have no effect with schedule 'cosine'"),
        (("multistep", [], "epoch", 30), "schedule multistep needs them"),
        (("multistep", [8, 4, 4], "step", 2), r"\[8, 4, 4\] must be above 0.*use \[4, 8\]"),
        (("multistep", [0, 4], "epoch", 30), r"\[0, 4\] must be above 0.*use \[4\]"),
        (("multistep", [4, 30, 40], "epoch", 30), r"\[30, 40\] would never.*below 30, more epochs"),
    ],
)
def test_milestones_without_effect_are_refused(given: Any, text: str) -> None:
    (problem,) = milestone_problems(*given)
    assert re.search(text, problem)


def test_milestones_that_count_steps_may_be_more_than_the_epochs() -> None:
    assert milestone_problems("multistep", [300, 1000], "step", 30) == []
    assert milestone_problems("multistep", [15, 25], "epoch", 30) == []
    assert milestone_problems("constant", [], "epoch", 30) == []
