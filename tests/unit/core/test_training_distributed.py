"""Several processes train what one would, and come to the same decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from distributed_training import Run, attempt
from safetensors.torch import load_file

from components.core.training.checkpoint import read_snapshot
from components.core.training.fit import finished


def outcome(run: Run) -> tuple[list[dict[str, float]], dict[int, dict[str, torch.Tensor]]]:
    result = finished(run.options, run.folder)
    assert result is not None
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]
    return rows, {epoch: load_file(path) for epoch, path in result.weights.items()}


def assert_equal(first: Run, second: Run, tolerance: float) -> None:
    (rows, weights), (other_rows, other_weights) = outcome(first), outcome(second)
    assert len(rows) == len(other_rows)
    for row, other in zip(rows, other_rows, strict=True):
        assert row == pytest.approx(other, rel=0, abs=tolerance)
    assert weights.keys() == other_weights.keys()
    for epoch, values in weights.items():
        torch.testing.assert_close(values, other_weights[epoch], rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("alone") / "fit")
    assert attempt(run) == [0]
    return run


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("together") / "fit", processes=2)
    assert attempt(run) == [0, 0]
    return run


@pytest.fixture(scope="module")
def together_random(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("random") / "fit", processes=2, frozen=False)
    assert attempt(run) == [0, 0]
    return run


# 23 clips in 5 batches of 4 and 5, three and two to a step: shares are uneven, the last step short
def test_two_processes_train_what_one_does(alone: Run, together: Run) -> None:
    rows, _ = outcome(alone)
    assert [row["step"] for row in rows] == [2, 4, 6, 8]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert_equal(together, alone, 1e-5)


# Adam and clipping forgive gradients of a wrong size; plain steps do not
def test_plain_gradient_steps_are_equal_too(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"optimizer": "sgd", "gradient_clip": 0.0, "learning_rate": 0.3}
    one, two = (Run(tmp_path / str(n) / "fit", n, changes=changes) for n in (1, 2))
    for run in (one, two):
        run.folder.parent.mkdir()
        assert set(attempt(run)) == {0}
    assert_equal(two, one, 1e-5)


# three processes: shares of a batch differ in size
@pytest.mark.parametrize("processes", [2, 3])
def test_batch_statistics_and_dropout_are_those_of_the_whole_batch(
    tmp_path: Path, processes: int
) -> None:
    changes: dict[str, Any] = {"optimizer": "sgd", "gradient_clip": 0.0, "learning_rate": 0.1}
    one, several = (
        Run(tmp_path / str(count) / "fit", count, frozen=False, changes=changes)
        for count in (1, processes)
    )
    for run in (one, several):
        run.folder.parent.mkdir()
        assert set(attempt(run)) == {0}
    assert_equal(several, one, 1e-5)


def test_processes_without_validation_clips_wait_for_the_others(tmp_path: Path) -> None:
    one, three = Run(tmp_path / "one", val=2), Run(tmp_path / "three", processes=3, val=2)
    assert attempt(one) == [0]
    assert attempt(three) == [0, 0, 0]
    assert_equal(three, one, 1e-5)


def test_a_batch_too_small_for_all_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path / "fit", processes=2, changes={"batch_size": 1})
    assert attempt(run) == [3, 3]
    assert "batch_size: 1 makes batches of 1 of the 23 training examples" in run.shown(0)


@pytest.mark.parametrize("fault", ["loss:8:TERM", "validate:3:TERM"])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_stops_all_in_order(
    tmp_path: Path, together_random: Run, fault: str, rank: int
) -> None:
    folder = tmp_path / "fit"
    assert attempt(Run(folder, 2, frozen=False, faults={rank: fault})) == [143, 143]
    # loss 8 is the third batch of the second epoch; validation 3 the first of the second
    expected = (1, 3, 3) if fault.startswith("loss") else (1, 5, 4)
    snapshot = read_snapshot(folder / "snapshot.pt")
    assert snapshot is not None
    where = snapshot.position
    assert (where.epoch, where.batch, where.step) == expected
    run = Run(folder, 2, frozen=False)
    assert attempt(run) == [0, 0]
    assert_equal(run, together_random, 0)


@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_ends_with_its_own_code(tmp_path: Path, processes: int) -> None:
    faults = dict.fromkeys(range(processes), "loss:8:INT")
    assert attempt(Run(tmp_path / "fit", processes, faults=faults)) == [130] * processes


def test_another_number_of_processes_goes_on(tmp_path: Path, alone: Run, together: Run) -> None:
    folder = tmp_path / "fit"
    assert attempt(Run(folder, 2, faults={1: "loss:8:TERM"})) == [143, 143]
    assert attempt(Run(folder, faults={0: "loss:4:TERM"})) == [143]
    run = Run(folder, 3)
    assert attempt(run) == [0, 0, 0]
    assert_equal(run, alone, 1e-5)


def test_killed_processes_go_on_bit_for_bit(tmp_path: Path, together_random: Run) -> None:
    each_step: dict[str, Any] = {"checkpoint_minutes": 1e-5}
    faults = {0: "loss:14:KILL", 1: "loss:14:KILL"}
    folder = tmp_path / "fit"
    assert attempt(Run(folder, 2, False, faults=faults, changes=each_step)) == [-9, -9]
    run = Run(folder, 2, False)
    assert attempt(run) == [0, 0]
    assert_equal(run, together_random, 0)


def test_a_loss_that_is_no_number_in_one_process_ends_all(tmp_path: Path) -> None:
    run = Run(tmp_path / "fit", 2, faults={1: "loss:7:nan"})
    assert attempt(run) == [1, 1]
    for rank in (0, 1):
        assert "the training loss became nan in epoch 2" in run.shown(rank)


def test_all_stop_early_together(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"early_stop": 2, "learning_rate": 1e-9, "epochs": 20}
    run = Run(tmp_path / "fit", 2, changes=changes)
    assert attempt(run) == [0, 0]
    assert len(outcome(run)[0]) < 20


def test_only_the_first_process_reports(together_random: Run) -> None:
    shown = together_random.shown(0)
    assert "process 1" not in together_random.shown(1)
    assert "warning" not in shown
    assert shown.count("process 0: [4] train_loss") == 1
    assert "100% 92/92 clips" in shown
