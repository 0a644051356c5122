"""What Kubernetes documents mean to the linter: their names, namespaces and the pods they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.container_rules import Document

CLUSTER_WIDE = {
    "APIService", "ClusterQueue", "ClusterRole", "ClusterRoleBinding", "ClusterSecretStore",
    "ClusterTrainingRuntime", "CustomResourceDefinition", "IngressClass",
    "MutatingWebhookConfiguration", "Namespace", "PersistentVolume", "PriorityClass",
    "ResourceFlavor", "RuntimeClass", "StorageClass", "ValidatingWebhookConfiguration",
}  # fmt: skip
"""Kinds without a namespace."""

LONG_RUNNING = ("Deployment", "StatefulSet", "DaemonSet")
_TEMPLATES = (*LONG_RUNNING, "ReplicaSet", "Job")


@dataclass(frozen=True)
class Object:
    """One Kubernetes document."""

    document: Document

    @property
    def kind(self) -> str:
        """Such as `Job`."""
        return str(self.document.get("kind") or "")

    @property
    def metadata_given(self) -> object:
        """As it stands in the document, whatever its shape."""
        return self.document.get("metadata")

    @property
    def metadata(self) -> Document:
        """Name, namespace, labels, annotations."""
        return _mapping(self.document.get("metadata"))

    @property
    def name(self) -> str:
        """'' where it has none."""
        return str(self.metadata.get("name") or "")

    @property
    def namespace(self) -> str:
        """'' for that of whoever applies it."""
        return str(self.metadata.get("namespace") or "")

    @property
    def spec(self) -> Document:
        """Its specification; empty where it has none."""
        return _mapping(self.document.get("spec"))

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.kind or 'document'}/{self.name or '?'}"

    @property
    def job(self) -> Document | None:
        """The specification of the Job it is or makes."""
        if self.kind == "CronJob":
            return _mapping(_mapping(self.spec.get("jobTemplate")).get("spec"))
        return self.spec if self.kind == "Job" else None

    @property
    def template(self) -> Document | None:
        """Metadata and specification of the pods it makes."""
        if self.kind == "Pod":
            return self.document
        if self.kind == "CronJob":
            return _mapping((self.job or {}).get("template"))
        return _mapping(self.spec.get("template")) if self.kind in _TEMPLATES else None

    @property
    def pod(self) -> Document | None:
        """Specification of the pods it makes."""
        return None if self.template is None else _mapping(self.template.get("spec"))

    @property
    def pod_labels(self) -> Document:
        """Labels of the pods it makes."""
        return _mapping(_mapping((self.template or {}).get("metadata")).get("labels"))


def objects(documents: Iterable[Document]) -> Iterator[Object]:
    """Every object, those in Lists too."""
    for document in documents if isinstance(documents, list | tuple) else ():
        if not isinstance(document, dict):
            continue
        if is_list(document):
            yield from objects(document["items"])
        elif document:
            yield Object(document)


def is_list(document: Any) -> bool:
    """Whether a document holds others, as `kubectl get -o yaml` writes them."""
    listed = isinstance(document, dict) and "items" in document
    return listed and str(document.get("kind", "")).endswith("List")


def selects(selector: Document, labels: Document) -> bool:
    """Whether a label selector takes these labels."""
    wanted = _mapping(selector.get("matchLabels"))
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _meets(expression, labels) for expression in selector.get("matchExpressions") or []
    )


def _meets(expression: Document, labels: Document) -> bool:
    value, values = labels.get(str(expression.get("key"))), expression.get("values") or []
    operators = {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }
    return operators.get(str(expression.get("operator")), False)


def _mapping(value: Any) -> Document:
    return value if isinstance(value, dict) else {}
