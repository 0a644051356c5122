"""Checks any Kubernetes documents that are written or applied here: security, resources, names,
rights, secrets, and whether they fit each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipelines.container_rules import Document, Finding, check_environment, check_image
from pipelines.lint import lint_pipeline, rights, security, sets, workspace
from pipelines.lint import prp as prp_rules
from pipelines.lint.api_versions import check_api_version
from pipelines.lint.jobs import check_cron_job, check_job
from pipelines.lint.names import check_kubernetes_names, lint_names
from pipelines.lint.pods import check_pod
from pipelines.lint.recurring import check_scheduled_workflow
from pipelines.lint.secrets import check_annotations, check_told
from pipelines.lint.shapes import check_fields, check_lists, check_shapes
from pipelines.lint.spelling import check_spelling
from pipelines.lint.workloads import LONG_RUNNING, Object, objects, selects
from pipelines.names import (
    KEY_RULE,
    LABEL_RULE,
    NAME_RULE,
    VALUE_RULE,
    content_hash,
    is_label,
    is_label_key,
    is_label_value,
    is_name,
)
from pipelines.secret_words import secret_in_program, secret_in_text, secret_in_value

_LABEL_NAMES = ("Service", "Namespace", "Job")
_FREE_NAMES = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
LARGEST_ANNOTATIONS = 256 * 2**10
"""Bytes; what Kubernetes takes of one object."""


def lint_kubernetes(documents: Sequence[Document], prp: bool = False) -> list[Finding]:
    """Every finding in Kubernetes documents, taken one by one and together.

    Args:
        documents: of any kinds; Lists are looked into.
        prp: also holds pods to the rules of shared GPU clusters.
    """
    sound: list[Object] = []
    found: list[Finding] = list(check_lists(documents))
    for one in objects(documents):
        if misshapen := list(_check_shapes(one)):
            found += misshapen  # what follows relies on the shapes
        else:
            sound.append(one)
    for one in sound:
        found += _check_object(one, prp)
    return [*found, *sets.check_set(sound)]


_LOOKED_INTO = (
    "ConfigMap", "CronJob", "DaemonSet", "Deployment", "HorizontalPodAutoscaler", "Job",
    "NetworkPolicy", "PipelineVersion", "Pod", "ReplicaSet", "Secret", "Service", "StatefulSet",
    "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "TrainJob", "ScheduledWorkflow",
    "PersistentVolumeClaim",
)  # fmt: skip


def _check_shapes(one: Object) -> Iterator[Finding]:
    whole = one.document if one.kind in _LOOKED_INTO else {"metadata": one.metadata_given}
    yield from check_shapes(one.where, whole)
    if one.kind in ("ConfigMap", "Secret"):
        data = one.document.get("data")
        if data is not None and not isinstance(data, dict):
            yield Finding(f"{one.where}: data", "is no mapping", "write keys and texts here")


def _check_object(one: Object, prp: bool) -> Iterator[Finding]:
    yield from _check_metadata(one)
    if one.kind in _LOOKED_INTO:
        yield from check_fields(one.where, one.kind, one.document)
    yield from check_spelling(one.where, one.kind, one.document)
    if one.kind == "ConfigMap":
        yield from _check_config_map(one)
    elif one.kind == "Secret":
        yield from _check_secret(one)
    elif one.kind in ("Role", "ClusterRole"):
        yield from rights.check_role(one.where, one.document)
    elif one.kind in ("RoleBinding", "ClusterRoleBinding"):
        yield from rights.check_binding(one.where, one.document)
    elif one.kind == "PipelineVersion":
        yield from _check_version(one)
    elif one.kind == "TrainJob":
        yield from _check_train_job(one)
    elif one.kind == "ScheduledWorkflow":
        yield from check_scheduled_workflow(one.where, one.document)
    elif one.kind == "PersistentVolumeClaim":
        yield from workspace.check_claim_spec(f"{one.where}: spec", one.spec)
    elif one.kind == "NetworkPolicy":
        yield from security.check_network_policy(one.where, one.spec)
    if one.kind in ("Pipeline", "PipelineVersion"):
        told = {key: one.spec.get(key) for key in ("description", "displayName")}
        yield from check_told(f"{one.where}: spec", told)
    if one.kind == "CronJob":
        yield from check_cron_job(one)
    if one.job is not None:
        yield from check_job(one.where, one.job)
        if prp:
            yield from prp_rules.check_job(one.where, one.job)
    if one.kind in LONG_RUNNING:
        yield from _check_selector(one)
    if one.pod is not None:
        yield from _check_template(one, prp)


def _check_template(one: Object, prp: bool) -> Iterator[Finding]:
    claims = [
        str((claim.get("metadata") or {}).get("name"))
        for claim in one.spec.get("volumeClaimTemplates") or []
    ]
    yield from check_pod(one.where, one.pod or {}, kind=one.kind, prp=prp, templates=tuple(claims))
    if one.kind != "Pod":
        metadata = (one.template or {}).get("metadata") or {}
        yield from _check_labels(f"{one.where}: template.metadata", metadata)


def _check_metadata(one: Object) -> Iterator[Finding]:
    where = f"{one.where}: metadata"
    if not one.kind or not one.document.get("apiVersion"):
        text = "without apiVersion or kind it is no Kubernetes document"
        yield Finding(one.where, text, "write both")
    yield from check_api_version(one.where, one.document)
    if not one.name and not one.metadata.get("generateName"):
        yield Finding(f"{where}.name", "is missing", NAME_RULE)
    elif one.name and one.kind in _LABEL_NAMES and not is_label(one.name):
        yield Finding(f"{where}.name", f"{one.name!r} is no DNS label", LABEL_RULE)
    elif one.name and one.kind not in _FREE_NAMES and not is_name(one.name):
        yield Finding(f"{where}.name", f"{one.name!r} is no name", NAME_RULE)
    if one.namespace and not is_label(one.namespace):
        yield Finding(f"{where}.namespace", f"{one.namespace!r} is no DNS label", LABEL_RULE)
    yield from _check_labels(where, one.metadata)


def _check_labels(where: str, metadata: Document) -> Iterator[Finding]:
    for key, value in (metadata.get("labels") or {}).items():
        if not is_label_key(key):
            yield Finding(f"{where}.labels", f"{key!r} is no key of a label", KEY_RULE)
        if not is_label_value(value):
            yield Finding(f"{where}.labels.{key}", "its value is none of a label", VALUE_RULE)
    for key, value in (metadata.get("annotations") or {}).items():
        if not is_label_key(key):
            yield Finding(f"{where}.annotations", f"{key!r} is no key", KEY_RULE)
        if not isinstance(value, str):
            yield Finding(f"{where}.annotations.{key}", "is no text", "put it in quotes")
    size = sum(
        len(str(part).encode())
        for pair in (metadata.get("annotations") or {}).items()
        for part in pair
    )
    if size > LARGEST_ANNOTATIONS:
        text = f"{size} bytes; an object may have {LARGEST_ANNOTATIONS} of them"
        yield Finding(f"{where}.annotations", text, "keep long texts in a ConfigMap or a file")
    for kind in ("labels", "annotations"):
        yield from check_annotations(f"{where}.{kind}", metadata.get(kind) or {})


def _check_config_map(one: Object) -> Iterator[Finding]:
    for key, value in (one.document.get("data") or {}).items():
        find = secret_in_program if str(key).endswith(".py") else secret_in_text
        if problem := secret_in_value(str(key), str(value)) or find(str(value)):
            yield Finding(f"{one.where}: data.{key}", problem, "keep it in a Secret")


def _check_secret(one: Object) -> Iterator[Finding]:
    values = [
        *(one.document.get("data") or {}).values(),
        *(one.document.get("stringData") or {}).values(),
    ]
    if any(str(value or "").strip() for value in values):
        mend = "create it with kubectl or an ExternalSecret, not from a document"
        yield Finding(one.where, "holds secret values", mend)


def _check_selector(one: Object) -> Iterator[Finding]:
    selector = one.spec.get("selector") or {}
    if not selector or not selects(selector, one.pod_labels):
        text = "does not select its own pods"
        yield Finding(f"{one.where}: selector", text, "use labels of its pod template")


def _check_version(one: Object) -> Iterator[Finding]:
    pipeline = str(one.spec.get("pipelineName") or "")
    yield from check_kubernetes_names(f"{one.where}: metadata.name", pipeline, one.name)
    tags = one.spec.get("tags") or {}
    for finding in lint_names(version=one.name, tags=tags if isinstance(tags, Mapping) else {}):
        yield replace(finding, where=f"{one.where}: {finding.where}")
    content = [one.spec.get("pipelineSpec") or {}, one.spec.get("platformSpec") or {}]
    content = [part for part in content if part]
    yield from _check_hash(one, content)
    for finding in lint_pipeline(content):
        yield replace(finding, where=f"{one.where}: {finding.where}")


def _check_hash(one: Object, content: Sequence[Document]) -> Iterator[Finding]:
    """A version of ours is named by what it holds."""
    labels = one.metadata.get("labels") or {}
    ours = labels.get("app.kubernetes.io/managed-by") == "trainyard"
    hashed = re.search(r"-([0-9a-f]{10})$", one.name)
    if ours and hashed and hashed[1] != (right := content_hash(content)):
        text = f"{one.name!r} is the name of another content; this one has the hash {right}"
        mend = "compile it again, or give it a name and labels of its own"
        yield Finding(f"{one.where}: metadata.name", text, mend)


def _check_train_job(one: Object) -> Iterator[Finding]:
    trainer = one.spec.get("trainer") or {}
    if "image" in trainer:
        yield from check_image(f"{one.where}: trainer", trainer["image"])
    yield from check_environment(f"{one.where}: trainer", trainer.get("env") or [])
