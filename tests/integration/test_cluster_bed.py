"""The test bed itself: what a Job can tell of a real cluster, it finds here."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes_cluster import Cluster, wait_until
from process_kubelet import ApiError

pytestmark = pytest.mark.timeout(120)


def job(script: str, *, command: tuple[str, ...] = ("sh", "-c"), **pod: Any) -> dict[str, Any]:
    """A Job "work" of one container that runs a shell script; `pod` updates the pod's spec."""
    container = {"name": "main", "image": "registry.example/stage:1", "command": [*command, script]}
    container |= pod.pop("container", {})
    settings = pod.pop("job", {})
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": [container]}
    template = {"spec": spec | pod}
    return {
        "metadata": {"name": "work"},
        "spec": {"backoffLimit": 0, "template": template} | settings,
    }


class Space:
    """One namespace, in plain requests."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.api, self.name = cluster, cluster.api, name
        self.core = f"/api/v1/namespaces/{name}"
        self.batch = f"/apis/batch/v1/namespaces/{name}"

    def create(self, kind: str, body: dict[str, Any]) -> None:
        group = self.batch if kind == "jobs" else self.core
        self.api("POST", f"{group}/{kind}", body)

    def claim(self, name: str) -> Path:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        self.create("persistentvolumeclaims", {"metadata": {"name": name}, "spec": spec})
        return self.cluster.claim_folder(self.name, name)

    def pods(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.api("GET", f"{self.core}/pods")["items"]
        return sorted(items, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def pod(self, ready: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first pod of which `ready` holds, as soon as there is one."""
        found: dict[str, Any] = wait_until(
            lambda: next((pod for pod in self.pods() if ready(pod)), None), "a pod", 30
        )
        return found

    def log(self, pod: dict[str, Any]) -> str:
        return self.api.get_text(f"{self.core}/pods/{pod['metadata']['name']}/log")

    def end(self) -> str:
        """Waits for the Job; "Complete" or "Failed"."""

        def verdict() -> str | None:
            status = self.api("GET", f"{self.batch}/jobs/work")["status"]
            ends = [c["type"] for c in status.get("conditions", []) if c["status"] == "True"]
            return next((end for end in ends if end in ("Complete", "Failed")), None)

        return str(wait_until(verdict, "the Job", 60))


@pytest.fixture
def space(cluster: Cluster, namespace: str) -> Iterator[Space]:
    return Space(cluster, namespace)


def running(pod: dict[str, Any]) -> bool:
    return bool(pod["status"]["phase"] == "Running")


def ended(pod: dict[str, Any]) -> dict[str, Any] | None:
    statuses = pod["status"].get("containerStatuses", [{}])
    terminated: dict[str, Any] | None = statuses[0].get("state", {}).get("terminated")
    return terminated


def test_job_writes_to_its_claim_and_its_log_is_read(space: Space) -> None:
    claim = space.claim("data")
    (claim / "given").write_text("from before\n")
    script = "cat /mnt/data/given; python -c 'import components; print(components.__name__)'"
    space.create(
        "jobs",
        job(
            f"{script}; echo result > /mnt/data/made",
            container={"volumeMounts": [{"name": "data", "mountPath": "/mnt/data"}]},
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        ),
    )
    assert space.end() == "Complete"
    assert (claim / "made").read_text() == "result\n"
    [pod] = space.pods()
    assert pod["status"]["phase"] == "Succeeded"
    assert space.log(pod) == "from before\ncomponents\n"


def test_log_is_followed_while_it_grows(space: Space) -> None:
    from kubernetes.client import CoreV1Api
    from kubernetes.watch import Watch

    space.create("jobs", job("echo first; sleep 1; echo second; echo third"))
    name = space.pod(running)["metadata"]["name"]
    read = CoreV1Api(space.cluster.client()).read_namespaced_pod_log
    lines = []
    for line in Watch().stream(read, name=name, namespace=space.name):
        lines.append((line, running(space.pods()[0])))
    assert [line for line, _ in lines] == ["first", "second", "third"]
    assert lines[0][1], "the first line came while the pod ran"
    assert read(name, space.name, tail_lines=1) == "third\n"
    stamp = read(name, space.name, tail_lines=1, timestamps=True).split()[0]
    assert stamp.startswith("20")
    assert stamp.endswith("Z")


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here")
def test_kubectl_reads_the_log(space: Space) -> None:
    space.create("jobs", job("echo hello"))
    space.end()
    command = ["kubectl", "--kubeconfig", str(space.cluster.kubeconfig), "-n", space.name]
    said = subprocess.run(
        [*command, "logs", "job/work"], capture_output=True, text=True, check=True
    )
    assert said.stdout == "hello\n"


