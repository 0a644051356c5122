"""Jobs on a real Kubernetes API: applied, followed, evicted, resumed, refused; whole pipelines."""

from __future__ import annotations

import fcntl
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        path = self.home / "output.txt"
        return path.read_text(encoding="utf-8") if path.exists() else ""

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
    """Clips of two classes, the data set that dataset_sync makes of them, and a split of it."""
    folder = tmp_path_factory.mktemp("source")
    names = [f"{name}/{n}.mp4" for name in ("fall", "walk") for n in range(6)]
    make_clips(folder / "source", *names, frames=12)
    clips, split, state = (folder / name for name in ("clips", "split", "made"))
    run_stage("dataset_sync", state, "--source", folder / "source", "--clips", clips)
    run_stage("split_clips", state, "--clips", clips, "--split", split)
    return folder


def run_stage(stage: str, state: Path, *arguments: object) -> None:
    """Runs a stage here, without a cluster."""
    command = [sys.executable, "-m", f"components.{stage}", "--state-dir", state, *arguments]
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@contextmanager
def held(space: Space, source: Path) -> Iterator[None]:
    """While it lasts, split_clips waits (up to a minute): we work in its state directory."""
    [key] = (source / "made" / "split_clips").iterdir()
    folder = space.folder / "state" / "split_clips" / key.name
    folder.mkdir(parents=True)
    subprocess.run(["chmod", "-R", "a+rwX", space.folder / "state"], check=True)
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        (folder / "lock").chmod(0o666)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def space(cluster: Cluster, namespace: str, source: Path, tmp_path: Path) -> Space:
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
    return Space(cluster, namespace, folder, tmp_path)


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


def running(space: Space, job: str) -> Any:
    """The pod of a Job that runs right now."""
    return next((p for p in space.pods(job) if p["status"]["phase"] == "Running"), None)


PIPELINE = [
    "run",
    "action_recognition",
    "--backend",
    "prp",
    "--pvc",
    "clips:/data",
    "--gpus",
    "0",
    "--name",
    "first",
    "source=/data/source",
    *assignments({**SMALL, "baseline": False, "mistakes": 0}),
]


@pytest.fixture
def driver_rights(space: Space) -> None:
    """What `kubectl apply -k prp/driver` creates."""
    paths = {
        "ServiceAccount": "/api/v1/{}/serviceaccounts",
        "Role": "/apis/rbac.authorization.k8s.io/v1/{}/roles",
        "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/{}/rolebindings",
    }
    text = (REPOSITORY / "prp" / "driver" / "rbac.yaml").read_text(encoding="utf-8")
    for document in yaml.safe_load_all(text):
        path = paths[document["kind"]].format(f"namespaces/{space.name}")
        space.cluster.api("POST", path, document)


@pytest.mark.usefixtures("driver_rights")
def test_a_pipeline_survives_the_eviction_of_its_driver_and_of_its_training(space: Space) -> None:
    process = space.start(*PIPELINE, "epochs=12")
    pod = space.wait(lambda: running(space, "first-train-video"), 120)
    space.wait(lambda: "train-video | train_video: " in space.said(), 60)
    space.cluster.evict(space.name, running(space, "first")["metadata"]["name"])
    space.cluster.evict(space.name, pod["metadata"]["name"])
    assert process.wait(240) == 0, space.said()
    said = space.said()
    assert "train-video | pod first-train-video-" in said
    assert "the next one goes on where it stopped" in said
    assert "train-video: found Job/first-train-video" in said
    assert "first: all 8 steps are done" in said
    for place in ("train-video/model/model.json", "evaluate-clips/report", "model_repository"):
        assert (space.folder / "runs" / "first" / place).exists(), place
    driver = space.job("first")
    for job in space.get("/apis/batch/v1/NS/jobs")["items"]:
        if job["metadata"]["name"] != "first":
            assert job["metadata"]["ownerReferences"][0]["uid"] == driver["metadata"]["uid"]
            assert not job["status"].get("failed"), "evictions do not count"
    options = {"propagationPolicy": "Background"}
    space.cluster.api("DELETE", f"/apis/batch/v1/namespaces/{space.name}/jobs/first", options)
    space.wait(lambda: not space.get("/apis/batch/v1/NS/jobs")["items"])
    space.wait(lambda: not [c for c in config_maps(space) if c.startswith("first")])


def config_maps(space: Space) -> list[str]:
    return [c["metadata"]["name"] for c in space.get("/api/v1/NS/configmaps")["items"]]


