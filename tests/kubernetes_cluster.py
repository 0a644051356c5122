"""A real Kubernetes control plane on loopback ports, with nodes that run pods as processes.

etcd, API server (TLS, RBAC) and controllers are the released ones; scheduling and running is
process_kubelet's. No containers, no images, nothing outside the given folder; needs Linux and
the right to mount (root).
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import urllib3
import yaml
from process_kubelet import Api, ApiError
from process_kubelet.root import isolated
from servers import free_port, server_binary

from components.core.lifetime import die_with_parent

START_SECONDS = 60.0
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "persistentvolumeclaim-protection-controller",
    "pod-garbage-collector-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "ttl-after-finished-controller",
)
GPU_NODE = {
    "name": "gpu-node",
    "labels": {
        "kubernetes.io/arch": "amd64",
        "nvidia.com/gpu.product": "NVIDIA-A10",
        "topology.kubernetes.io/region": "us-west",
    },
    "capacity": {
        "cpu": "32",
        "memory": "256Gi",
        "ephemeral-storage": "500Gi",
        "nvidia.com/gpu": "4",
        "pods": "110",
    },
}


class ClusterAbsentError(Exception):
    """The cluster's binary has not been built, or pods cannot be run here."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster. `kubeconfig` is the administrator's; nothing is set in the environment."""

    folder: Path
    url: str
    kubeconfig: Path
    api: Api
    """Plain JSON requests as the administrator: `cluster.api("GET", "/api/v1/nodes")`."""

    def client(self) -> Any:
        """A kubernetes.client.ApiClient of the administrator."""
        from kubernetes.config import new_client_from_config

        return new_client_from_config(str(self.kubeconfig))

    def namespace(self, labels: dict[str, str] | None = None) -> str:
        """The name of a new namespace whose default ServiceAccount is ready.

        With the label `pod-security.kubernetes.io/enforce: restricted` it refuses pods that do not
        keep to that Pod Security Standard.
        """
        name = f"test-{uuid.uuid4().hex[:8]}"
        metadata = {"name": name, "labels": labels or {}}
        self.api("POST", "/api/v1/namespaces", {"metadata": metadata})
        self._wait_for_account(name)
        return name

    def _wait_for_account(self, namespace: str) -> None:
        space = f"/api/v1/namespaces/{namespace}"
        wanted = (f"{space}/serviceaccounts/default", f"{space}/configmaps/kube-root-ca.crt")
        wait_until(lambda: all(self.api.find(path) for path in wanted), "a default ServiceAccount")

    def user_kubeconfig(self, namespace: str) -> Path:
        """The kubeconfig of a user of a shared cluster, with that namespace as its default.

        He may do there what the ClusterRole `edit` allows, and read nodes; nothing else.
        """
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        account = {"kind": "ServiceAccount", "name": "user", "namespace": namespace}
        nodes = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}
        role = {"metadata": {"name": f"nodes-{namespace}"}, "rules": [nodes]}
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.api("POST", accounts, {"metadata": {"name": "user"}})
        self.api("POST", f"{rbac}/clusterroles", role)
        for path, name in (
            (f"{rbac}/namespaces/{namespace}/rolebindings", "edit"),
            (f"{rbac}/clusterrolebindings", f"nodes-{namespace}"),
        ):
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
            binding = {"roleRef": reference | {"name": name}, "subjects": [account]}
            self.api("POST", path, {"metadata": {"name": name}, **binding})
        token = self.api("POST", f"{accounts}/user/token", {"spec": {}})["status"]["token"]
        return _write_kubeconfig(self.folder, f"{namespace}.kubeconfig", self.url, token, namespace)

    def delete_namespace(self, name: str) -> None:
        """Ends what runs in a namespace at once and asks for its removal."""
        pods = f"/api/v1/namespaces/{name}/pods"
        self.api("DELETE", f"/api/v1/namespaces/{name}")
        for pod in self.api("GET", pods)["items"]:
            with suppress(ApiError):  # it has ended by itself
                self.api("DELETE", f"{pods}/{pod['metadata']['name']}", {"gracePeriodSeconds": 1})

    def claim_folder(self, namespace: str, claim: str) -> Path:
        """Where the files of a PersistentVolumeClaim lie; it may be filled before the claim is."""
        folder = self.folder / "claims" / namespace / claim
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def evict(self, namespace: str, pod: str, grace_seconds: int | None = None) -> None:
        """Evicts a pod as a node drain or a preemption does (condition DisruptionTarget)."""
        options = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        body = {"metadata": {"name": pod}, "deleteOptions": options}
        self.api("POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", body)


@contextmanager
def running_cluster(
    folder: Path,
    nodes: Sequence[dict[str, Any]] = (GPU_NODE,),
    image_environment: dict[str, str] | None = None,
) -> Iterator[Cluster]:
    """Starts a cluster in an empty folder; yields it once pods can run.

    `image_environment` adds variables that every image sets.

    Raises:
        ClusterAbsentError: it has not been built, or mounting is not permitted.
        RuntimeError: it does not start; carries what it said.
    """
    binary = server_binary("kubernetes")
    if not binary.is_file():
        raise ClusterAbsentError(
            f"no Kubernetes in {binary.parent}; `sh tests/build_servers.sh` builds it"
        )
    _check_isolation(folder)
    certificate, key = folder / "server.crt", folder / "server.key"
    subprocess.run([binary, "certificate", certificate, key], check=True)
    port, token = free_port(), secrets.token_urlsafe(24)
    url = f"https://127.0.0.1:{port}"
    kubeconfig = _write_kubeconfig(folder, "kubeconfig", url, token)
    cluster = Cluster(folder, url, kubeconfig, Api(url, token, str(certificate)))
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, *command: str | Path) -> None:
        with open(folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=partial(die_with_parent, signal.SIGKILL),
            )
        processes.append(process)

    def ready(what: Callable[[], object]) -> None:
        def check() -> object:
            for process in processes:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args!r} ended")
            with suppress(urllib3.exceptions.HTTPError, ApiError):
                return what()
            return None

        wait_until(check, "the cluster")

    try:
        etcd = _start_etcd(start, binary, folder)
        start("apiserver", binary, "apiserver", *_apiserver_flags(folder, etcd, port, token))
        ready(lambda: cluster.api.find("/api/v1/namespaces/default"))
        ready(lambda: cluster.api.get_text("/readyz") == "ok")
        start("manager", binary, "manager", *_manager_flags(folder, cluster.kubeconfig))
        settings = {
            "url": url,
            "token": token,
            "certificate": str(certificate),
            "key": str(key),
            "folder": str(folder),
            "nodes": list(nodes),
            "image_environment": _image_environment(port) | (image_environment or {}),
        }
        (folder / "kubelet.json").touch(mode=0o600)
        (folder / "kubelet.json").write_text(json.dumps(settings))
        script = Path(__file__).with_name("process_kubelet")
        start("kubelet", "unshare", "--mount", sys.executable, script, folder / "kubelet.json")
        for node in nodes:
            ready(partial(cluster.api.find, f"/api/v1/nodes/{node['name']}"))
        cluster._wait_for_account("default")
        yield cluster
    except RuntimeError as error:
        logs = [f"{log.name}:\n{log.read_text()[-2000:]}" for log in folder.glob("*.log")]
        raise RuntimeError("\n".join([str(error), *logs])) from error
    finally:
        for process in reversed(processes):  # the kubelet first: its pods end with it
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], object], what: str, seconds: float = START_SECONDS) -> Any:
    """The condition's first true value.

    Raises:
        RuntimeError: it does not come true in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise RuntimeError(f"{what} is not ready after {seconds:g} s")


