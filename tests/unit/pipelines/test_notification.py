"""The task that tells a webhook how a run on Kubeflow ended: compiled, and run here."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from clips import make_clips
from kfp import compiler, components, local
from webhook_server import SECRET_PATH, running_webhook

from components.core.artifacts import base
from components.core.errors import ProblemsError, SettingsError
from components.dataset_sync.stage import STAGE, SyncSettings
from pipelines import building, catalog, plan
from pipelines.backends import Request
from pipelines.backends.local import BACKEND
from pipelines.building import BuildOptions
from pipelines.placement import PLACEMENTS


@pytest.fixture(scope="module")
def built() -> Any:
    placements = {stage: replace(asked, retries=0) for stage, asked in PLACEMENTS.items()}
    options = BuildOptions(placements=placements, notify="hook")
    return building.build("action_recognition", options)


@pytest.fixture(scope="module")
def compiled(built: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiler.Compiler().compile(built, str(path))
    return path


def test_it_is_the_last_task_whatever_happens_and_gets_only_the_secret(compiled: Path) -> None:
    spec, platform = yaml.safe_load_all(compiled.read_text(encoding="utf-8"))
    tasks = spec["root"]["dag"]["tasks"]
    [name] = [task for task in tasks if task != "notify"]
    assert tasks["notify"]["dependentTasks"] == [name]
    assert tasks["notify"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    inputs = tasks["notify"]["inputs"]["parameters"]
    assert set(inputs) == {"pipeline", "run", "run_id", "status"}, "no parameter of the run"
    secrets = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-notify"]
    assert [
        (s["secretNameParameter"]["runtimeValue"]["constant"], s["optional"], s["keyToEnv"])
        for s in secrets["secretAsEnv"]
    ] == [
        ("hook", True, [{"envVar": name, "secretKey": name}])
        if name == "TRAINYARD_WEBHOOK_URL"
        else ("trainyard-kubeflow", True, [{"envVar": name, "secretKey": name}])
        for name in ("TRAINYARD_WEBHOOK_URL", "TRAINYARD_KUBEFLOW_URL")
    ]


def test_the_plan_is_the_same_with_and_without_it(built: Any) -> None:
    assert plan.read(built) == plan.read(catalog.load("action_recognition"))


@pytest.mark.parametrize("source", ["drawn", "compiled"])
def test_a_run_with_exit_task_condition_and_chosen_gpus_runs_here_too(
    source: str, built: Any, compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clips(tmp_path / "clips", "fall/1.mp4", "walk/1.mp4")
    settings = SyncSettings(source=str(tmp_path / "clips"))
    monkeypatch.setenv("TRAINYARD_STATE_DIR", str(tmp_path / "state"))
    STAGE.execute(settings, {}, {"clips": tmp_path / "data"})
    version = tmp_path / "models" / "fall" / "1"
    version.mkdir(parents=True)
    (version / "model.onnx").touch()
    card = {"data": {"clips": base.fingerprint(tmp_path / "data")}}
    (version / "model_card.json").write_text(json.dumps(card))
    monkeypatch.setenv("TRAINYARD_KUBEFLOW_URL", "https://kf.example.org/pipeline")
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"))
    pipeline = built if source == "drawn" else components.load_component_from_file(str(compiled))
    values = {"repository": str(tmp_path / "models"), "model_name": "fall"}
    with running_webhook() as webhook, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        monkeypatch.setenv("TRAINYARD_WEBHOOK_URL", webhook.url)
        pipeline(source=str(tmp_path / "clips"), only_if_changed=True, gpus="2", **values)
        with pytest.raises(RuntimeError):
            pipeline(source=str(tmp_path / "absent"))
    done, failed = webhook.received
    assert (done["pipeline"], done["state"]) == ("action_recognition", "succeeded")
    assert done["run"].startswith("action-recognition-")
    assert done["link"].startswith("https://kf.example.org/pipeline/#/runs/details/")
    assert failed["state"] == "failed"
    assert str(tmp_path) not in str(webhook.received)
    ran = {path.name for path in (tmp_path / "root").glob("*/*")}
    assert {"dataset-sync", "check-changes"} <= ran
    assert not ran & {"split-clips", "train-video"}
    assert webhook.paths == [SECRET_PATH] * 2


def test_a_wrong_address_is_told_before_a_run_with_its_other_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINYARD_WEBHOOK_URL", "hooks.example.org/s3cret")
    make_clips(tmp_path / "clips", "fall/1.mp4", "walk/1.mp4")
    request = Request("action_recognition", {"source": str(tmp_path / "clips")})
    request = replace(request, output=tmp_path / "run")
    with pytest.raises(SettingsError, match=r"1 problem in the environment:\n.*_URL is no"):
        BACKEND.render(request)
    with pytest.raises(ProblemsError, match=r"2 problems .*\n.*epochs.*\n.*_URL is no") as raised:
        BACKEND.run(replace(request, values={**request.values, "epochs": -1}))
    assert "s3cret" not in str(raised.value)
    assert not (tmp_path / "run").exists()