def test_failing_job_shows_its_exit_code(space: Space) -> None:
    space.create("jobs", job("echo no such clip >&2; exit 3"))
    assert space.end() == "Failed"
    [pod] = space.pods()
    assert pod["status"]["phase"] == "Failed"
    end = ended(pod)
    assert end
    assert (end["exitCode"], end["reason"]) == (3, "Error")


def test_failed_container_is_restarted_in_its_pod(space: Space) -> None:
    script = "[ -e /state/tried ] && echo second && exit 0; touch /state/tried; echo first; exit 7"
    space.create(
        "jobs",
        job(
            script,
            job={"backoffLimit": 3},
            restartPolicy="OnFailure",
            container={"volumeMounts": [{"name": "state", "mountPath": "/state"}]},
            volumes=[{"name": "state", "emptyDir": {}}],
        ),
    )
    assert space.end() == "Complete"
    [pod] = space.pods()
    [status] = pod["status"]["containerStatuses"]
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 7
    path = f"{space.core}/pods/{pod['metadata']['name']}/log"
    assert space.api.get_text(f"{path}?previous=true") == "first\n"
    assert space.log(pod) == "second\n"


@pytest.mark.slow  # the Job controller waits ten seconds before it replaces a failed pod
def test_evicted_pod_is_replaced_and_not_counted_as_a_failure(space: Space) -> None:
    claim = space.claim("data")
    handler = "trap 'echo saved > /mnt/data/saved; exit 143' TERM"
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]
    space.create(
        "jobs",
        job(
            f"{handler}; [ -e /mnt/data/saved ] && exit 0; while true; do sleep 0.1; done",
            job={"backoffLimit": 0, "podFailurePolicy": {"rules": rules}},
            container={"volumeMounts": [{"name": "data", "mountPath": "/mnt/data"}]},
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        ),
    )
    first = space.pod(running)["metadata"]["name"]
    time.sleep(0.2)  # the shell has set its trap
    space.cluster.evict(space.name, first)
    assert space.end() == "Complete"
    assert (claim / "saved").read_text() == "saved\n"
    assert [pod["metadata"]["name"] for pod in space.pods()] != [first]


def test_too_many_gpus_leave_the_pod_pending_with_the_reason(space: Space) -> None:
    space.create("jobs", job("true", container={"resources": {"limits": {"nvidia.com/gpu": "5"}}}))
    pod = space.pod(lambda pod: pod["status"].get("conditions"))
    [condition] = pod["status"]["conditions"]
    assert pod["status"]["phase"] == "Pending"
    assert condition["reason"] == "Unschedulable"
    assert condition["message"] == "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."


def test_node_affinity_and_claims_decide_where_a_pod_runs(space: Space) -> None:
    def requires(product: str) -> dict[str, Any]:
        wanted = {"key": "nvidia.com/gpu.product", "operator": "In", "values": [product]}
        terms = {"nodeSelectorTerms": [{"matchExpressions": [wanted]}]}
        return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}

    space.create("jobs", job("true", affinity=requires("NVIDIA-A10")))
    assert space.end() == "Complete"
    body = job("true", affinity=requires("NVIDIA-H100"))["spec"]["template"]
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "absent"}}]
    unclaimed = job("true", volumes=volumes)["spec"]["template"]
    space.create("pods", body | {"metadata": {"name": "other"}})
    space.create("pods", unclaimed | {"metadata": {"name": "unclaimed"}})

    def reason(name: str) -> str:
        pod = space.pod(
            lambda pod: pod["metadata"]["name"] == name and pod["status"].get("conditions")
        )
        return str(pod["status"]["conditions"][0]["message"])

    assert "didn't match Pod's node affinity/selector" in reason("other")
    assert reason("unclaimed") == 'persistentvolumeclaim "absent" not found'


