"""Training that is stopped, killed or spread over devices ends like an undisturbed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from moving_clips import CLASSES, write

from components.core.artifacts.model_bundle import ModelBundle


class Run:
    """`python -m components.train_keras` in a folder of its own."""

    def __init__(self, inputs: dict[str, Path], folder: Path) -> None:
        self.inputs, self.folder = inputs, folder
        self.log = folder / "log.txt"
        folder.mkdir()

    def start(self, **changes: object) -> subprocess.Popen[bytes]:
        settings: dict[str, object] = {"clip_frames": 3, "input_size": 32, "epochs": 4}
        settings |= {"batch_size": 4, "device": "cpu", "learning_rate": 0.003, "shuffle_size": 6}
        settings |= changes
        options = [f"--{key.replace('_', '-')}={value}" for key, value in settings.items()]
        places = [f"--{name}={path}" for name, path in self.inputs.items()]
        places += [f"--model={self.folder / 'model'}", f"--state-dir={self.folder / 'state'}"]
        command = [sys.executable, "-m", "components.train_keras", *places, *options]
        environment = {**os.environ, "TRAINYARD_EVENTS": "json"}
        with open(self.log, "a") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def strike(self, number: int, mark: str, **changes: object) -> int:
        """Starts it, sends a signal once the log shows `mark`, and waits for the end."""
        begin = self.log.stat().st_size if self.log.exists() else 0
        process = self.start(**changes)
        deadline = time.monotonic() + 120
        while mark not in self.log.read_text()[begin:]:
            assert process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        return process.wait(60)

    def bundle(self) -> ModelBundle:
        return ModelBundle.load(self.folder / "model")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    labels = [[name] for name in CLASSES for _ in range(8)]
    parts = ["train"] * 5 + ["val"] * 2 + ["test"]
    return write(tmp_path_factory.mktemp("data"), labels, parts * 3, side=36)


def test_stopped_in_an_epoch_and_killed_in_another_it_ends_with_the_same_weights(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    undisturbed = Run(inputs, tmp_path / "undisturbed")
    assert undisturbed.start().wait(300) == 0, undisturbed.log.read_text()
    run = Run(inputs, tmp_path / "disturbed")
    assert run.strike(signal.SIGTERM, '"event": "progress"') == 143
    assert not (run.folder / "model").exists()
    (state,) = run.folder.rglob("state.npz")
    with np.load(state) as kept:
        assert '"batch": 0' not in str(kept["position"]), "stopped within an epoch"
    assert run.strike(signal.SIGKILL, '"step": 2', checkpoint_minutes=0.0001) == -9
    assert run.start().wait(300) == 0, run.log.read_text()
    assert run.bundle().fingerprint == undisturbed.bundle().fingerprint
    for ours, theirs in zip(run.bundle().curves, undisturbed.bundle().curves, strict=True):
        ours, theirs = ({k: v for k, v in row.items() if k != "seconds"} for row in (ours, theirs))
        assert ours == pytest.approx(theirs)
    assert not list(run.folder.rglob("*partial*"))
    assert len(list(run.folder.rglob("weights/*.npz"))) == 1


def test_two_devices_train_like_one(inputs: dict[str, Path], tmp_path: Path) -> None:
    one, two = (Run(inputs, tmp_path / name) for name in ("one", "two"))
    how = {"epochs": 1, "dropout": 0, "recurrent_dropout": 0}
    assert one.start(**how).wait(300) == 0, one.log.read_text()
    assert two.start(**how, replicas=2).wait(300) == 0, two.log.read_text()
    assert "in 2 replicas" in two.log.read_text()
    first, second = one.bundle().curves[0], two.bundle().curves[0]
    # The shares of a batch of 3 are 2 and 1 clips, whose means weigh alike.
    assert second["train_loss"] == pytest.approx(first["train_loss"], rel=1e-3)
    assert second["val_loss"] == pytest.approx(first["val_loss"], rel=1e-2)


def test_more_devices_than_clips_in_a_batch_are_refused(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    run = Run(inputs, tmp_path / "run")
    assert run.start(replicas=5).wait(120) == 2
    text = run.log.read_text()
    assert "batch_size: 4 makes batches of 3" in text
    assert "leaves some of the 5 replicas without any" in text
