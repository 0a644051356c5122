"""Outputs of a run on Kubeflow, fetched from a real object store."""

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubeflow_runs import account, step
from kubeflow_server import running_kubeflow
from kubeflow_state import KubeflowServer
from servers import S3Server
from trainyard_process import run as trainyard

from components.core.errors import InputError, ServiceError, SettingsError
from pipelines.backends import ClusterOptions, Request
from pipelines.backends.kubeflow import BACKEND

VALUES: dict[str, Any] = {"source": "s3://clips/all"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeflowServer]:
    for name in ("TOKEN", "TOKEN_FILE", "CA"):
        monkeypatch.delenv(f"TRAINYARD_KUBEFLOW_{name}", raising=False)
    with running_kubeflow() as running:
        monkeypatch.setenv("TRAINYARD_KUBEFLOW_URL", running.url)
        cached = step("dataset-sync", "SUCCEEDED", cached=True)
        running.story = [
            account("r", "PENDING"),
            account("r", "SUCCEEDED", cached, step("evaluate-clips", "SUCCEEDED")),
        ]
        yield running


def request(output: Path | None = None) -> Request:
    return Request("action_recognition", VALUES, output, cluster=ClusterOptions({}, ""))


def written(minio: S3Server, bucket: str, run: str, files: dict[str, str]) -> None:
    for name, content in files.items():
        data = content.encode()
        key = f"v2/artifacts/action-recognition/{run}/{name}"
        minio.client().put_object(bucket, key, io.BytesIO(data), len(data))


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_outputs_of_the_last_attempts_come_whole(
    server: KubeflowServer,
    minio: S3Server,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TRAINYARD_KUBEFLOW_ROOT", f"minio://{bucket}/v2/artifacts")
    run = BACKEND.submit(request())
    assert server.runs[run]["runtime_config"]["pipeline_root"] == f"minio://{bucket}/v2/artifacts"
    monkeypatch.delenv("TRAINYARD_KUBEFLOW_ROOT")  # the run itself knows
    written(minio, bucket, run, {"evaluate-clips/first/report": "old", "other/x": "no artifact"})
    time.sleep(1.1)  # the store counts in seconds
    files = {
        "evaluate-clips/second/report": "<html>",
        "evaluate-clips/second/evaluation/metrics.json": "{}",
        "evaluate-clips/second/executor-logs": "…",
        "train-video/a1/model/weights/w.bin": "w",
    }
    with pytest.raises(InputError, match="is pending; its outputs are whole when it is over"):
        BACKEND.fetch(run, tmp_path / "results")
    written(minio, bucket, run, files)
    BACKEND.fetch(run, tmp_path / "results")
    assert tree(tmp_path / "results") == {
        "evaluate-clips/report": "<html>",
        "evaluate-clips/evaluation/metrics.json": "{}",
        "train-video/model/weights/w.bin": "w",
    }
    said = capsys.readouterr().err
    assert f"report:  {tmp_path / 'results/evaluate-clips/report'}" in said
    assert "as an earlier run has written theirs: dataset-sync\n" in said
    with pytest.raises(InputError, match="already exists and holds something else"):
        BACKEND.fetch(run, tmp_path / "results")
    done = trainyard(tmp_path, "outputs", run, "--output", "again")
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "again") == tree(tmp_path / "results")


def test_a_run_with_output_fetches_when_it_is_over(
    server: KubeflowServer,
    minio: S3Server,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRAINYARD_KUBEFLOW_ROOT", f"s3://{bucket}/v2/artifacts?region=x")
    with pytest.raises(InputError, match=r"there is nothing in .*TRAINYARD_KUBEFLOW_ROOT"):
        BACKEND.run(request(tmp_path / "results"))
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_cannot_be_had_are_told_before_or_by_their_place(
    server: KubeflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"TRAINYARD_S3_{name}", raising=False)
    with pytest.raises(SettingsError, match=r"--output: .*TRAINYARD_S3_ENDPOINT"):
        BACKEND.run(request(tmp_path / "results"))
    with pytest.raises(SettingsError, match="--output: with --no-follow"):
        BACKEND.run(replace(request(tmp_path / "results"), follow=False))
    assert server.asked == []
    monkeypatch.setenv("TRAINYARD_KUBEFLOW_ROOT", "gs://elsewhere/root")
    server.story.pop(0)
    run = BACKEND.submit(request())
    with pytest.raises(ServiceError, match=rf"fetch them from gs://elsewhere/root/…/{run}"):
        BACKEND.fetch(run, tmp_path / "results")
