"""`python -m components.train_renderer` in processes: killed, stopped, and several as one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rendered_scene import scene, synced
from safetensors.torch import load_file
from trained_renderers import TINY

from components.core.artifacts.model_bundle import ModelBundle

GIVEN = {
    **TINY,
    "epochs": 3,
    "accumulate": 2,
    "ema": 0.9,
    "exposure": 0.2,
    "aux_dropout": 0.3,
    "aux_shuffle": True,
    "patience": 0,
    "cooldown": 0,
    "write_output_nth_epoch": 1,
    "checkpoint_minutes": 0.00001,
}


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    return synced(scene(folder / "scene", frames=10), folder / "synced")


def start(frames: Path, folder: Path, **changes: object) -> subprocess.Popen[str]:
    places = {"frames": frames, "state_dir": folder / "state"}
    places |= {name: folder / name for name in ("model", "results")}
    given = {**places, **GIVEN, **changes}
    options = [w for k, v in given.items() for w in (f"--{k.replace('_', '-')}", str(v))]
    command = [sys.executable, "-m", "components.train_renderer", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    return errors


def lines_until(process: subprocess.Popen[str], text: str) -> Iterator[str]:
    assert process.stderr is not None
    for line in process.stderr:
        yield line
        if text in line:
            return
    raise AssertionError(f"it ended before it said {text!r}")


@pytest.mark.slow
def test_a_killed_and_stopped_training_ends_as_an_undisturbed_one(
    frames: Path, tmp_path: Path
) -> None:
    undisturbed, disturbed = tmp_path / "one", tmp_path / "two"
    finish(start(frames, undisturbed))
    process = start(frames, disturbed)
    list(lines_until(process, "[1] train_loss"))
    process.kill()
    finish(process, -signal.SIGKILL)
    process = start(frames, disturbed)
    list(lines_until(process, "[2] train_loss"))
    process.terminate()
    assert "stopped by" in finish(process, 143)
    assert not (disturbed / "results").exists()
    said = finish(start(frames, disturbed))
    assert "[2] train_loss" not in said
    for part in ("", "last"):
        first, second = (
            load_file(place / "model" / part / "weights.safetensors")
            for place in (undisturbed, disturbed)
        )
        assert all(torch.equal(value, second[name]) for name, value in first.items())
    rows = [ModelBundle.load(place / "model").curves for place in (undisturbed, disturbed)]
    assert [{**r, "seconds": 0} for r in rows[0]] == [{**r, "seconds": 0} for r in rows[1]]
    pictures = [
        {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("Result*.png")}
        for place in (folder / "results" / "out_results" for folder in (undisturbed, disturbed))
    ]
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) == 3


@pytest.mark.slow
def test_two_processes_train_as_one(frames: Path, tmp_path: Path) -> None:
    # how much of a photograph is looked up depends on who else is in the batch, and gated blocks
    # normalise over all of it
    changes = {"conv_block_extraction_gt": "basic", "epochs": 2, "optimizer": "sgd", "ema": 0}
    for number in (1, 2):
        finish(start(frames, tmp_path / str(number), processes=number, **changes))
    one, two = (ModelBundle.load(tmp_path / number / "model") for number in "12")
    assert len(one.curves) == len(two.curves) == 2
    for row, other in zip(one.curves, two.curves, strict=True):
        for name in ("train_loss", "val_loss", "val_psnr", "val_ssim"):
            assert row[name] == pytest.approx(other[name], rel=1e-3), name
    first, second = (load_file(tmp_path / n / "model" / "weights.safetensors") for n in "12")
    worst = max(float((first[name] - second[name]).abs().max()) for name in first)
    assert worst < 1e-4


@pytest.mark.slow
def test_the_old_command_line_makes_the_old_folders(frames: Path, tmp_path: Path) -> None:
    words = f"""hall --frames {frames} --state-dir {tmp_path}/state --device cpu
        -input_width=64 -input_height=64 -epochs=1 -write_output_nth_epoch 1
        --in_gt_frame_amount 2 --filter_sizes 24 24 24 24 24 --pooling_mode=avg"""
    command = [sys.executable, "-m", "components.train_renderer", *words.split()]
    place = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": place}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("20*_hall")
    assert {p.name for p in folder.iterdir()} >= {"out_results", "out_checkpoints", "out_runs"}
    assert (folder / "out_results" / "epoch-0001" / "Result0.png").is_file()
    traces = {path.name for path in (folder / "out_checkpoints").glob("*.pt")}
    assert traces == {f"{folder.name}_best.pt", f"{folder.name}_last.pt"}
    bundle = ModelBundle.load(tmp_path / f"{folder.name}_model")
    assert bundle.name == f"{folder.name}_best"
