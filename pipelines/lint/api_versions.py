"""Checks that a document's kind is served in the API version it names."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.container_rules import Document, Finding

_SERVED = {
    **dict.fromkeys(
        (
            "ConfigMap", "Namespace", "PersistentVolume", "PersistentVolumeClaim", "Pod", "Secret",
            "Service", "ServiceAccount",
        ),
        ("v1",),
    ),
    **dict.fromkeys(("CronJob", "Job"), ("batch/v1",)),
    **dict.fromkeys(("DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"), ("apps/v1",)),
    **dict.fromkeys(
        ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
        ("rbac.authorization.k8s.io/v1",),
    ),
    **dict.fromkeys(("Ingress", "NetworkPolicy"), ("networking.k8s.io/v1",)),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "autoscaling/v1"),
    "PodDisruptionBudget": ("policy/v1",),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1",),
    "PriorityClass": ("scheduling.k8s.io/v1",),
    "StorageClass": ("storage.k8s.io/v1",),
    "Pipeline": ("pipelines.kubeflow.org/v2beta1",),
    "PipelineVersion": ("pipelines.kubeflow.org/v2beta1",),
    "ScheduledWorkflow": ("kubeflow.org/v1beta1",),
}  # fmt: skip
_OTHERS = ("extensions",)
"""Groups that served some of these kinds once."""
_GROUPS = {version.rpartition("/")[0] for served in _SERVED.values() for version in served}


def check_api_version(where: str, document: Document) -> Iterator[Finding]:
    """A version that was removed, such as batch/v1beta1; kinds of the same name elsewhere pass."""
    given = str(document.get("apiVersion") or "")
    served = _SERVED.get(str(document.get("kind")), ())
    known = given.rpartition("/")[0] in {*_GROUPS, *_OTHERS}
    if given and served and known and given not in served:
        text = f"{given} does not serve this kind"
        yield Finding(f"{where}: apiVersion", text, f"use {' or '.join(served)}")
