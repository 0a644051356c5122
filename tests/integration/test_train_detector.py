"""`python -m components.train_detector` in processes: stopped, killed, several, and in a sweep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from shapes_dataset import shapes_dataset

from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.study import Study
from components.core.settings import build
from components.hpo_sweep.stage import STAGE as SWEEP
from components.hpo_sweep.stage import SweepSettings

VARIANTS = ("fcos:mobilenet_v3_small", "faster_rcnn:mobilenet_v3_small")

SETTINGS = {
    "variants": ", ".join(VARIANTS),
    "channels": "32",
    "min-size": "0",
    "epochs": "2",
    "batch-size": "3",
    "accumulate": "2",
    "learning-rate": "0.001",
    "ema": "0.9",
    "crop": "true",
    "scale-jitter": "0.2",
    "max-boxes": "20",
    "device": "cpu",
    "checkpoint-minutes": "0.00001",
}

FOLDERS = ("fcos_mobilenet_v3_small", "faster_rcnn_mobilenet_v3_small")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    shapes_dataset(folder)
    return folder


def start(data: Path, folder: Path, **changes: str) -> subprocess.Popen[str]:
    given = {
        "dataset": str(data / "dataset"),
        "split": str(data / "split"),
        "model": str(folder / "model"),
        "state-dir": str(folder / "state"),
        **SETTINGS,
        **changes,
    }
    options = [word for name, value in given.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "components.train_detector", *options]
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


def weights(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Of the best epoch of each variant, and of its last."""
    model = folder / "model" / "variants"
    places = [model / name / part for name in FOLDERS for part in ("", "last")]
    return {str(p.relative_to(model)): load_file(p / "weights.safetensors") for p in places}


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(start(data, folder))
    return folder


def test_killed_and_stopped_trainings_end_with_the_same_weights(
    data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    process = start(data, tmp_path)
    list(lines_until(process, "[1] train_loss"))  # in the second epoch of the first variant
    process.kill()
    finish(process, -signal.SIGKILL)
    process = start(data, tmp_path)
    list(lines_until(process, "[3] train_loss"))  # in that of the second variant
    process.terminate()
    said = finish(process, 143)
    assert "stopped by" in said
    said = finish(start(data, tmp_path))
    assert "[2] train_loss" not in said  # nor the first variant
    one, two = weights(undisturbed), weights(tmp_path)
    assert one.keys() == two.keys()
    for place, values in one.items():
        for name, value in values.items():
            assert torch.equal(value, two[place][name]), (place, name)
    first, second = (ModelBundle.load(f / "model").curves for f in (undisturbed, tmp_path))
    assert [{**row, "seconds": 0} for row in first] == [{**row, "seconds": 0} for row in second]


def test_two_processes_train_as_one(data: Path, tmp_path: Path) -> None:
    # RetinaNet's loss is the mean over the images and draws nothing at random; images of one size
    # are padded alike, whichever others are in their batch
    same_size = {"crop": "false", "scale-jitter": "0"}
    changes = {"variants": "retinanet:mobilenet_v3_small", "optimizer": "sgd", **same_size}
    folders = [tmp_path / "one", tmp_path / "two"]
    for number, folder in enumerate(folders, 1):
        finish(start(data, folder, processes=str(number), **changes))
    one, two = (ModelBundle.load(folder / "model") for folder in folders)
    assert len(one.curves) == len(two.curves) == 2
    for row, other in zip(one.curves, two.curves, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)
        assert row["val_loss"] == pytest.approx(other["val_loss"], rel=1e-3)
        assert row["val_map"] == pytest.approx(other["val_map"], abs=1e-3)
    first, second = (load_file(f / "model" / "weights.safetensors") for f in folders)
    worst = max(float((first[name] - second[name]).abs().max()) for name in first)
    assert worst < 1e-4


def test_a_sweep_searches_settings_of_one_variant(data: Path, tmp_path: Path) -> None:
    given = {key.replace("-", "_"): value for key, value in SETTINGS.items()}
    settings = build(
        SweepSettings,
        {
            "trainer": "train_detector",
            "settings": "\n".join(f"{key}={value}" for key, value in given.items()),
            "trial_settings": f"variants={VARIANTS[0]}; accumulate=1",
            "search_space": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
            "n_trials": 2,
            "sweep_epochs": 1,
        },
    )
    inputs = {"data": data / "dataset", "split": data / "split"}
    SWEEP.execute(settings, inputs, {"study": tmp_path / "study"}, tmp_path / "state")
    study = Study.load(tmp_path / "study")
    assert study.monitor == "val_map"
    assert [trial.state for trial in study.trials] == ["complete", "complete"]
    assert study.best_trial is not None
    for trial in study.trials:
        assert list(trial.intermediate) == [1]
        assert trial.value == trial.metrics["val_map"]
    models = list((tmp_path / "state").rglob("trials/*/model/model.json"))
    assert len(models) == 2
    for path in models:
        bundle = ModelBundle.load(path.parent)
        assert bundle.training["variants"] == VARIANTS[0]
        assert bundle.training["accumulate"] == 1
