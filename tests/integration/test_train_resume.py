"""Training that is killed and run again ends exactly where an undisturbed one does."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DRIVER = ROOT / "tests" / "integration" / "training_driver.py"
EACH_STEP, EACH_EPOCH = "0.00001", "60"

Drive = Callable[..., int]
"""Runs the driver in a process of its own; returns the exit code, negative for a signal."""


@pytest.fixture(scope="module")
def drive() -> Drive:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["components.core.training.fit"])

    def run(folder: Path, minutes: str, *rest: str) -> int:
        import training_driver

        process = context.Process(
            target=training_driver.process, args=(str(folder), minutes, *rest)
        )
        process.start()
        process.join(120)
        assert process.exitcode is not None, "the training hangs"
        return process.exitcode

    sys.path.insert(0, str(DRIVER.parent))
    return run


def drive_alone(folder: Path, minutes: str, *rest: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DRIVER), str(folder), minutes, *rest]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def outcome(folder: Path) -> dict[str, Any]:
    content = json.loads(folder.with_suffix(".json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, drive: Drive) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed") / "fit"
    assert drive(folder, EACH_EPOCH) == 0
    return outcome(folder)


def test_the_reference_run_trains(undisturbed: dict[str, Any]) -> None:
    history = undisturbed["history"]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]
    # 203 examples in 13 batches, three to a step
    assert [row["step"] for row in history] == [5, 10, 15, 20, 25]
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert set(undisturbed["weights"]) == {"2", "4", "5"} | {str(undisturbed["best"])}


@pytest.mark.parametrize(
    ("minutes", "fault"),
    [
        (EACH_STEP, "loss:2"),  # before the first step: nothing is saved yet
        (EACH_STEP, "loss:31"),  # in the middle of an epoch and of a step
        (EACH_EPOCH, "loss:48"),  # the whole epoch so far is repeated
        (EACH_STEP, "validate:6"),  # trained, not yet validated
        (EACH_EPOCH, "validate:6"),
        (EACH_STEP, "half_written:9"),
        (EACH_STEP, "before_rename:9"),
        (EACH_STEP, "after_rename:12"),
        (EACH_EPOCH, "before_rename:3"),  # the epoch's weights lie there already
    ],
)
def test_killed_training_continues_bit_for_bit(
    tmp_path: Path, drive: Drive, undisturbed: dict[str, Any], minutes: str, fault: str
) -> None:
    folder = tmp_path / "fit"
    assert drive(folder, minutes, fault) == -signal.SIGKILL
    assert drive(folder, minutes) == 0
    assert outcome(folder) == undisturbed
    assert not [path for path in folder.rglob("*") if ".partial-" in path.name]


def test_killed_again_and_again(tmp_path: Path, drive: Drive, undisturbed: dict[str, Any]) -> None:
    folder = tmp_path / "fit"
    for fault in ("loss:20", "validate:2", "half_written:4", "after_rename:2", "loss:14"):
        assert drive(folder, EACH_STEP, fault) == -signal.SIGKILL
    assert drive(folder, EACH_STEP) == 0
    assert outcome(folder) == undisturbed


@pytest.mark.parametrize("fault", ["sigterm:20", "sigterm_validate:5"])
def test_sigterm_saves_at_once_and_training_continues(
    tmp_path: Path, drive: Drive, undisturbed: dict[str, Any], fault: str
) -> None:
    folder = tmp_path / "fit"
    assert drive(folder, EACH_EPOCH, fault) == 143
    # nothing of what was trained is repeated: one more loss per batch that is left
    left = 5 * 13 - (21 if fault.startswith("sigterm:") else 26)
    assert drive(folder, EACH_EPOCH, f"loss:{left + 1}") == 0
    assert outcome(folder) == undisturbed


def test_loader_processes_change_nothing_and_die_with_a_killed_trainer(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    folder = tmp_path / "fit"
    killed = drive_alone(folder, EACH_STEP, "loss:31", "workers=2")
    # the call returns when nobody holds the pipes any more, so no worker is left
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = drive_alone(folder, EACH_STEP, "workers=1")
    assert again.returncode == 0, again.stderr
    assert outcome(folder) == undisturbed


def test_a_damaged_snapshot_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "fit"
    folder.mkdir()
    (folder / "snapshot.pt").write_bytes(b"PK\x03\x04 not a snapshot")
    failed = drive_alone(folder, EACH_EPOCH)
    assert failed.returncode == 1
    assert "snapshot.pt is damaged" in failed.stderr
    assert "remove" in failed.stderr


def test_logs_show_every_epoch_once(
    tmp_path: Path, drive: Drive, undisturbed: dict[str, Any]
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "fit"
    assert drive(folder, EACH_EPOCH, "loss:60") == -signal.SIGKILL
    assert drive(folder, EACH_EPOCH) == 0
    lines = (folder / "logs" / "log.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "3", "4", "5"]
    events = EventAccumulator(str(folder / "logs" / "tensorboard"))
    events.Reload()
    losses = {event.step: event.value for event in events.Scalars("epoch/train_loss")}
    expected = {row["step"]: row["train_loss"] for row in undisturbed["history"]}
    assert losses == pytest.approx(expected)
    assert len(events.Scalars("epoch/train_loss")) == 5
