"""Jobs on a real Kubernetes API: applied, followed, evicted, resumed, refused; whole pipelines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trainyard_process
import yaml
from clips import make_clips
from kubernetes_cluster import Cluster
from trainyard_process import REPOSITORY, SMALL, assignments

pytestmark = pytest.mark.slow

SPLIT = ["job", "split_clips", "--pvc", "clips:/data", "--input", "clips=/data/clips",
         "--output", "split=/data/split"]  # fmt: skip


@dataclass
class Space:
    """A namespace with a volume that holds a few clips and their data set."""

    cluster: Cluster
    name: str
    folder: Path
    """What pods see as /data."""
    home: Path
    """Where commands run."""

    @property
    def environment(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.cluster.kubeconfig)}

    def trainyard(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Runs the command line to its end."""
        return trainyard_process.run(
            self.home, *words, "--namespace", self.name, **self.environment
        )

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Starts the command line; `said` tells what it printed."""
        (self.home / "output.txt").unlink(missing_ok=True)
        words = (*words, "--namespace", self.name)
        return trainyard_process.start(self.home, *words, **self.environment)

    def said(self) -> str:
        return (self.home / "output.txt").read_text(encoding="utf-8")

    def get(self, path: str) -> Any:
        return self.cluster.api.find(path.replace("NS", f"namespaces/{self.name}"))

    def job(self, name: str) -> Any:
        return self.get(f"/apis/batch/v1/NS/jobs/{name}")

    def pods(self, job: str) -> list[Any]:
        listed = self.get("/api/v1/NS/pods")["items"]
        return [p for p in listed if p["metadata"]["labels"].get("job-name") == job]

    def wait(self, condition: Callable[[], Any], seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"nothing happened; {self.said()}"
            time.sleep(0.1)
        return value


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of two classes and the data set that dataset_sync makes of them."""
    folder = tmp_path_factory.mktemp("source")
    names = [f"{name}/{n}.mp4" for name in ("fall", "walk") for n in range(6)]
    make_clips(folder / "source", *names, frames=12)
    done = subprocess.run(
        [sys.executable, "-m", "components.dataset_sync", "--source", folder / "source"]
        + ["--clips", folder / "clips", "--state-dir", folder / "made"],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def space(cluster: Cluster, namespace: str, source: Path, tmp_path: Path) -> Iterator[Space]:
    folder = cluster.claim_folder(namespace, "clips")
    subprocess.run(["cp", "-r", source / "source", source / "clips", folder], check=True)
    subprocess.run(["chmod", "-R", "a+rwX", folder], check=True)
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "clips"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    cluster.api("POST", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", claim)
    yield Space(cluster, namespace, folder, tmp_path)


def test_a_stage_is_applied_and_followed_to_its_end(space: Space) -> None:
    done = space.trainyard(*SPLIT, "--apply", "--follow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "clips per class and part" in done.stdout
    assert "created Job/split-clips-" in done.stderr
    assert done.stderr.rstrip().endswith("succeeded")
    assert (space.folder / "split" / "index.json").is_file()
    assert list((space.folder / "state" / "split_clips").iterdir())
    [job] = space.get("/apis/batch/v1/NS/jobs")["items"]
    config = space.get(f"/api/v1/NS/configmaps/{job['metadata']['name']}")
    assert config["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]

    again = space.trainyard(*SPLIT, "--apply", "--follow")
    assert again.returncode == 0
    assert "is done already; nothing was created" in again.stderr
    assert len(space.get("/apis/batch/v1/NS/jobs")["items"]) == 1


def test_wrong_input_fails_at_once_with_the_stages_exit_code(space: Space) -> None:
    (space.folder / "clips" / "index.json").write_text("{}")
    done = space.trainyard(*SPLIT, "--apply", "--follow", "--name", "split")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "trying again would not help" in done.stderr
    assert len(space.pods("split")) == 1
