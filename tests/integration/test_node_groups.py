"""Training on several pods of a real Kubernetes API: same weights, lost pods, errors, TrainJobs."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trainyard_process
import yaml
from distributed_stage import SETTINGS, difference, make_data
from kubernetes_cluster import Cluster
from trainyard_process import REPOSITORY

from components.core.settings import build
from components.train_video.stage import STAGE, TrainSettings

pytestmark = pytest.mark.slow

RIGHTS = ("rbac.yaml", "node-groups.yaml")
PATHS = {
    "ServiceAccount": "/api/v1/{}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/{}/rolebindings",
}


@dataclass
class Space:
    """A namespace with a volume that holds frames and a split, and the leader's rights."""

    cluster: Cluster
    name: str
    folder: Path
    """What pods see as /data."""
    home: Path
    process: subprocess.Popen[str] | None = None

    def get(self, path: str) -> Any:
        return self.cluster.api.find(path.replace("NS", f"namespaces/{self.name}"))

    def train(self, *options: str, **changes: str) -> subprocess.Popen[str]:
        values = {**SETTINGS, "pretrained": "/data/first.safetensors", **changes}
        settings = [f"{name.replace('-', '_')}={value}" for name, value in values.items()]
        words = ["job", "train_video", *settings, "--pvc", "work:/data", "--name", "train"]
        words += ["--input", "frames=/data/frames", "--input", "split=/data/split"]
        words += ["--output", "model=/data/model", "--gpus", "0", "--cpu", "1", "--memory", "2Gi"]
        words += ["--shm", "256Mi"]
        words += ["--apply", "--follow", "--namespace", self.name, *options]
        environment = {"KUBECONFIG": str(self.cluster.kubeconfig)}
        self.process = trainyard_process.start(self.home, *words, **environment)
        return self.process

    def said(self) -> str:
        return (self.home / "output.txt").read_text(encoding="utf-8")

    def members(self) -> list[Any]:
        """The pods that train."""
        pods = self.get("/api/v1/NS/pods")["items"]
        found = [p for p in pods if "trainyard/node-group" in p["metadata"]["labels"]]
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    def wait(self, condition: Callable[[], Any], seconds: float = 90) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"nothing happened; {self.said()}"
            assert self.process is None or self.process.poll() is None, self.said()
            time.sleep(0.1)
        return value

    def groups(self) -> list[str]:
        """Jobs and Services of node groups."""
        kinds = ("/apis/batch/v1/NS/jobs", "/api/v1/NS/services")
        listed = [item["metadata"]["name"] for kind in kinds for item in self.get(kind)["items"]]
        return [name for name in listed if "-nodes-" in name]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that one process trains."""
    folder = tmp_path_factory.mktemp("alone")
    values = {name.replace("-", "_"): value for name, value in SETTINGS.items()}
    settings = build(TrainSettings, {**values, "pretrained": str(data / "first.safetensors")})
    inputs = {"frames": data / "frames", "split": data / "split"}
    STAGE.execute(settings, inputs, {"model": folder / "model"}, folder / "state")
    return folder / "model"


@pytest.fixture
def space(cluster: Cluster, namespace: str, data: Path, tmp_path: Path) -> Iterator[Space]:
    folder = cluster.claim_folder(namespace, "work")
    shutil.copytree(data, folder, dirs_exist_ok=True)
    subprocess.run(["chmod", "-R", "a+rwX", folder], check=True)
    make_claim(cluster, namespace, "ReadWriteMany")
    for name in RIGHTS:
        text = (REPOSITORY / "prp" / "driver" / name).read_text(encoding="utf-8")
        for document in yaml.safe_load_all(text):
            cluster.api("POST", PATHS[document["kind"]].format(f"namespaces/{namespace}"), document)
    return Space(cluster, namespace, folder, tmp_path)


def make_claim(cluster: Cluster, namespace: str, mode: str) -> None:
    requests = {"resources": {"requests": {"storage": "1Gi"}}}
    claim = {"metadata": {"name": "work"}, "spec": {"accessModes": [mode], **requests}}
    cluster.api("POST", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", claim)


def test_two_nodes_train_what_one_process_does_also_when_a_pod_is_lost(
    space: Space, alone: Path
) -> None:
    process = space.train("--nodes", "2")
    space.wait(lambda: "[1] train_loss" in space.said())
    first, second = space.members()
    assert [p["spec"]["hostname"][-2:] for p in (first, second)] == ["-0", "-1"]
    space.cluster.evict(space.name, second["metadata"]["name"])
    assert process.wait(120) == 0, space.said()
    said = space.said()
    assert "nodes: created Job/train-video-nodes-" in said
    assert f"pod {second['metadata']['name']} runs on gpu-node" in said
    assert difference(space.folder / "model", alone) < 1e-5
    assert not space.members()
    assert not space.groups()


def test_the_first_node_may_be_lost_too_and_a_stopped_leader_takes_the_group_along(
    space: Space, alone: Path
) -> None:
    process = space.train("--nodes", "2")
    space.wait(lambda: "[1] train_loss" in space.said())
    first = space.members()[0]["metadata"]["name"]
    options = {"gracePeriodSeconds": 0}
    space.cluster.api("DELETE", f"/api/v1/namespaces/{space.name}/pods/{first}", options)
    space.wait(lambda: "[3] train_loss" in space.said())
    pods = space.get("/api/v1/NS/pods")["items"]
    leader = next(p for p in pods if p["metadata"]["labels"].get("job-name") == "train")
    space.cluster.evict(space.name, leader["metadata"]["name"])
    assert process.wait(120) == 0, space.said()
    assert space.said().count("[3] train_loss") == 1, "what was saved is not repeated"
    assert difference(space.folder / "model", alone) < 1e-5
    assert not space.groups()


def test_an_error_of_a_worker_is_the_stages_and_ends_all(space: Space) -> None:
    process = space.train(
        "--nodes", "2", "--retries", "0", **{"learning-rate": "1e30", "gradient-clip": "0"}
    )
    assert process.wait(120) != 0
    said = space.said()
    assert "the training loss became" in said
    assert "Traceback" not in said
    assert not space.groups()


def test_a_volume_that_other_nodes_cannot_mount_is_refused(cluster: Cluster, space: Space) -> None:
    path = f"/api/v1/namespaces/{space.name}/persistentvolumeclaims"
    cluster.api("DELETE", f"{path}/work")
    space.wait(lambda: not space.get("/api/v1/NS/persistentvolumeclaims/work"))
    make_claim(cluster, space.name, "ReadWriteOnce")
    process = space.train("--nodes", "2")
    assert process.wait(60) == 3, space.said()
    assert "PersistentVolumeClaim/work is ReadWriteOnce" in space.said()
    assert "ReadWriteMany" in space.said()
