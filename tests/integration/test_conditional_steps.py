"""Steps that run only if an earlier one said so, driven on a real Kubernetes API."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from clip_datasets import write_dataset
from clips import make_clips
from kubernetes_cluster import Cluster, wait_until
from trainyard_process import REPOSITORY
from webhook_server import SECRET_PATH, Webhook, running_webhook

from components.check_changes.stage import STAGE as CHECK
from components.check_changes.stage import CheckSettings
from components.core.errors import ServiceError
from components.core.images import image
from components.split_clips.stage import STAGE as SPLIT
from components.split_clips.stage import SplitSettings
from pipelines.backends import _cluster
from pipelines.backends._job_submit import submit
from pipelines.backends._prp_driver import ANSWER_ANNOTATION, Driver
from pipelines.job_pipelines import DRIVER_PLACEMENT, JobPipeline, StepJob, webhook_secret
from pipelines.jobs import StageJob, stage_documents
from pipelines.placement import Placement, Volume
from pipelines.plan_tasks import Condition

pytestmark = pytest.mark.slow

PLACEMENT = Placement(cpu="1", memory="1Gi", volumes=(Volume("clips", "/data"),), retries=0)


@dataclass
class Space:
    """A namespace with the driver's rights, a volume with clips, and a webhook's Secret."""

    cluster: Cluster
    name: str
    folder: Path
    """What pods see as /data."""
    fingerprint: str
    """Of the clips."""
    webhook: Webhook

    @property
    def connected(self) -> _cluster.Cluster:
        return _cluster.Cluster.connect(self.name)

    def publish(self, clips: str) -> None:
        """A published version that was trained on the clips with this fingerprint."""
        version = self.folder / "models" / "fall" / "4"
        version.mkdir(parents=True)
        (version / "model.onnx").write_bytes(b"graph")
        card = {"fingerprint": "of the bundle", "data": {"clips": clips}}
        (version / "model_card.json").write_text(json.dumps(card))
        subprocess.run(["chmod", "-R", "a+rwX", self.folder], check=True)

    def drive(self, run: JobPipeline) -> str:
        """Submits a run and waits for the driver's end; returns the driver's log."""
        submit(self.connected, run.driver_documents(), print)
        wait_until(lambda: ended(self.connected.get("Job", run.run)), "the run", 60)
        [pod] = self.connected.pods(run.run)
        path = f"/api/v1/namespaces/{self.name}/pods/{pod['metadata']['name']}/log"
        return self.cluster.api.get_text(path)


def ended(job: Any) -> bool:
    return any(c["status"] == "True" for c in job["status"].get("conditions", []))


def pipeline(space: Space, run: str) -> JobPipeline:
    """check_changes, and split_clips if that says yes."""

    def step(stage: Any, settings: Any, given: str, output: str) -> list[Any]:
        name = f"{run}-{stage.name.replace('_', '-')}"
        job = StageJob(
            stage,
            image("data"),
            settings,
            {given: "/data/clips"},
            {output: f"/data/{run}/{output}"},
            PLACEMENT,
            "/data/state",
            name,
            run,
        )
        return stage_documents(job)

    settings = CheckSettings(only_if_changed=True, repository="/data/models", model_name="fall")
    check = StepJob("check-changes", step(CHECK, settings, "dataset", "decision"), ())
    condition = Condition("check-changes", "Output", "yes")
    documents = step(SPLIT, SplitSettings(val_size=2, test_size=2), "clips", "split")
    split = StepJob("split-clips", documents, ("check-changes",), (condition,))
    driver = replace(DRIVER_PLACEMENT, secrets=webhook_secret("trainyard-webhook"))
    return JobPipeline(run, space.name, (check, split), image("data"), driver, pipeline="p")


@pytest.fixture
def space(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Space]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    folder = cluster.claim_folder(namespace, "clips")
    names = [f"{name}/{n}.mp4" for name in ("fall", "walk") for n in range(6)]
    make_clips(tmp_path, *names)
    dataset = write_dataset(folder / "clips", {name: tmp_path / name for name in names})
    claim = {
        "metadata": {"name": "clips"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    core = f"/api/v1/namespaces/{namespace}"
    cluster.api("POST", f"{core}/persistentvolumeclaims", claim)
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    paths = {"ServiceAccount": f"{core}/serviceaccounts"}
    paths |= {"Role": f"{rights}/roles", "RoleBinding": f"{rights}/rolebindings"}
    text = (REPOSITORY / "prp" / "driver" / "rbac.yaml").read_text(encoding="utf-8")
    for document in yaml.safe_load_all(text):
        cluster.api("POST", paths[document["kind"]], document)
    with running_webhook() as webhook:
        url = base64.b64encode(webhook.url.encode()).decode()
        secret = {"metadata": {"name": "trainyard-webhook"}, "data": {"TRAINYARD_WEBHOOK_URL": url}}
        cluster.api("POST", f"{core}/secrets", secret)
        yield Space(cluster, namespace, folder, dataset.fingerprint, webhook)


def test_steps_are_skipped_where_the_answer_is_no(
    space: Space, capsys: pytest.CaptureFixture[str]
) -> None:
    space.publish(space.fingerprint)
    run = pipeline(space, "first")
    said = space.drive(run)
    assert "first-check-changes: nothing changed since version 4 of fall" in said
    assert "split-clips: skipped, because check-changes said no" in said
    assert "first: ended early, 1 of 2 steps are done and 1 skipped" in said
    assert space.connected.get("Job", "first-split-clips") is None
    [told] = space.webhook.received
    assert space.webhook.paths == [SECRET_PATH]
    assert (told["pipeline"], told["run"], told["state"]) == ("p", "first", "succeeded")
    assert told["ended_early"]
    assert 0 < told["duration_seconds"] < 100
    assert "do-not-print-me" not in said + json.dumps(run.driver_documents())

    # Another driver asks nobody: the answer is kept at the Job, though the pod is gone.
    for pod in space.connected.pods("first-check-changes"):
        space.connected.delete("Pod", pod["metadata"]["name"])
    again = Driver(space.connected, "first", list(run.steps))
    again.drive()
    assert again.skipped == ["split-clips"]
    assert "found Job/first-check-changes" in capsys.readouterr().out

    annotations = {"metadata": {"annotations": {ANSWER_ANNOTATION: None}}}
    space.connected.patch("Job", "first-check-changes", annotations)
    with pytest.raises(ServiceError, match="kubectl delete job first-check-changes"):
        Driver(space.connected, "first", list(run.steps)).drive()


def test_steps_run_where_the_answer_is_yes_and_a_failure_is_told(space: Space) -> None:
    space.publish("of other clips")
    said = space.drive(pipeline(space, "second"))
    assert "the data is other than that of version 4 of fall" in said
    assert "[2/2] split-clips: created Job/second-split-clips" in said
    assert "second: all 2 steps are done" in said
    assert (space.folder / "second" / "split" / "index.json").is_file()
    assert not space.webhook.received.pop()["ended_early"]

    os.rename(space.folder / "clips" / "index.json", space.folder / "index.json")
    assert "check-changes failed with exit code 3" in space.drive(pipeline(space, "third"))
    [told] = space.webhook.received
    assert (told["state"], told["failed_step"]) == ("failed", "check-changes")
    assert told["error"].startswith("check-changes failed with exit code 3")