def test_service_account_may_only_do_what_its_role_says(space: Space) -> None:
    script = """
from kubernetes import client, config
config.load_incluster_config()
namespace = open("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read()
try:
    print(len(client.BatchV1Api().list_namespaced_job(namespace).items), "Jobs")
except client.ApiException as error:
    print(error.status)
"""
    python = ("python", "-c")
    space.create("jobs", job(script, command=python))
    space.end()

    assert space.log(space.pods()[0]) == "403\n"

    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}"
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list"]}]
    space.api("POST", f"{rbac}/roles", {"metadata": {"name": "reader"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": space.name}
    binding = {"metadata": {"name": "reader"}, "roleRef": reference, "subjects": [subject]}
    space.api("POST", f"{rbac}/rolebindings", binding)
    options = {"propagationPolicy": "Foreground"}
    space.api("DELETE", f"{space.batch}/jobs/work", options)
    wait_until(lambda: space.api.find(f"{space.batch}/jobs/work") is None, "the Job's removal")
    space.create("jobs", job(script, command=python))
    space.end()
    assert space.log(space.pods()[0]) == "1 Jobs\n"


def test_secrets_and_fields_reach_the_environment(space: Space) -> None:
    space.create("secrets", {"metadata": {"name": "s3"}, "stringData": {"key": "k-123"}})
    space.create("configmaps", {"metadata": {"name": "settings"}, "data": {"a.txt": "text"}})
    secret = {"name": "s3", "key": "key"}
    absent = {"name": "absent", "key": "key", "optional": True}
    environment = [
        {"name": "KEY", "valueFrom": {"secretKeyRef": secret}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": absent}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "BOTH", "value": "$(KEY)@$(NODE)"},
    ]
    mounts = [{"name": "settings", "mountPath": "/etc/settings", "readOnly": True}]
    script = 'echo $BOTH ${NONE-unset} "$@" $(cat /etc/settings/a.txt)'
    space.create(
        "jobs",
        job(
            f"{script}; touch /etc/settings/b || true",
            container={"env": environment, "volumeMounts": mounts, "args": ["sh", "$(KEY)"]},
            volumes=[{"name": "settings", "configMap": {"name": "settings"}}],
        ),
    )
    assert space.end() == "Complete"
    [pod] = space.pods()
    log = space.log(pod)
    assert log.splitlines()[0] == "k-123@gpu-node unset k-123 text"
    assert "Read-only file system" in log


def test_missing_secret_holds_the_container_back(space: Space) -> None:
    variable = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "key"}}}
    space.create("jobs", job("echo $KEY", container={"env": [variable]}))

    def waiting(pod: dict[str, Any]) -> object:
        status = pod["status"].get("containerStatuses", [{}])[0]
        return (
            status.get("state", {}).get("waiting", {}).get("reason") == "CreateContainerConfigError"
        )

    space.pod(waiting)
    space.create("secrets", {"metadata": {"name": "s3"}, "stringData": {"key": "k-123"}})
    assert space.end() == "Complete"


def test_init_container_prepares_and_its_failure_ends_the_pod(space: Space) -> None:
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    first = {"name": "first", "image": "x", "volumeMounts": mounts}
    shared: dict[str, Any] = {
        "container": {"volumeMounts": mounts},
        "volumes": [{"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
    }
    prepare = first | {"command": ["sh", "-c", "echo ready > /shared/x"]}
    space.create("jobs", job("cat /shared/x", initContainers=[prepare], **shared))
    assert space.end() == "Complete"
    fails = first | {"command": ["sh", "-c", "dd if=/dev/zero of=/shared/x bs=2M count=1"]}
    template = job("true", initContainers=[fails], **shared)["spec"]["template"]
    space.create("pods", template | {"metadata": {"name": "full"}})
    pod = space.pod(lambda pod: pod["status"]["phase"] == "Failed")
    [status] = pod["status"]["initContainerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == 1


def test_deleting_a_job_ends_its_processes(space: Space) -> None:
    mark = f"sleep 98.{os.getpid()}{time.time_ns() % 10**6}"

    def processes() -> list[str]:
        found = subprocess.run(["pgrep", "-fx", mark], capture_output=True, text=True, check=False)
        return found.stdout.split()

    # The shell, process 1 of its container, ignores SIGTERM: its grace has to pass.
    space.create("jobs", job(f"{mark} & wait", terminationGracePeriodSeconds=1))
    wait_until(processes, "the process", 20)
    space.api("DELETE", f"{space.batch}/jobs/work", {"propagationPolicy": "Background"})
    wait_until(lambda: not processes(), "the end of the process", 20)
    wait_until(lambda: not space.pods(), "the pod's removal", 20)


def test_restricted_pod_has_its_user_and_writes_only_to_volumes(cluster: Cluster) -> None:
    """By the Pod Security Standard "restricted", which the API server itself enforces."""
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    space = Space(cluster, cluster.namespace(level))
    claim = space.claim("data")
    forbidden = job("true")["spec"]["template"] | {"metadata": {"name": "free"}}
    with pytest.raises(ApiError, match="violates PodSecurity"):
        space.create("pods", forbidden)
    container = {
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "data", "mountPath": "/mnt/data", "subPath": "mine"},
            {"name": "tmp", "mountPath": "/scratch"},
        ],
    }
    script = "id; python -c 'import components' && touch /mnt/data/x /scratch/x"
    user = {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000}
    space.create(
        "jobs",
        job(
            f"{script}; touch /srv/x /tmp/x",
            container=container,
            securityContext=user | {"seccompProfile": {"type": "RuntimeDefault"}},
            volumes=[
                {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "tmp", "emptyDir": {}},
            ],
        ),
    )
    assert space.end() == "Failed", "the last command wrote outside the volumes"
    log = space.log(space.pods()[0])
    assert log.splitlines()[0].startswith("uid=1000(")
    assert "2000" in log.splitlines()[0]
    assert log.count("\n") == 3
    assert log.count("Read-only file system") == 2
    assert (claim / "mine" / "x").stat().st_gid == 2000
    cluster.delete_namespace(space.name)


def test_pods_of_an_indexed_job_run_side_by_side_and_know_their_index(space: Space) -> None:
    claim = space.claim("data")
    script = "touch /d/$JOB_COMPLETION_INDEX; while [ $(ls /d | wc -l) -lt 2 ]; do sleep 0.1; done"
    space.create(
        "jobs",
        job(
            script,
            job={"completionMode": "Indexed", "completions": 2, "parallelism": 2},
            container={"volumeMounts": [{"name": "data", "mountPath": "/d"}]},
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        ),
    )
    assert space.end() == "Complete"
    assert sorted(path.name for path in claim.iterdir()) == ["0", "1"]


def test_deadline_of_a_pod_ends_it(space: Space) -> None:
    space.create(
        "jobs",
        job("trap 'exit 0' TERM; while true; do sleep 0.1; done", activeDeadlineSeconds=1),
    )
    assert space.end() == "Failed"
    assert space.pods()[0]["status"]["reason"] == "DeadlineExceeded"


def test_absent_program_and_registry_are_reported(space: Space) -> None:
    space.create("jobs", job("x", command=("/opt/absent",)))
    assert space.end() == "Failed"
    end = ended(space.pods()[0])
    assert end
    assert (end["exitCode"], end["reason"]) == (128, "StartError")
    assert "/opt/absent" in end["message"]
    template = job("true", container={"image": "registry.invalid/stage:1"})["spec"]["template"]
    space.create("pods", template | {"metadata": {"name": "unpullable"}})

    def waiting(pod: dict[str, Any]) -> object:
        status = pod["status"].get("containerStatuses", [{}])[0]
        return status.get("state", {}).get("waiting", {}).get("reason") == "ImagePullBackOff"

    assert space.pod(waiting)["metadata"]["name"] == "unpullable"


@pytest.mark.slow
def test_nothing_outlives_a_killed_user(cluster: Cluster, tmp_path: Path) -> None:
    """The cluster of a process that is killed ends, and so do its pods."""
    mark = f"sleep 97.{os.getpid()}{time.time_ns() % 10**6}"
    script = f"""
import sys, time
from pathlib import Path
from kubernetes_cluster import running_cluster
with running_cluster(Path({str(tmp_path)!r})) as cluster:
    container = {{"name": "main", "image": "x", "command": {mark.split()!r}}}
    pod = {{"metadata": {{"name": "sleeper"}}, "spec": {{"containers": [container]}}}}
    cluster.api("POST", "/api/v1/namespaces/default/pods", pod)
    time.sleep(60)
"""
    folders = [Path(__file__).parents[1], Path(__file__).parents[2]]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    user = subprocess.Popen([sys.executable, "-c", script], env=environment)

    def processes() -> list[str]:
        pattern = f"^{mark}$|{tmp_path}"
        found = subprocess.run(
            ["pgrep", "-f", pattern], capture_output=True, text=True, check=False
        )
        return found.stdout.split()

    wait_until(lambda: subprocess.run(["pgrep", "-fx", mark]).returncode == 0, "the pod", 60)
    assert len(processes()) > 5
    user.kill()
    user.wait()
    wait_until(lambda: not processes(), "the end of everything", 10)


def test_user_of_one_namespace_may_run_jobs_there_and_only_there(space: Space) -> None:
    from kubernetes.client import ApiException, BatchV1Api, CoreV1Api
    from kubernetes.config import new_client_from_config

    client = new_client_from_config(str(space.cluster.user_kubeconfig(space.name)))
    BatchV1Api(client).create_namespaced_job(space.name, job("true"))
    assert space.end() == "Complete"
    assert CoreV1Api(client).list_node().items[0].metadata.name == "gpu-node"
    for refused in (
        lambda: CoreV1Api(client).list_namespaced_pod("default"),
        lambda: CoreV1Api(client).list_namespace(),
        lambda: CoreV1Api(client).patch_node("gpu-node", {"metadata": {"labels": {"a": "b"}}}),
    ):
        with pytest.raises(ApiException, match="403"):
            refused()


def test_unknown_user_is_refused(cluster: Cluster) -> None:
    from process_kubelet import Api

    stranger = Api(cluster.url, "guess", str(cluster.folder / "server.crt"))
    with pytest.raises(ApiError, match="401"):
        stranger("GET", "/api/v1/namespaces")
