"""`python -m components.train_video` in several processes: stopped, killed, broken, continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed_stage import SETTINGS, difference, make_data

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import SettingsError
from components.core.events import Reporter
from components.train_video.stage import STAGE, TrainSettings


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


def start(data: Path, folder: Path, processes: int, **changes: str) -> subprocess.Popen[str]:
    given = {
        "frames": str(data / "frames"),
        "split": str(data / "split"),
        "model": str(folder / "model"),
        "state-dir": str(folder / "state"),
        "pretrained": str(data / "first.safetensors"),
        "processes": str(processes),
        **SETTINGS,
        **changes,
    }
    options = [word for name, value in given.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "components.train_video", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    return errors


def lines_until(process: subprocess.Popen[str], text: str) -> Iterator[str]:
    assert process.stderr is not None
    for line in process.stderr:
        yield line
        if text in line:
            return
    raise AssertionError(f"it ended before it said {text!r}")


def running(folder: Path) -> list[int]:
    """Processes that were given a path in `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def workers(folder: Path) -> list[int]:
    """The training processes, in order of their start."""
    name = b"components.train_video.worker"
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in running(folder)}
    return sorted(pid for pid, line in lines.items() if name in line and b"torchrun" not in line)


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    errors = finish(start(data, folder, 2))
    assert "training in 2 processes" in errors
    assert errors.count("train_video: [5] train_loss") == 1
    assert "warning" not in errors
    return folder / "model"


@pytest.mark.slow
def test_one_process_gives_the_same(data: Path, undisturbed: Path, tmp_path: Path) -> None:
    finish(start(data, tmp_path, 1))
    assert difference(tmp_path / "model", undisturbed) < 1e-6
    losses = [row["train_loss"] for row in ModelBundle.load(undisturbed).curves]
    assert losses[-1] < losses[0]


# From nothing: batch statistics of the whole network are trained, and half of its features dropped.
# Small steps: five values per channel make single precision's rounding grow from step to step.
@pytest.mark.slow
def test_one_process_gives_the_same_with_batch_statistics_and_dropout(
    data: Path, tmp_path: Path
) -> None:
    everything = {
        "freeze": "",
        "dropout": "0.5",
        "optimizer": "sgd",
        "learning-rate": "1e-6",
        "ema": "0",
    }
    for count in (1, 2):
        (tmp_path / str(count)).mkdir()
        finish(start(data, tmp_path / str(count), count, **everything))
    assert difference(tmp_path / "1" / "model", tmp_path / "2" / "model") < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_ends_with_130(data: Path, tmp_path: Path, processes: int) -> None:
    process = start(data, tmp_path, processes)
    for _ in lines_until(process, "[2]"):
        pass
    process.send_signal(signal.SIGINT)
    errors = finish(process, 130)
    assert "Traceback" not in errors
    assert "run the same command again" in errors
    assert not running(tmp_path)


@pytest.mark.slow
def test_stopped_by_sigterm_and_continued(data: Path, undisturbed: Path, tmp_path: Path) -> None:
    for moment, delay in (("training in 2", 1.5), ("[3]", 0.0)):
        process = start(data, tmp_path, 2)
        for _ in lines_until(process, moment):
            pass
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.02)
        process.send_signal(signal.SIGTERM)  # runners and process groups may each send one
        errors = finish(process, 143)
        assert "Traceback" not in errors
        assert "run the same command again" in errors
        assert not running(tmp_path)
        assert not (tmp_path / "model").exists()
    errors = finish(start(data, tmp_path, 2))
    assert "[3]" not in errors  # nothing is repeated
    assert difference(tmp_path / "model", undisturbed) == 0


@pytest.mark.slow
def test_killed_parent_takes_all_along_and_one_process_continues(
    data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    process = start(data, tmp_path, 2)
    for _ in lines_until(process, "[2]"):
        pass
    assert len(workers(tmp_path)) == 2
    process.kill()
    process.communicate(timeout=20)  # returns when nobody holds the pipe any more
    assert not running(tmp_path)
    errors = finish(start(data, tmp_path, 1))
    assert "[1]" not in errors  # the second may be told a moment before it is saved
    assert difference(tmp_path / "model", undisturbed) < 1e-6


@pytest.mark.slow
def test_a_killed_process_is_named_and_ends_the_others(data: Path, tmp_path: Path) -> None:
    process = start(data, tmp_path, 2)
    for _ in lines_until(process, "[1]"):
        pass
    os.kill(workers(tmp_path)[1], signal.SIGKILL)
    errors = finish(process, 1)
    assert "was ended by SIGKILL, for example because memory ran out" in errors
    assert "Traceback" not in errors
    assert not running(tmp_path)


@pytest.mark.slow
def test_an_error_in_one_process_is_the_stages_error(data: Path, tmp_path: Path) -> None:
    clips = FrameReader(data / "frames").index.clips
    (tmp_path / "frames").mkdir()
    for path in sorted((data / "frames").rglob("*")):
        target = tmp_path / "frames" / path.relative_to(data / "frames")
        if path.is_dir():
            target.mkdir()
        else:
            content = bytearray(path.read_bytes())
            if path.suffix == ".bin":  # the second clip's images are no longer images
                size = len(content) // len(clips)
                content[size : 2 * size] = bytes(size)
            target.write_bytes(content)
    errors = finish(start(data, tmp_path, 2, frames=str(tmp_path / "frames")), 3)
    assert "is damaged" in errors
    assert "Traceback" not in errors
    assert not running(tmp_path)


def test_numbers_of_processes_that_cannot_work_are_refused(data: Path, tmp_path: Path) -> None:
    settings = TrainSettings(clip_frames=8, width=0.125, batch_size=3, processes=8, device="cpu")
    inputs = {"frames": data / "frames", "split": data / "split"}
    with pytest.raises(SettingsError, match="batch_size: 3 makes batches of 3 of the 33 training"):
        STAGE.execute(
            settings, inputs, {"model": tmp_path / "model"}, tmp_path / "state", Reporter("test")
        )
