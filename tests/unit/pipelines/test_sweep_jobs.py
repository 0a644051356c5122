"""A search in a pipeline of Jobs: a Job per worker, and no GPU where nothing is searched."""

from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from components.core.errors import InputError
from components.core.settings import build
from components.hpo_sweep.stage import SweepSettings, check
from pipelines.cli import main

SPACE = "search_space={learning_rate: {low: 0.001, high: 0.1, log: true}}"


def rendered(*given: str) -> dict[str, dict[str, Any]]:
    """Task → its settings, its container, and what it waits for."""
    words = ["run", "action_recognition", "--backend", "prp", "--pvc", "work:/data", "--dry-run"]
    done = CliRunner().invoke(main, [*words, "--name", "first", "source=/data/clips", *given])
    assert done.exit_code == 0, done.output
    steps = {}
    for step in yaml.safe_load(done.stdout)["steps"]:
        config, job = step["documents"]
        [container] = job["spec"]["template"]["spec"]["containers"]
        settings = yaml.safe_load(config["data"]["params.yaml"])
        steps[step["task"]] = {**step, "settings": settings, "container": container}
    return steps


def gpus(step: dict[str, Any]) -> str:
    return str(step["container"]["resources"]["limits"].get("nvidia.com/gpu", "0"))


def test_each_worker_is_a_job_with_a_gpu_and_all_start_at_the_same_time() -> None:
    steps = rendered("n_trials=4", SPACE, "more_workers=[1, 2]")
    workers = [steps[f"hpo-sweep{suffix}"] for suffix in ("", "-2-1", "-2-2")]
    assert [step["settings"].pop("worker") for step in workers] == [0, 1, 2]
    assert [gpus(step) for step in workers] == ["1"] * 3
    first, *others = workers
    for other in others:
        assert other["settings"] == first["settings"], "one study"
        assert other["after"] == first["after"]
    environment = {e["name"]: e for e in first["container"]["env"]}
    reference = environment["TRAINYARD_OPTUNA_STORAGE"]["valueFrom"]["secretKeyRef"]
    assert reference["name"] == "trainyard-postgres"
    assert "hpo-sweep" in steps["train-video"]["after"]
    words = steps["train-video"]["container"]["args"]
    assert words[words.index("--study") + 1] == "/data/runs/first/hpo-sweep/study"


def test_without_a_search_the_step_takes_no_gpu() -> None:
    steps = rendered()
    assert "hpo-sweep-2-1" not in steps
    assert gpus(steps["hpo-sweep"]) == "0"
    assert steps["hpo-sweep"]["container"]["resources"]["requests"]["cpu"] == "1"
    assert gpus(steps["train-video"]) == "4"


def test_training_on_several_nodes_leaves_the_workers_of_a_search_alone() -> None:
    steps = rendered("n_trials=4", SPACE, "--nodes", "2", "--gpus", "2")
    assert gpus(steps["hpo-sweep"]) == "2"
    assert "NODES" not in str(steps["hpo-sweep"]["container"]["env"])


@pytest.mark.parametrize("place", [[], ["--backend", "prp", "--pvc", "work:/data"]])
def test_a_bad_space_is_refused_by_name_before_anything_is_rendered(place: list[str]) -> None:
    words = ["run", "action_recognition", "source=s3://clips", "--dry-run", "n_trials=3", *place]
    space = "search_space={learning_rate: {low: 0.1, high: 0.01}, learnin_rate: [1, 2], "
    space += "dropout: {low: 0, high: 0.5, log: true}}"
    done = CliRunner().invoke(main, [*words, space])
    assert done.exit_code == 2
    for text in (
        "search_space.learning_rate: low 0.1 is above high 0.01",
        "search_space.learnin_rate: the trainer has no such setting; did you mean",
        "search_space.dropout: low 0 has no logarithm",
    ):
        assert done.output.count(text) == 1


@pytest.mark.parametrize("variable", ["", "TRAINYARD_STATE_DIR", "TRAINYARD_OPTUNA_STORAGE"])
def test_a_worker_in_a_pod_needs_something_that_it_shares_with_the_others(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRAINYARD_STATE_DIR", "TRAINYARD_OPTUNA_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    if variable:
        monkeypatch.setenv(variable, "/data/state")
    assert check(build(SweepSettings, {})) == [], "alone it shares with nobody"
    found = check(build(SweepSettings, {"worker": 2}))
    if variable:
        assert found == []
        return
    [problem] = found
    assert isinstance(problem, InputError)
    assert "worker: 2 shares no study with the others; mount a volume (--pvc" in str(problem)
