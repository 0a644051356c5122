"""What the pods of Jobs need of a cluster, looked for before anything is created."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from components.core.errors import InputError
from pipelines.backends._cluster import Cluster, Document, ExistsError
from pipelines.backends._job_follow import needed_secrets, secret_command
from pipelines.backends._job_submit import missing
from pipelines.node_groups import created


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
    found = missing(cluster, _needed(cluster.namespace, jobs))
    if not found:
        return
    with suppress(ExistsError):  # where there is no such namespace, that is what to tell
        cluster.create(documents[0], dry_run=True)
    raise InputError("\n".join(found))


def _needed(namespace: str, jobs: Sequence[Document]) -> dict[tuple[str, str], str]:
    """Kind and name of what the pods of Jobs need → how to make it."""
    kubectl = f"kubectl -n {namespace} apply -k"
    groups = [d for job in jobs for d in created(job) if d["kind"] == "Job"]
    needed: dict[tuple[str, str], str] = {}
    keys: dict[str, list[str]] = {}
    for job in [*jobs, *groups]:
        pod = job["spec"]["template"]["spec"]
        if account := pod.get("serviceAccountName"):
            needed["ServiceAccount", account] = f"{kubectl} prp/driver"
        for volume in pod["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                how = f"{kubectl} prp/volume, or another --pvc"
                needed["PersistentVolumeClaim", claim["claimName"]] = how
        for name, wanted in needed_secrets(pod).items():
            keys.setdefault(name, []).extend(wanted)
    secrets = {("Secret", name): secret_command(namespace, name, keys[name]) for name in keys}
    return {**needed, **secrets}
