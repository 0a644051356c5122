"""What the pods of Jobs need of a cluster, looked for before anything is created."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from components.core.errors import InputError
from pipelines.backends._cluster import Cluster, Document, ExistsError, ForbiddenError
from pipelines.backends._job_follow import needed_secrets, secret_command
from pipelines.backends._job_submit import missing
from pipelines.node_groups import created
from pipelines.placement import QUEUE_LABEL

KUEUE_VERSIONS = ("kueue.x-k8s.io/v1beta2", "kueue.x-k8s.io/v1beta1")
"""The newest first; clusters serve one or both."""


def require_surroundings(
    cluster: Cluster, documents: Sequence[Document], jobs: Sequence[Document]
) -> None:
    """Makes sure of what pods need, and would wait for without end.

    Args:
        cluster: where.
        documents: what is about to be created.
        jobs: whose pods, those of the groups that they will create included.

    Raises:
        InputError: with everything that is missing.
    """
    jobs = [*jobs, *(d for job in jobs for d in created(job) if d["kind"] == "Job")]
    found = [*missing(cluster, _needed(cluster.namespace, jobs)), *_absent_queues(cluster, jobs)]
    if not found:
        return
    with suppress(ExistsError):  # where there is no such namespace, that is what to tell
        cluster.create(documents[0], dry_run=True)
    raise InputError("\n".join(found))


def _needed(namespace: str, jobs: Sequence[Document]) -> dict[tuple[str, str], str]:
    """Kind and name of what the pods of Jobs need → how to make it."""
    how = (
        f"write namespace: {namespace} in prp/site/kustomization.yaml, then, from the repository's "
        "root: kubectl apply -k"
    )
    needed: dict[tuple[str, str], str] = {}
    keys: dict[str, list[str]] = {}
    for job in jobs:
        pod = job["spec"]["template"]["spec"]
        if account := pod.get("serviceAccountName"):
            needed["ServiceAccount", account] = f"{how} prp/driver"
        for volume in pod["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                name = claim["claimName"]
                needed["PersistentVolumeClaim", name] = (
                    f"give another --pvc, or create it; for that of prp/volume {how} prp/volume"
                )
        for source in pod.get("imagePullSecrets") or []:
            needed["Secret", source["name"]] = _registry_command(namespace, source["name"])
        for name, wanted in needed_secrets(pod).items():
            keys.setdefault(name, []).extend(wanted)
    secrets = {("Secret", name): secret_command(namespace, name, keys[name]) for name in keys}
    return {**needed, **secrets}


def _registry_command(namespace: str, name: str) -> str:
    return (
        f"kubectl -n {namespace} create secret docker-registry {name} --docker-server=… "
        "--docker-username=… --docker-password=…"
    )


def _absent_queues(cluster: Cluster, jobs: Sequence[Document]) -> list[str]:
    """Queues that nobody serves: Jobs would not queue without Kueue, nor start without theirs."""
    labels = [job["metadata"].get("labels") or {} for job in jobs]
    names = sorted({found[QUEUE_LABEL] for found in labels if QUEUE_LABEL in found})
    try:
        kueue = [v for v in KUEUE_VERSIONS if names and cluster.serves(v, "LocalQueue")]
        if names and not kueue:
            return [f"--queue {', '.join(names)}: this cluster has no Kueue; leave the option out"]
        return [
            f"--queue {name}: there is no LocalQueue/{name} in {cluster.namespace}; those there "
            f"are: kubectl -n {cluster.namespace} get localqueues"
            for name in names
            if cluster.get("LocalQueue", name, kueue[0]) is None
        ]
    except ForbiddenError:  # what we may not look at counts as there
        return []
