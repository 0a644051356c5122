"""Creates Jobs so that asking twice for the same thing does it once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from components.core.errors import InputError
from pipelines.backends._cluster import Cluster, Document, ExistsError, ForbiddenError
from pipelines.backends._job_follow import job_end
from pipelines.jobs import CONTENT_ANNOTATION


def content_of(document: Document) -> str:
    """The digest of what a Job was asked for; '' for a Job that is not ours."""
    annotations = document["metadata"].get("annotations") or {}
    return str(annotations.get(CONTENT_ANNOTATION, ""))


def owner_reference(job: Document) -> Document:
    """What makes an object vanish with a Job."""
    about = job["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": about["name"],
        "uid": about["uid"],
    }


def submit(
    cluster: Cluster,
    documents: Sequence[Document],
    say: Callable[[str], None],
    before_replacing: Callable[[Document], None] = lambda job: None,
) -> Document:
    """Creates a ConfigMap and its Job, or finds the Job that does the same already.

    A Job that failed is replaced; what it did lies in its state directory, so the new one resumes.

    Args:
        cluster: where.
        documents: the ConfigMap and the Job.
        say: gets what was done.
        before_replacing: called with the failed Job before it is deleted.

    Returns:
        The Job as the cluster has it.

    Raises:
        InputError: a Job of this name does something else.
        TrainyardError: the cluster refuses.
    """
    config, wanted = documents
    name = wanted["metadata"]["name"]
    existing = find_same(cluster, wanted)
    if existing is not None:
        end = job_end(cluster, existing)
        if end is None or end.exit_code == 0:
            state = "is running already" if end is None else "is done already"
            say(f"Job/{name} {state}; nothing was created")
            return existing
        say(f"Job/{name} failed earlier; a new one takes its place and goes on where it stopped")
        before_replacing(existing)
        cluster.delete("Job", name)
        cluster.wait_gone("Job", name, existing["metadata"]["uid"])
    require_acceptance(cluster, documents)
    made = create_with_config(cluster, config, wanted)
    say(f"created Job/{name} in {cluster.namespace}")
    return made


def require(cluster: Cluster, wanted: Mapping[tuple[str, str], str]) -> None:
    """What Jobs will need; a pod that lacks it would wait without end.

    Raises:
        InputError: with everything that is missing.
    """
    if found := missing(cluster, wanted):
        raise InputError("\n".join(found))


def missing(cluster: Cluster, wanted: Mapping[tuple[str, str], str]) -> list[str]:
    """What is not there, each with the way to make it; what we may not look at counts as there.

    Args:
        cluster: where.
        wanted: kind and name → how to make it.
    """
    found = []
    for (kind, name), fix in wanted.items():
        try:
            if not cluster.exists(kind, name):
                found.append(f"there is no {kind}/{name} in {cluster.namespace}: {fix}")
        except ForbiddenError:
            continue
    return found


def create_with_config(cluster: Cluster, config: Document, job: Document) -> Document:
    """Creates both; the ConfigMap belongs to the Job and goes with it.

    Raises:
        ExistsError: there is a Job of this name.
    """
    name = config["metadata"]["name"]
    try:
        cluster.create(config)
    except ExistsError:  # left by an attempt that ended before its Job was there
        cluster.delete("ConfigMap", name)
        cluster.create(config)
    made = cluster.create(job)
    cluster.patch("ConfigMap", name, {"metadata": {"ownerReferences": [owner_reference(made)]}})
    return made


def find_same(cluster: Cluster, wanted: Document) -> Document | None:
    """The Job of this name as the cluster has it, or None.

    Raises:
        InputError: it does something else.
    """
    name = wanted["metadata"]["name"]
    existing = cluster.get("Job", name)
    if existing is not None and content_of(existing) != content_of(wanted):
        raise InputError(
            f"Job/{name} exists in {cluster.namespace} and does something else; give another "
            f"--name, or remove it with: kubectl -n {cluster.namespace} delete job {name} "
            "(nothing was changed)"
        )
    return existing


def require_acceptance(cluster: Cluster, documents: Sequence[Document]) -> None:
    """Has the server check a ConfigMap and a Job before they are created."""
    name = documents[-1]["metadata"]["name"]
    for document in documents:
        try:
            cluster.create(document, dry_run=True)
        except ExistsError:
            if document["kind"] == "Job":
                raise InputError(
                    f"Job/{name} appeared in {cluster.namespace} just now; run the command again"
                ) from None
