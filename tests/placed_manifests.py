"""manifests/ on a cluster: an overlay's documents in namespaces of a test's own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes_cluster import Cluster
from kustomized import Document, kustomize, where
from servers import absent

ROOT = Path(__file__).resolve().parent.parent
CRDS = ("external_secrets.yaml", "kueue.yaml")
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass(frozen=True)
class Place:
    """An overlay's documents with namespaces of the test's in place of their own."""

    cluster: Cluster
    names: dict[str, str]
    documents: list[Document]

    @property
    def text(self) -> str:
        return yaml.safe_dump_all(self.documents)

    def kubectl(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", f"--kubeconfig={self.cluster.kubeconfig}", *words],
            input=self.text if stdin is None else stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def apply(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.kubectl(
            "apply",
            "--server-side",
            "--field-manager=tests",
            "--validate=strict",
            *words,
            "-f",
            "-",
        )

    def versions(self) -> dict[str, str]:
        """Every document's resourceVersion, as the server has it."""
        found = json.loads(self.kubectl("get", "-f", "-", "-o", "json").stdout)["items"]
        return {where(item): item["metadata"]["resourceVersion"] for item in found}


def renamed(value: Any, names: dict[str, str]) -> Any:
    """The documents in other namespaces: where they are, whom they bind, whom they let in."""
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    is_namespace = value.get("kind") == "Namespace"
    made = {key: renamed(item, names) for key, item in value.items()}
    for key in ("namespace", "kubernetes.io/metadata.name"):
        if made.get(key) in names:
            made[key] = names[made[key]]
    if is_namespace:
        made["metadata"]["name"] = names[made["metadata"]["name"]]
    return made


@contextmanager
def placed(cluster: Cluster, overlay: str) -> Iterator[Place]:
    """An overlay that is about to be applied; all of it goes in the end."""
    if shutil.which("kubectl") is None:
        absent("no kubectl is here to apply manifests/")
    _serve_kinds(cluster)
    documents = kustomize(ROOT / "manifests" / "overlays" / overlay)
    spaces = {d["metadata"].get("namespace", "") for d in documents} - {""}
    names = {space: cluster.namespace(RESTRICTED) for space in sorted(spaces)}
    yield Place(cluster, names, renamed(documents, names))
    for name in names.values():
        cluster.delete_namespace(name)


def _serve_kinds(cluster: Cluster) -> None:
    """Makes the server know External Secrets' and Kueue's kinds."""
    kinds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    if cluster.api.find(f"{kinds}/localqueues.kueue.x-k8s.io"):
        return
    for name in CRDS:
        path = ROOT / "tests" / "kubernetes_crds" / name
        command = ["kubectl", f"--kubeconfig={cluster.kubeconfig}"]
        subprocess.run([*command, "apply", "--server-side", "-f", path], check=True)
        subprocess.run([*command, "wait", "--for=condition=Established", "-f", path], check=True)
