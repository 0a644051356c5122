"""Training on several pods of a real Kubernetes API: same weights, though pods are lost."""

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

    def leader(self) -> str:
        """The name of the stage's own pod."""
        pods = self.get("/api/v1/NS/pods")["items"]
        running = [p["metadata"] for p in pods if p["status"]["phase"] == "Running"]
        return str(next(p["name"] for p in running if p["labels"].get("job-name") == "train"))

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
    requests = {"resources": {"requests": {"storage": "1Gi"}}}
    claim = {"metadata": {"name": "work"}, "spec": {"accessModes": ["ReadWriteMany"], **requests}}
    cluster.api("POST", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", claim)
    for name in RIGHTS:
        text = (REPOSITORY / "prp" / "driver" / name).read_text(encoding="utf-8")
        for document in yaml.safe_load_all(text):
            cluster.api("POST", PATHS[document["kind"]].format(f"namespaces/{namespace}"), document)
    return Space(cluster, namespace, folder, tmp_path)


def make_claim(cluster: Cluster, namespace: str, mode: str) -> None:
    requests = {"resources": {"requests": {"storage": "1Gi"}}}
    claim = {"metadata": {"name": "work"}, "spec": {"accessModes": [mode], **requests}}
    cluster.api("POST", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", claim)


def test_two_pods_train_what_one_process_does_though_one_and_the_leader_are_lost(
    space: Space, alone: Path
) -> None:
    process = space.train("--nodes", "2")
    space.wait(lambda: "[1] train_loss" in space.said())
    first, second = space.members()
    assert [p["spec"]["hostname"][-2:] for p in (first, second)] == ["-0", "-1"]
    name = first["metadata"]["name"]  # where all meet
    options = {"gracePeriodSeconds": 0}
    space.cluster.api("DELETE", f"/api/v1/namespaces/{space.name}/pods/{name}", options)
    space.wait(lambda: "[3] train_loss" in space.said())
    space.cluster.evict(space.name, space.leader())
    assert process.wait(180) == 0, space.said()
    said = space.said()
    assert "nodes: created Job/train-video-nodes-" in said
    assert f"pod {name} is gone; where another takes its place, training goes on" in said
    assert said.count("[3] train_loss") == 1, "what was saved is not repeated"
    assert difference(space.folder / "model", alone) < 1e-5
    assert not space.members()
    assert not space.groups()
