"""What starts a run from inside a Job: once per Job, whatever happens to its pods."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubeflow_runs import account, step
from kubeflow_server import running_kubeflow
from kubeflow_state import Fault, KubeflowServer

from pipelines.backends import _start_run
from pipelines.compile import compiled

ORDER: dict[str, Any] = {"pipeline": "p", "parameters": {"source": "/clips", "epochs": 3}}
RUNS = "/apis/v2beta1/runs"


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeflowServer]:
    """A server with two versions of a pipeline, in the environment of a Job's pod."""
    monkeypatch.setenv("TRAINYARD_JOB", "night")
    monkeypatch.setenv("TRAINYARD_JOB_UID", "u-1")
    monkeypatch.setenv("TRAINYARD_NAMESPACE", "vision")
    for name in ("TOKEN", "TOKEN_FILE", "CA", "ROOT"):
        monkeypatch.delenv(f"TRAINYARD_KUBEFLOW_{name}", raising=False)
    spec = compiled("action_recognition").documents[0]
    with running_kubeflow() as server:
        monkeypatch.setenv("TRAINYARD_KUBEFLOW_URL", server.url)
        server.pipelines["1"] = {"pipeline_id": "1", "name": "p"}
        for number, version in enumerate(("old", "new")):
            server.versions[version] = {
                "pipeline_id": "1",
                "pipeline_version_id": version,
                "name": f"p-{version}",
                "pipeline_spec": spec,
                "created_at": f"2027-01-0{number + 1}T00:00:00Z",
            }
        yield server


def start(tmp_path: Path, *words: str, **order: Any) -> int:
    path = tmp_path / "request.json"
    path.write_text(json.dumps({**ORDER, **order}))
    return _start_run.main([str(path), *words])


def test_a_pod_that_takes_anothers_place_finds_its_run(
    kubeflow: KubeflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start(tmp_path) == 0
    assert start(tmp_path) == 0
    [asked] = kubeflow.posted(RUNS)
    assert asked.body["display_name"] == "night"
    assert asked.body["pipeline_version_reference"] == {"pipeline_id": "1"}
    assert asked.body["runtime_config"]["parameters"] == ORDER["parameters"]
    monkeypatch.setenv("TRAINYARD_JOB_UID", "u-2")  # the Job was made anew
    assert start(tmp_path) == 0
    assert len(kubeflow.runs) == 2


def test_a_lost_answer_starts_no_second_run(kubeflow: KubeflowServer, tmp_path: Path) -> None:
    kubeflow.faults = [Fault(RUNS, method="POST", lose_answer=True)]
    assert start(tmp_path) == 0
    assert len(kubeflow.runs) == 1


def test_a_version_is_taken_by_its_name(kubeflow: KubeflowServer, tmp_path: Path) -> None:
    assert start(tmp_path, version="p-old") == 0
    [run] = kubeflow.runs.values()
    assert run["pipeline_version_reference"]["pipeline_version_id"] == "old"


def test_the_namespace_is_that_of_the_pod_where_kubeflow_asks_for_one(
    kubeflow: KubeflowServer, tmp_path: Path
) -> None:
    kubeflow.multi_user = True
    kubeflow.pipelines["1"]["namespace"] = "vision"
    assert start(tmp_path) == 0
    [experiment] = kubeflow.experiments.values()
    assert experiment["namespace"] == "vision"


@pytest.mark.parametrize(("state", "code"), [("SUCCEEDED", 0), ("FAILED", 1), ("CANCELED", 1)])
def test_it_ends_as_its_run_does(
    kubeflow: KubeflowServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    state: str,
    code: int,
) -> None:
    kubeflow.story = [account("r", state, step("train-video", state))]
    assert start(tmp_path, "--wait") == code
    [run] = kubeflow.runs
    assert f"{kubeflow.url}/#/runs/details/{run}" in capsys.readouterr().out.splitlines()[-1]


def test_only_the_run_of_this_job_is_ended(
    kubeflow: KubeflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tmp_path)
    monkeypatch.setenv("TRAINYARD_JOB_UID", "u-2")
    assert start(tmp_path, "--cancel") == 0
    assert [run["state"] for run in kubeflow.runs.values()] == ["PENDING"]
    monkeypatch.setenv("TRAINYARD_JOB_UID", "u-1")
    assert start(tmp_path, "--cancel") == 0
    assert [run["state"] for run in kubeflow.runs.values()] == ["CANCELED"]


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ({"pipeline": "absent"}, "has no pipeline absent"),
        ({"version": "p-gone"}, "pipeline p in the version p-gone"),
    ],
)
def test_what_kubeflow_does_not_have_is_told(
    kubeflow: KubeflowServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    order: dict[str, Any],
    text: str,
) -> None:
    monkeypatch.setattr(_start_run, "SYNC_SECONDS", 0.0)
    assert start(tmp_path, **order) == 3
    assert text in capsys.readouterr().err


def test_refusals_are_exit_codes(
    kubeflow: KubeflowServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(tmp_path, parameters={"source": "/clips", "epochs": "3"}) == 2
    kubeflow.token = "wanted"
    assert start(tmp_path) == 4
    assert "wants a token" in capsys.readouterr().err
