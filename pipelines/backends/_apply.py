"""Applies documents to a cluster: asks about all of them first, then changes what is different."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from components.core.errors import (
    InputError,
    ProblemsError,
    ServiceError,
    SettingsError,
    TrainyardError,
)
from pipelines.backends._cluster import Cluster, Document, ForbiddenError, NotServedError
from pipelines.kubernetes_format import API_VERSION
from pipelines.run_starter import REQUEST_FILE

Say = Callable[[str], None]

_SCHEDULE = ("trainyard", "schedule")

LARGEST_OBJECT = 1_500_000
"""Bytes that a cluster stores in one object; a dry run, which stores nothing, does not tell."""


def apply_documents(
    cluster: Cluster,
    documents: Sequence[Document],
    say: Say,
    force: bool = False,
    dry_run: bool = False,
) -> bool:
    """Has the server check every document, then applies them in order.

    Args:
        cluster: where; documents with a namespace of their own go there.
        documents: what shall be.
        say: gets what happened to each.
        force: takes over fields that others manage.
        dry_run: only checks and says what would happen.

    Returns:
        Whether anything is, or would be, different.

    Raises:
        ProblemsError: every refusal; nothing was changed.
    """
    found: list[str | TrainyardError] = []
    states: list[str] = []
    for document in documents:
        try:
            states.append(_state(_home(cluster, document), document, force))
        except NotServedError as error:
            found.append(_unserved(document, error))
        except SettingsError as error:
            found += [f"{_label(document)}: {problem}" for problem in error.problems]
        except TrainyardError as error:
            found.append(error)
    if found:
        told = list({str(problem): problem for problem in found}.values())
        raise ProblemsError(told, f"what {cluster.namespace} shall hold; nothing was changed")
    for document, state in zip(documents, states, strict=True):
        if state != "unchanged" and not dry_run:
            _home(cluster, document).apply(document, force=force)
        say(f"{_label(document)}: {_SHOWN[dry_run][state]}")
    return any(state != "unchanged" for state in states)


_SHOWN = {
    False: {"absent": "created", "different": "changed", "unchanged": "unchanged",
            "unchecked": "created"},
    True: {"absent": "would be created", "different": "would be changed",
           "unchanged": "unchanged",
           "unchecked": "would be created; Kubeflow checks it once its Pipeline is there"},
}  # fmt: skip


def older_versions_note(cluster: Cluster, version: Document) -> str:
    """What to know where a newer version than the given one is there already, or ''.

    Kubeflow takes the version that was created last, and one that is there is not created again.
    """
    pipeline, name = version["spec"]["pipelineName"], version["metadata"]["name"]
    try:
        listed = cluster.find_all("PipelineVersion", API_VERSION)
    except ForbiddenError:
        return ""
    created = {
        v["metadata"]["name"]: str(v["metadata"]["creationTimestamp"])
        for v in listed
        if v["spec"].get("pipelineName") == pipeline
    }
    newest = max(created, key=lambda other: created[other], default=name)
    if created.get(name, "") >= created.get(newest, ""):
        return ""
    return (
        f"PipelineVersion/{name} is older than {newest}, which schedules and runs without a "
        f"version take; to make it the newest: kubectl -n {cluster.namespace} delete "
        f"pipelineversion {name}, and apply it again"
    )


def _state(cluster: Cluster, document: Document, force: bool) -> str:
    """absent, different or unchanged; the server was asked whether it takes the document."""
    kind, name = document["kind"], document["metadata"]["name"]
    if (size := len(json.dumps(document, ensure_ascii=False).encode())) > LARGEST_OBJECT:
        most = f"a cluster stores {LARGEST_OBJECT} in one object; shorten it"
        raise SettingsError([f"{size} bytes, but {most}"], name)
    existing = cluster.get(kind, name, document["apiVersion"])
    if existing is not None:
        _require_same_schedule(document, existing)
    if existing is None and _waits_for_pipeline(cluster, document):
        return "unchecked"
    made = cluster.apply(document, dry_run=True, force=force)
    if existing is None:
        return "absent"
    return "unchanged" if _content(made) == _content(existing) else "different"


def _require_same_schedule(document: Document, existing: Document) -> None:
    """A schedule changes itself only: no other's, and no object that others made."""
    if _component(document) != _SCHEDULE:
        return
    if _component(existing) != _SCHEDULE:
        made = "is no schedule of trainyard's"
        raise InputError(f"{_label(existing)} exists and {made}; give another --name")
    own, other = _ordered(document), _ordered(existing)
    if own != other:
        raise InputError(
            f"{_label(existing)}: the name is already taken by the schedule of {other}; give "
            "another --name"
        )


def _component(document: Document) -> tuple[str, str]:
    """Who made an object, and as what."""
    labels = document["metadata"].get("labels") or {}
    keys = ("app.kubernetes.io/managed-by", "app.kubernetes.io/component")
    return str(labels.get(keys[0])), str(labels.get(keys[1]))


def _ordered(document: Document) -> str:
    """The pipeline that the ConfigMap of a schedule names; '' for its CronJob."""
    order = (document.get("data") or {}).get(REQUEST_FILE)
    try:
        return str(json.loads(order)["pipeline"]) if order else ""
    except (ValueError, KeyError, TypeError):
        return "something else"


def _waits_for_pipeline(cluster: Cluster, document: Document) -> bool:
    """Kubeflow refuses a version without its Pipeline, in a dry run too."""
    if document["kind"] != "PipelineVersion":
        return False
    pipeline = str(document["spec"].get("pipelineName", ""))
    return cluster.get("Pipeline", pipeline, document["apiVersion"]) is None


def _content(document: Document) -> Document:
    """An object without what the server notes at each request."""
    volatile = ("managedFields", "resourceVersion", "generation")
    about = {k: v for k, v in document["metadata"].items() if k not in volatile}
    return {**document, "metadata": about}


def _home(cluster: Cluster, document: Document) -> Cluster:
    return cluster.within(str(document["metadata"].get("namespace", "")))


def _label(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def _unserved(document: Document, error: NotServedError) -> ServiceError:
    if document["apiVersion"].partition("/")[0] != API_VERSION.partition("/")[0]:
        return error
    return ServiceError(
        f"{error}: the Kubeflow there does not keep pipelines in Kubernetes. Its API server does "
        "with the flag --pipelinesStoreKubernetes; as it is, upload instead: "
        "trainyard run PIPELINE --backend kubeflow"
    )