@pytest.mark.usefixtures("driver_rights")
def test_a_failed_run_stops_and_the_same_name_resumes_it(space: Space) -> None:
    weights = space.folder / "weights.pt"
    arguments = [*PIPELINE, "epochs=1", "pretrained=/data/weights.pt"]
    done = space.trainyard(*arguments)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "train-video failed with exit code 3" in done.stdout
    assert "weights.pt does not exist" in done.stdout
    assert not space.job("first-evaluate-clips")
    told = space.trainyard("status", "first", "--backend", "prp")
    assert told.returncode == 1
    assert "✗ train-video: failed  exit code 3: " in told.stdout
    assert "– evaluate-clips: cancelled  not started" in told.stdout
    assert len(space.pods("first")) == 1, "a step that failed is no reason for another driver"
    extracted = space.job("first-frame-extraction")["metadata"]["uid"]

    other = space.trainyard(*arguments, "seed=3")
    assert other.returncode == 3
    assert "exists in" in other.stderr
    assert "does something else" in other.stderr

    make_weights(weights)
    done = space.trainyard(*arguments, "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a new one takes its place and goes on where it stopped" in done.stderr
    assert space.job("first-frame-extraction")["metadata"]["uid"] == extracted
    assert (space.folder / "runs/first/evaluate-clips/evaluation").is_dir()


@pytest.mark.usefixtures("driver_rights")
def test_a_run_is_looked_at_and_cancelled_and_what_is_done_stays(space: Space) -> None:
    def trainyard(command: str) -> subprocess.CompletedProcess[str]:
        return space.trainyard(command, "first", "--backend", "prp")

    assert trainyard("status").returncode == 3
    assert space.trainyard(*PIPELINE, "epochs=500", "--no-follow").returncode == 0
    space.wait(lambda: running(space, "first-train-video"), 120)
    told = trainyard("status")
    assert told.returncode == 0
    assert told.stdout.splitlines()[0] == "first: running"
    assert "  ✓ frame-extraction: succeeded" in told.stdout
    assert "  ▶ train-video: running" in told.stdout
    assert "  · evaluate-clips: pending  after " in told.stdout
    assert trainyard("cancel").returncode == 0
    space.wait(lambda: not space.job("first") and not space.job("first-train-video"))
    assert space.job("first-frame-extraction")
    told = trainyard("status")
    assert told.stdout.startswith("first: cancelled (the same command resumes it)")
    assert "  ✓ frame-extraction: succeeded" in told.stdout


def make_weights(path: Path) -> None:
    """Random weights of the small network, as a .pt file."""
    import torch

    from components.core.models.i3d import I3D

    torch.save(I3D(classes=2, width=SMALL["width"]).state_dict(), path)
    path.chmod(0o644)


def test_ctrl_c_leaves_the_job_running_and_the_same_command_finds_it(
    space: Space, source: Path
) -> None:
    with held(space, source):
        process = space.start(*SPLIT, "--apply", "--follow", "--name", "slow")
        space.wait(lambda: "split_clips: waiting for" in space.said())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        said = space.said()
        assert "the Job goes on without this terminal" in said
        assert f"trainyard follow slow --backend prp --namespace {space.name}" in said
        assert f"trainyard cancel slow --backend prp --namespace {space.name}" in said
        told = space.trainyard("status", "slow", "--backend", "prp")
        assert told.returncode == 0
        assert told.stdout == "slow: running\n"
    done = space.trainyard(*SPLIT, "--apply", "--follow", "--name", "slow")
    assert done.returncode == 0
    assert "nothing was created" in done.stderr
    assert "clips per class and part" in done.stdout
    followed = space.trainyard("follow", "slow", "--backend", "prp")
    assert followed.returncode == 0
    assert followed.stdout == done.stdout
    ended = space.trainyard("cancel", "slow", "--backend", "prp")
    assert ended.returncode == 3
    assert "slow has ended already" in ended.stderr


def test_an_evicted_pod_is_replaced_and_uses_up_no_retry(space: Space, source: Path) -> None:
    with held(space, source):
        process = space.start(*SPLIT, "--apply", "--follow", "--name", "s", "--retries", 0)
        space.wait(lambda: "split_clips: waiting for" in space.said())
        first = running(space, "s")["metadata"]["name"]
        space.cluster.evict(space.name, first)
        space.wait(lambda: f"pod {first} " in space.said().partition("waiting for")[2])
    assert process.wait(90) == 0, space.said()
    assert "the next one goes on where it stopped" in space.said()
    assert space.said().count("clips per class and part") == 1
    assert not space.job("s")["status"].get("failed")


def test_a_deleted_job_ends_the_following(space: Space, source: Path) -> None:
    with held(space, source):
        process = space.start(*SPLIT, "--apply", "--follow", "--name", "s")
        space.wait(lambda: running(space, "s"))
        options = {"propagationPolicy": "Background"}
        space.cluster.api("DELETE", f"/apis/batch/v1/namespaces/{space.name}/jobs/s", options)
        assert process.wait(60) == 1
    assert "it was deleted" in space.said()


def test_another_request_of_the_same_name_is_refused(space: Space) -> None:
    assert space.trainyard(*SPLIT, "--apply", "--name", "s").returncode == 0
    done = space.trainyard(*SPLIT, "val_size=0.3", "--apply", "--name", "s")
    assert done.returncode == 3
    assert "Job/s exists in" in done.stderr
    assert f"kubectl -n {space.name} delete job s" in done.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--gpu-product", "NVIDIA-H100", "--gpus", "1", "--shm", "1Gi"], "waits for a node: 0/1"),
        (["--image", "registry.invalid/split:1"], "cannot pull registry.invalid/split:1"),
        (
            ["--secret", "partial:TOKEN"],
            "create it with: kubectl -n {} create secret generic partial --from-literal=TOKEN=…",
        ),
    ],
)
def test_why_a_pod_does_not_start(space: Space, options: list[str], reason: str) -> None:
    secret = {"metadata": {"name": "partial"}, "stringData": {"OTHER": "value"}}
    space.cluster.api("POST", f"/api/v1/namespaces/{space.name}/secrets", secret)
    reason = reason.format(space.name)
    process = space.start(*SPLIT, *options, "--apply", "--follow", "--name", "s")
    space.wait(lambda: reason in space.said())
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    told = space.trainyard("status", "s", "--backend", "prp")
    assert told.stdout.startswith("s: pending (pod s-")
    assert reason in told.stdout
    ended = space.trainyard("cancel", "s", "--backend", "prp")
    assert (ended.returncode, ended.stdout) == (0, "s: cancelled\n")
    told = space.trainyard("status", "s", "--backend", "prp")
    assert told.returncode == 3
    assert f"there is no run or Job s in {space.name}" in told.stderr


