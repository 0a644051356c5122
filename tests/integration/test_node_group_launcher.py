"""The launcher of node groups: TrainJobs of each release, indexed Jobs, whatever ends they take."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml
from kubernetes_cluster import Cluster, wait_until

from pipelines import node_groups
from pipelines.backends._cluster import Cluster as Client
from pipelines.placement import Placement, Toleration, Volume

pytestmark = pytest.mark.slow

CRD = Path(__file__).parents[1] / "kubernetes_crds" / "trainjobs.yaml"
KINDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PLACEMENT = Placement(
    nodes=2,
    gpus=1,
    gpu_products=("NVIDIA-A10",),
    tolerations=(Toleration("reserved", effect="NoSchedule"),),
    image_pull_secrets=("registry",),
    volumes=(Volume("work", "/data"),),
)


@contextmanager
def trainer(cluster: Cluster, field: str) -> Iterator[None]:
    """While it lasts, the cluster has the TrainJobs of the release with this field."""
    crd = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    [version] = crd["spec"]["versions"]
    fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    for other in set(node_groups.OVERRIDE_FIELDS) - {field}:
        del fields[other]
    cluster.api("POST", KINDS, crd)
    path = f"{KINDS}/{crd['metadata']['name']}"
    api = f"/openapi/v3/apis/{node_groups.TRAINER_API}"
    wait_until(lambda: field in cluster.api.get_text(api), "the API of Kubeflow Trainer")
    try:
        yield
    finally:
        cluster.api("DELETE", path)
        wait_until(lambda: cluster.api.find(path) is None, "its end")


@dataclass
class Launcher:
    """`_node_group` as the leader starts it, but outside a pod."""

    cluster: Cluster
    namespace: str
    folder: Path
    kubeconfig: Path

    def start(self, request: Mapping[str, str] = MappingProxyType({})) -> subprocess.Popen[str]:
        """Starts it for a stage whose state lies on the volume."""
        text = json.dumps(dict(request))
        (self.folder / "request.json").write_text(text, encoding="utf-8")
        placement = Placement(nodes=2, volumes=(Volume("work", str(self.folder.parent)),))
        variables = node_groups.node_group_environment("train_video", placement, "images/torch:1")
        command = [sys.executable, "-m", "pipelines.backends._node_group"]
        command += ["components.train_video.worker", str(self.folder), "1"]
        environment = {**os.environ, **variables, "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def train_jobs(self) -> list[Any]:
        path = f"/apis/{node_groups.TRAINER_API}/namespaces/{self.namespace}/trainjobs"
        return list(self.cluster.api("GET", path)["items"])

    def created(self, other_than: str = "") -> Any:
        """The TrainJob, once it is there."""
        found = wait_until(
            lambda: [j for j in self.train_jobs() if j["metadata"]["uid"] != other_than],
            "a TrainJob",
        )
        return found[0]

    def end(self, kind: str, reason: str) -> None:
        """Says what Kubeflow Trainer would say of the TrainJob."""
        name = self.created()["metadata"]["name"]
        path = f"/apis/{node_groups.TRAINER_API}/namespaces/{self.namespace}/trainjobs/{name}"
        condition = {"type": kind, "status": "True", "reason": reason, "message": "a node is lost"}
        self.cluster.api("PATCH", f"{path}/status", {"status": {"conditions": [condition]}})


@pytest.fixture
def launcher(cluster: Cluster, namespace: str, tmp_path: Path) -> Launcher:
    config = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
    config["contexts"][0]["context"]["namespace"] = namespace
    (tmp_path / "config").write_text(yaml.safe_dump(config), encoding="utf-8")
    (tmp_path / "processes").mkdir()
    return Launcher(cluster, namespace, tmp_path / "processes", tmp_path / "config")


@pytest.mark.parametrize("field", node_groups.OVERRIDE_FIELDS)
def test_each_release_takes_the_train_job(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch, field: node_groups.OverrideField
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(launcher.kubeconfig))
    with trainer(launcher.cluster, field):
        client = Client.connect()
        assert client.serves(node_groups.TRAINER_API, "TrainJob")
        served = client.spec_fields(node_groups.TRAINER_API, "TrainJob")
        assert set(node_groups.OVERRIDE_FIELDS) & served == {field}
        job = node_groups.group_job("train_video", PLACEMENT, "images/torch:1")
        _, complete = node_groups.started(job, "nodes-1", ["module", "/data/x"], 1, None)
        client.create(node_groups.train_job(complete, field))  # unknown fields are refused
        [stored] = launcher.train_jobs()
        assert stored["spec"][field] == node_groups.train_job(complete, field)["spec"][field]


def test_the_launcher_ends_as_its_train_job_does_and_leaves_none(launcher: Launcher) -> None:
    with trainer(launcher.cluster, "runtimePatches"):
        process = launcher.start()
        made = launcher.created()
        assert made["spec"]["trainer"]["args"][1] == str(launcher.folder)
        launcher.end("Failed", "JobsFailed")
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 1, said
        left = json.loads((launcher.folder / "error-group.json").read_text(encoding="utf-8"))
        name = made["metadata"]["name"]
        assert left["text"] == f"the pods of {name} failed: JobsFailed: a node is lost"
        assert not launcher.train_jobs()

        process = launcher.start()
        launcher.end("Complete", "JobsCompleted")
        assert process.wait(30) == 0
        assert not (launcher.folder / "error-group.json").exists()

        process = launcher.start()
        orphan = launcher.created()["metadata"]["uid"]
        process.kill()
        process.wait()
        process = launcher.start()
        launcher.created(other_than=orphan)
        assert len(launcher.train_jobs()) == 1, "what a killed leader left is gone"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        assert not launcher.train_jobs()


def test_without_rights_on_train_jobs_an_indexed_job_takes_their_place(launcher: Launcher) -> None:
    launcher.kubeconfig = launcher.cluster.user_kubeconfig(launcher.namespace)
    jobs = f"/apis/batch/v1/namespaces/{launcher.namespace}/jobs"
    with trainer(launcher.cluster, "podTemplateOverrides"):
        process = launcher.start()
        wait_until(lambda: launcher.cluster.api("GET", jobs)["items"], "an indexed Job")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "an indexed Job takes its place" in said
    assert not launcher.cluster.api("GET", jobs)["items"]


def test_an_error_for_people_ends_the_group_at_once(launcher: Launcher) -> None:
    process = launcher.start()
    jobs = f"/apis/batch/v1/namespaces/{launcher.namespace}/jobs"
    wait_until(lambda: launcher.cluster.api("GET", jobs)["items"], "an indexed Job")
    error = {"kind": "InputError", "text": "a clip is damaged", "exit_code": 3, "time": 0}
    (launcher.folder / "error-1.json").write_text(json.dumps(error), encoding="utf-8")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert not launcher.cluster.api("GET", jobs)["items"]
    services = f"/api/v1/namespaces/{launcher.namespace}/services"
    assert not launcher.cluster.api("GET", services)["items"]
    assert [path.name for path in launcher.folder.glob("error-*")] == ["error-1.json"]


def test_what_other_nodes_would_not_see_is_refused(launcher: Launcher) -> None:
    requests = {"resources": {"requests": {"storage": "1Gi"}}}
    claim = {"metadata": {"name": "work"}, "spec": {"accessModes": ["ReadWriteOnce"], **requests}}
    path = f"/api/v1/namespaces/{launcher.namespace}/persistentvolumeclaims"
    launcher.cluster.api("POST", path, claim)
    process = launcher.start({"frames": "/etc"})
    assert process.wait(30) == 3
    left = json.loads((launcher.folder / "error-group.json").read_text(encoding="utf-8"))
    assert left["kind"] == "InputError"
    assert "/etc is on no volume, and other nodes would not find it" in left["text"]
    assert "PersistentVolumeClaim/work is ReadWriteOnce" in left["text"]
    assert "needs one that is ReadWriteMany" in left["text"]