def _check_isolation(folder: Path) -> None:
    """Runs `true` as a container would be run."""
    request = {
        "command": ["true"],
        "environment": {"PATH": os.defpath},
        "folder": "/",
        "group": 0,
        "groups": [],
        "hidden": str(folder),
        "hostname": "check",
        "mounts": [],
        "read_only": True,
        "user": 0,
    }
    if lacking := [tool for tool in ("setpriv", "unshare") if not shutil.which(tool)]:
        raise ClusterAbsentError(f"pods run as processes with {lacking} of util-linux")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        file = folder / "check.json"
        file.write_text(json.dumps(request | {"scratch": scratch}))
        result = subprocess.run(isolated(file, 2), capture_output=True, text=True, check=False)
    if result.returncode:
        raise ClusterAbsentError(f"pods need the right to mount (root): {result.stderr.strip()}")


def _write_kubeconfig(
    folder: Path, name: str, url: str, token: str, namespace: str = "default"
) -> Path:
    authority = base64.b64encode((folder / "server.crt").read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "bed",
                "cluster": {"server": url, "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [
            {
                "name": "bed",
                "context": {"cluster": "bed", "user": "user", "namespace": namespace},
            }
        ],
        "current-context": "bed",
    }
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def _start_etcd(start: Callable[..., None], binary: Path, folder: Path) -> str:
    """Starts etcd; returns its address."""
    url = f"http://127.0.0.1:{free_port()}"
    peers = f"http://127.0.0.1:{free_port()}"
    flags = {
        "data-dir": folder / "etcd",
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"default={peers}",
        "unsafe-no-fsync": "true",
    }
    start("etcd", binary, "etcd", *(f"--{name}={value}" for name, value in flags.items()))
    return url


def _apiserver_flags(folder: Path, etcd: str, port: int, token: str) -> list[str]:
    tokens = folder / "tokens.csv"
    tokens.touch(mode=0o600)
    tokens.write_text(f'{token},admin,admin,"system:masters"\n')
    flags = {
        "etcd-servers": etcd,
        "bind-address": "127.0.0.1",
        "secure-port": port,
        "endpoint-reconciler-type": "none",
        "service-cluster-ip-range": "10.0.0.0/24",
        "cert-dir": folder / "certificates",
        "tls-cert-file": folder / "server.crt",
        "tls-private-key-file": folder / "server.key",
        "authorization-mode": "RBAC",
        "token-auth-file": tokens,
        "anonymous-auth": "false",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": folder / "server.key",
        "service-account-signing-key-file": folder / "server.key",
    }
    return [f"--{name}={value}" for name, value in flags.items()]


def _manager_flags(folder: Path, kubeconfig: Path) -> list[str]:
    flags = {
        "kubeconfig": kubeconfig,
        "controllers": ",".join(CONTROLLERS),
        "leader-elect": "false",
        "secure-port": 0,
        "root-ca-file": folder / "server.crt",
        "cert-dir": folder / "certificates",
    }
    return [f"--{name}={value}" for name, value in flags.items()]


def _image_environment(port: int) -> dict[str, str]:
    """What images and nodes set: this interpreter first on the PATH, and the API's address."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(port),
    }
    if threads := os.environ.get("OMP_NUM_THREADS"):
        environment["OMP_NUM_THREADS"] = threads
    return environment