def test_a_missing_secret_is_told_before_anything_is_created(space: Space) -> None:
    optional = ["--secret", "absent:TOKEN,USER:name"]
    done = space.trainyard(*SPLIT, *optional, "--apply", "--name", "s")
    assert done.returncode == 3
    command = "create secret generic absent --from-literal=TOKEN=… --from-literal=name=…"
    assert f"there is no Secret/absent in {space.name}: kubectl" in done.stderr
    assert command in done.stderr
    assert not space.get("/apis/batch/v1/NS/jobs")["items"]


def test_quotas_say_what_to_do(space: Space) -> None:
    quota("pods", space)
    assert space.trainyard(*SPLIT, "--apply", "--name", "s").returncode == 0

    def told() -> str:
        return str(space.trainyard("status", "s", "--backend", "prp").stdout)

    space.wait(lambda: "no pod yet: FailedCreate: " in told())
    assert "exceeded quota: pods" in told()
    assert "wait for other Jobs to end, or ask for less" in told()
    quota("count/jobs.batch", space)
    done = space.trainyard(*SPLIT, "--apply", "--name", "other")
    assert done.returncode == 4
    assert "exceeded quota" in done.stderr
    assert "wait for other Jobs to end" in done.stderr


def quota(resource: str, space: Space) -> None:
    """Allows none of it; the status is what the quota's controller would say."""
    name, hard = resource.replace("/", "-"), {resource: "0"}
    path = f"/api/v1/namespaces/{space.name}/resourcequotas"
    space.cluster.api("POST", path, {"metadata": {"name": name}, "spec": {"hard": hard}})
    status = {"status": {"hard": hard, "used": {resource: "0"}}}
    space.cluster.api("PATCH", f"{path}/{name}/status", status)


def test_a_job_that_never_starts_ends_at_its_deadline(space: Space) -> None:
    options = ["--deadline", "2s", "--gpu-product", "None"]
    done = space.trainyard(*SPLIT, *options, "--apply", "--follow", "--name", "s")
    assert done.returncode == 1
    assert "it took longer than its deadline" in done.stderr


