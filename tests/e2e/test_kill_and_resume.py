"""Killing `trainyard run` anywhere and resuming it ends like an undisturbed run."""

import signal
import time
from functools import partial
from pathlib import Path
from subprocess import Popen

import numpy as np
import pytest
from trainyard_process import SMALL, assignments, gone, record, run, start, wait_for

from pipelines.demo import write_clips

STEPS = (
    "dataset_sync",
    "check_changes",
    "split_clips",
    "frame_extraction",
    "hpo_sweep",
    "train_video",
    "evaluate_clips",
    "triton_publish",
)
QUICK = ("check_changes", "split_clips", "hpo_sweep", "triton_publish")
"""Steps that are over before anybody could strike while they work."""
START, WORK = 0.0, 1.5
"""Seconds into a step at which it is killed: while it starts, and while it works."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("data") / "clips", clips_per_class=8)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = run(folder, "run", "action_recognition", *arguments(clips), "--output", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out"


def arguments(clips: Path) -> list[str]:
    return [f"source={clips}", *assignments(SMALL)]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_killed_in_every_step_it_ends_like_an_undisturbed_run(
    number: signal.Signals, tmp_path: Path, clips: Path, undisturbed: Path
) -> None:
    out = tmp_path / "out"
    call = ["run", "action_recognition", *arguments(clips), "--output", "out"]
    kills = 0
    finished: set[str] = set()
    for step in STEPS:
        for delay in (START,) if step in QUICK else (START, WORK):
            process = start(tmp_path, *call)
            reached = wait_for(partial(runs, process, out, step), process, 120)
            time.sleep(delay)
            process.send_signal(number)
            code = process.wait(timeout=60)
            call = ["run", "action_recognition", "--output", "out", "--resume"]
            assert gone(record(out)["run_id"], 40)
            if reached and code != 0:
                kills += 1
                assert code in (128 + number, -number)
            finished |= check_that_finished_steps_were_reused(out, finished)
    assert kills >= len(STEPS)
    done = run(tmp_path, *call)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_result(out, undisturbed)
    assert [p.name for p in (out / "model_repository").glob("*/[0-9]*")] == ["1"]


def runs(process: Popen[str], out: Path, step: str) -> bool:
    """Whether `process`, not an earlier attempt, has reached `step`."""
    try:
        owner = (out / "pid").read_text().strip()
    except FileNotFoundError:
        return False
    return owner == str(process.pid) and status(out, step) == "running"


def status(out: Path, step: str) -> str:
    return str(record(out).get("steps", {}).get(step, {}).get("status", ""))


def check_that_finished_steps_were_reused(out: Path, finished: set[str]) -> set[str]:
    """Steps that finished earlier must say `reused` since; returns all that are done now."""
    for step in finished:
        assert status(out, step) in ("reused", "running", "stopped", ""), step
    return {step for step in STEPS if status(out, step) in ("finished", "reused")}


def assert_same_result(out: Path, expected: Path) -> None:
    model = Path("outputs") / "train_video" / "model" / "weights.safetensors"
    assert (out / model).read_bytes() == (expected / model).read_bytes()
    evaluation = Path("outputs") / "evaluate_clips" / "evaluation"
    for name in ("predictions", "logits", "confusion"):
        array = np.load(out / evaluation / f"{name}.npy")
        np.testing.assert_array_equal(array, np.load(expected / evaluation / f"{name}.npy"))


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(tmp_path: Path, clips: Path) -> None:
    process = start(tmp_path, "run", "action_recognition", *arguments(clips), "--output", "out")
    out = tmp_path / "out"
    wait_for(partial(runs, process, out, "frame_extraction"), process, 60)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    text = (tmp_path / "output.txt").read_text()
    assert "stopped during frame_extraction" in text
    assert f"trainyard run action_recognition --resume --output {out}" in text
    assert gone(record(out)["run_id"], 5)
    assert record(out)["status"] == "stopped"
