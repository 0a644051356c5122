"""A compiled pipeline gives what its source gives, whether data passes whole or by its place."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from clips import make_clips
from trainyard_process import REPOSITORY, SMALL, assignments, record, run

from components.core.artifacts.base import LOCATION, resolve
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.study import Study
from pipelines.cli import main

TINY = {
    **SMALL,
    "frame_size": 16,
    "sample_frames": 8,
    "width": 0.0625,
    "epochs": 1,
    "baseline": False,
    "mistakes": 0,
    "flip": True,
    "flip_pairs": "fall=walk",
    "n_trials": 2,
    "try_defaults": False,
    "search_space": {"learning_rate": [0.001, 0.1], "optimizer": ["adamw", "sgd"]},
}
DATA = {
    "dataset-sync": "clips",
    "split-clips": "split",
    "frame-extraction": "frames",
    "hpo-sweep": "study",
    "train-video": "model",
    "evaluate-clips": "evaluation",
}
"""Task → its output that is a data set or a model."""
RESULTS = (
    ("model", "weights.safetensors"),
    ("evaluation", "metrics.json"),
    ("evaluation", "predictions.npy"),
    ("evaluation", "logits.npy"),
    ("evaluation", "confusion.npy"),
)


@pytest.fixture
def volume() -> Iterator[Path]:
    """A folder that stands for a volume: not below /tmp, which pods have for themselves."""
    path = Path(tempfile.mkdtemp(dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


def run_compiled(folder: Path, storage: str, volume: Path, values: dict[str, Any]) -> str:
    """Compiles, and runs the file in a process that sees nothing else; returns what it said."""
    words = ["compile", "action_recognition", "--output", str(folder / storage)]
    done = CliRunner().invoke(main, [*words, "--storage", storage, "--pvc", f"work:{volume}"])
    assert done.exit_code == 0, done.output
    script = REPOSITORY / "tests" / "compiled_run.py"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = subprocess.run(
        [sys.executable, str(script), done.stdout.strip(), storage, json.dumps(values)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def outputs(run_folder: Path) -> dict[str, Path]:
    """The outputs of the one run in a folder, by name, as the runner has them."""
    [root] = (run_folder / "artifacts").iterdir()
    named = {name: root / task / name for task, name in DATA.items()}
    return {**named, "report": root / "evaluate-clips" / "report"}


def shown(run_folder: Path) -> Any:
    """What the Kubeflow UI would show of the evaluation."""
    [root] = (run_folder / "artifacts").iterdir()
    said = json.loads((root / "evaluate-clips" / "executor_output.json").read_text())
    listed = {name: said["artifacts"][name]["artifacts"] for name in ("metrics", "confusion")}
    return {name: artifact["metadata"] for name, [artifact] in listed.items()}


@pytest.mark.slow
def test_source_and_compiled_file_give_the_same(tmp_path: Path, volume: Path) -> None:
    names = [f"{name}/{n}.mp4" for name in ("fall", "walk") for n in range(6)]
    make_clips(tmp_path / "clips", *names, frames=8)
    given = {"source": str(tmp_path / "clips"), **TINY}
    done = run(tmp_path, "run", "action_recognition", *assignments(given), "--output", "source")
    assert done.returncode == 0, done.stderr
    typed = record(tmp_path / "source")["parameters"]
    values = {name: typed[name] for name in given}

    text = run_compiled(tmp_path, "volume", volume, values)
    assert "already done" not in text  # nothing came from the run above
    text = run_compiled(tmp_path, "artifact", volume, values)
    assert text.count("already done") >= 4  # its work is kept on the same volume

    expected = outputs(tmp_path / "source")
    for storage in ("volume", "artifact"):
        made = outputs(tmp_path / storage)
        for name, file in RESULTS:
            one, other = resolve(made[name]) / file, resolve(expected[name]) / file
            assert one.read_bytes() == other.read_bytes(), (storage, file)
        assert shown(tmp_path / storage) == shown(tmp_path / "source")
        study = Study.load(resolve(made["study"]))
        assert study.fingerprint == Study.load(resolve(expected["study"])).fingerprint
        assert [trial.state for trial in study.trials] == ["complete", "complete"]
        trained = ModelBundle.load(resolve(made["model"])).training
        assert study.best_trial is not None
        assert study.best_trial.settings.items() <= trained.items()
        assert made["report"].read_text().startswith("<!DOCTYPE html>")
        for name in DATA.values():
            held = [path.name for path in made[name].iterdir()]
            assert (held == [LOCATION]) == (storage == "volume"), (storage, name)
            assert resolve(made[name]).is_relative_to(volume) == (storage == "volume")