def test_pods_that_the_namespace_refuses_are_told(space: Space) -> None:
    limits = [{"type": "Container", "max": {"memory": "1Gi"}}]
    small = {"metadata": {"name": "small"}, "spec": {"limits": limits}}
    space.cluster.api("POST", f"/api/v1/namespaces/{space.name}/limitranges", small)
    process = space.start(*SPLIT, "--apply", "--follow", "--name", "s")
    space.wait(lambda: "no pod yet: FailedCreate: " in space.said())
    assert "maximum memory usage per Container is 1Gi" in space.said()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130


def test_what_cannot_be_reached_or_is_not_allowed(space: Space, tmp_path: Path) -> None:
    def told(kubeconfig: dict[str, Any] | None, namespace: str = space.name) -> str:
        path = tmp_path / "config"
        path.unlink(missing_ok=True)
        if kubeconfig:
            path.write_text(yaml.safe_dump(kubeconfig))
        done = trainyard_process.run(
            tmp_path, *SPLIT, "--apply", "--namespace", namespace, KUBECONFIG=str(path)
        )
        assert done.returncode == 4, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "no usable cluster configuration" in told(None)
    good = yaml.safe_load(space.cluster.kubeconfig.read_text(encoding="utf-8"))
    assert "check --namespace" in told(good, "nowhere")
    wrong = yaml.safe_load(space.cluster.kubeconfig.read_text(encoding="utf-8"))
    wrong["users"][0]["user"] = {"token": "expired"}
    assert "does not accept the credentials" in told(wrong)
    gone = yaml.safe_load(space.cluster.kubeconfig.read_text(encoding="utf-8"))
    gone["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    assert "does not answer" in told(gone)
    weak = yaml.safe_load(space.cluster.kubeconfig.read_text(encoding="utf-8"))
    account = f"/api/v1/namespaces/{space.name}/serviceaccounts/default/token"
    token = space.cluster.api("POST", account, {"spec": {}})["status"]["token"]
    weak["users"][0]["user"] = {"token": token}
    assert "is forbidden" in told(weak)


def test_a_run_needs_the_drivers_rights_and_the_volume(space: Space) -> None:
    arguments = [word.replace("clips:/data", "absent:/data") for word in PIPELINE]
    done = space.trainyard(*arguments)
    assert done.returncode == 3
    assert "there is no ServiceAccount/trainyard-driver" in done.stderr
    site = f"write namespace: {space.name} in prp/site/kustomization.yaml, then"
    assert site in done.stderr
    assert "kubectl apply -k prp/driver" in done.stderr
    assert "there is no PersistentVolumeClaim/absent" in done.stderr


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl applies the overlays")
def test_the_studys_sync_job_prepares_the_data_and_every_overlay_is_accepted(
    space: Space, tmp_path: Path
) -> None:
    """`kubectl apply -k`, with only prp/site edited."""
    from pipelines.demo_tinyvirat import Extent, write_clips

    folder = space.cluster.claim_folder(space.name, "trainyard")
    (folder / "source").mkdir()
    write_clips(folder / "source" / "tinyvirat", Extent(clips=2, frames=(32, 36)))
    subprocess.run(["chmod", "-R", "a+rwX", folder], check=True)
    prp = tmp_path / "prp"
    shutil.copytree(REPOSITORY / "prp", prp)
    site = prp / "site" / "kustomization.yaml"
    text = site.read_text(encoding="utf-8")
    site.write_text(text.replace("namespace: trainyard", f"namespace: {space.name}"))

    def kubectl(*words: object) -> str:
        command = ["kubectl", "--kubeconfig", space.cluster.kubeconfig, *words]
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    for place in ("copy", "driver", "jobs/train", "jobs/test", "jobs/eval"):
        kubectl("apply", "--server-side", "--dry-run=server", "-k", prp / place)
    kubectl("apply", "-k", prp / "volume")
    kubectl("apply", "-k", prp / "jobs" / "sync")
    end = space.wait(lambda: job_end(space.job("sync-resizer-2d-56")), 120)
    log = kubectl("-n", space.name, "logs", "job/sync-resizer-2d-56", "--all-containers")
    assert end == "Complete", log
    for place in ("clips", "split", "frames-56"):
        assert (folder / "tinyvirat" / place / "index.json").is_file(), place


def job_end(job: Any) -> str:
    conditions = job["status"].get("conditions", [])
    held = [c["type"] for c in conditions if c["status"] == "True"]
    return next((end for end in ("Complete", "Failed") if end in held), "")
