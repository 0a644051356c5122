"""`python -m components.train_video` stopped and killed at moments of the clock's choosing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from components.core.artifacts.frames import write_frames
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split

CLASSES = ["bright", "dark"]
SETTINGS = {
    "clip-frames": "8",
    "input-size": "24",
    "width": "0.125",
    "epochs": "6",
    "batch-size": "4",
    "accumulate": "2",
    "ema": "0.9",
    "flip": "true",
    "keep-every": "2",
    "device": "cpu",
    "checkpoint-minutes": "0.002",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    clips, parts = [], {}
    for number in range(64):
        label = CLASSES[number % 2]
        low = 80 if label == "bright" else 40
        frames = rng.integers(low, low + 100, (12, 28, 28, 3), np.uint8)
        clips.append((f"{label}/{number}.mp4", [label], "", frames, np.arange(12) / 10))
        parts[clips[-1][0]] = "val" if number % 4 > 1 else "train"
    write_frames(folder / "frames", clips, CLASSES, parent="a" * 64, crop_margin=4)
    (folder / "split").mkdir()
    Split.create("a" * 64, parts, {}).save(folder / "split")
    return folder


def command(data: Path, folder: Path) -> list[str]:
    options = [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
    return [
        *(sys.executable, "-m", "components.train_video"),
        *("--frames", str(data / "frames"), "--split", str(data / "split")),
        *("--model", str(folder / "model"), "--state-dir", str(folder / "state")),
        *options,
    ]


def start(data: Path, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(data, folder), env=environment, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> str:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return errors


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(start(data, folder))
    return folder / "model"


def lines_until(process: subprocess.Popen[str], text: str) -> Iterator[str]:
    assert process.stderr is not None
    for line in process.stderr:
        yield line
        if text in line:
            return
    raise AssertionError(f"it ended before it said {text!r}")


def equal(first: Path, second: Path) -> bool:
    weights = sorted(path.relative_to(first) for path in first.rglob("*.safetensors"))
    assert weights == sorted(path.relative_to(second) for path in second.rglob("*.safetensors"))
    assert len(weights) == 5  # best, last, three of a series
    curves = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in ModelBundle.load(where).curves]
        for where in (first, second)
    ]
    return curves[0] == curves[1] and all(
        (first / path).read_bytes() == (second / path).read_bytes() for path in weights
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_interrupted_at_several_moments(
    data: Path, undisturbed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    codes = []
    for moment, delay in (("clips to train", 0.3), ("[2]", 0.0), ("[4]", 0.1), ("exporting", 0.5)):
        process = start(data, tmp_path)
        for _ in lines_until(process, moment):
            pass
        time.sleep(delay)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        codes.append(process.returncode)
        assert not (tmp_path / "model").exists()
        if number == signal.SIGTERM:
            assert "Traceback" not in errors
            assert "run the same command again" in errors
    assert set(codes) == {-9 if number == signal.SIGKILL else 143}
    errors = finish(start(data, tmp_path))
    assert "[1]" not in errors  # training had been finished before the export was interrupted
    assert equal(tmp_path / "model", undisturbed)
