"""A pipeline that searches first: what is found is what trains, and a stop costs nothing."""

import json
import signal
from pathlib import Path

import pytest
from trainyard_process import SMALL, assignments, record, run, start, wait_for

from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.study import Study
from pipelines.demo import write_clips

SEARCH = {
    "n_trials": 3,
    "sweep_epochs": 1,
    "search_space": json.dumps({"learning_rate": [1e-5, 1e-2], "optimizer": ["adamw", "sgd"]}),
}


@pytest.mark.slow
def test_a_run_stopped_in_its_search_goes_on_and_trains_with_what_was_found(
    tmp_path: Path,
) -> None:
    clips = write_clips(tmp_path / "clips", clips_per_class=8)
    words = [f"source={clips}", *assignments(SMALL | SEARCH), "more_workers=[1]"]
    call = ["run", "action_recognition", *words, "--output", "out"]
    process = start(tmp_path, *call)
    said = tmp_path / "output.txt"
    assert wait_for(lambda: "trial 0: " in said.read_text(), process, 120)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    done = run(tmp_path, *call, "--resume")
    assert done.returncode == 0, done.stdout + done.stderr

    folder = tmp_path / "out"
    study = Study.load(folder / "outputs" / "hpo_sweep" / "study")
    assert [trial.state for trial in study.trials if trial.state != "failed"] == ["complete"] * 3
    assert {trial.worker for trial in study.trials} == {0}, "on one machine one worker searches"
    assert study.best_trial is not None
    trained = ModelBundle.load(folder / "outputs" / "train_video" / "model").training
    assert study.best_trial.settings.items() <= trained.items()
    assert trained["epochs"] == SMALL["epochs"]
    assert f"search:           {study.outcome}" in done.stderr
    assert "settings of trial" in done.stderr
    assert record(folder)["steps"]["hpo_sweep"]["status"] == "finished"

    # The same settings, given by hand, are the same work.
    best = folder / "outputs" / "hpo_sweep" / "study" / "best.json"
    again = run(
        tmp_path, "run", "action_recognition", "-f", best, f"source={clips}", *assignments(SMALL),
        *(f"{name}={value}" for name, value in study.best_trial.settings.items()),
        "--output", "again",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert record(tmp_path / "again")["steps"]["train_video"]["status"] == "reused"
