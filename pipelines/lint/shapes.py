"""Holds the fields of Kubernetes documents that are looked into to their shapes: mapping or list.

A server says the same, one field at a time; here it comes with all other findings.
"""

from __future__ import annotations

from collections.abc import Iterator

from components.core.settings import closest
from pipelines.container_rules import Document, Finding
from pipelines.lint.workloads import is_list

_MAPPINGS = {
    "affinity", "annotations", "capabilities", "configMap", "emptyDir", "ephemeral", "exec", "grpc",
    "httpGet", "jobTemplate", "labels", "limits", "livenessProbe", "matchLabels", "metadata",
    "nodeAffinity", "nodeSelector", "persistentVolumeClaim", "pipelineSpec", "platformSpec",
    "podFailurePolicy", "podSelector", "preference", "readinessProbe", "requests",
    "requiredDuringSchedulingIgnoredDuringExecution", "roleRef", "scaleTargetRef", "seccompProfile",
    "secret", "securityContext", "selector", "spec", "startupProbe", "stringData", "tcpSocket",
    "template", "trainer", "valueFrom", "volumeClaimTemplate",
}  # fmt: skip
_LISTS = {
    "containers", "egress", "env", "ephemeralContainers", "ingress", "initContainers",
    "matchExpressions", "nodeSelectorTerms", "ports",
    "preferredDuringSchedulingIgnoredDuringExecution", "rules", "subjects", "tolerations",
    "volumeClaimTemplates", "volumeMounts", "volumes",
}  # fmt: skip
"""Of mappings."""
_TEXTS = {
    "add", "apiGroups", "args", "command", "drop", "nonResourceURLs", "resourceNames", "values",
    "verbs",
}  # fmt: skip
"""Lists of texts or numbers."""


_OWN_FIELDS = {
    "ConfigMap": ("data", "binaryData", "immutable"),
    "Secret": ("data", "stringData", "immutable", "type"),
    **dict.fromkeys(("Role", "ClusterRole"), ("rules", "aggregationRule")),
    **dict.fromkeys(("RoleBinding", "ClusterRoleBinding"), ("roleRef", "subjects")),
}
"""Of kinds that have neither spec nor status."""


def check_fields(where: str, kind: str, document: Document) -> Iterator[Finding]:
    """Fields that objects of a kind have not, such as a misspelt one."""
    known = ("apiVersion", "kind", "metadata", *_OWN_FIELDS.get(kind, ("spec", "status")))
    for name in document:
        if name not in known:
            text = f"unknown field {name!r}{closest(str(name), known)}"
            yield Finding(where, text, f"use {', '.join(known)}")


def check_lists(documents: object) -> Iterator[Finding]:
    """Items of Lists that are no objects."""
    for one in documents if isinstance(documents, list | tuple) else ():
        if not is_list(one):
            continue
        where, items = str(one["kind"]), one["items"]
        if not isinstance(items, list):
            yield Finding(f"{where}: items", "is no list", "write a list of objects")
            continue
        for number, item in enumerate(items):
            if not isinstance(item, dict) or not item:
                yield Finding(f"{where}: items[{number}]", "is no object", "write one, or none")
        yield from check_lists(items)


def check_shapes(
    where: str, value: object, path: str = "", rule: bool = False
) -> Iterator[Finding]:
    """Fields that are no mapping or list where one belongs.

    Args:
        where: the document.
        value: it, or a part of it.
        path: of the part.
        rule: whether the part is a rule of a role, where `resources` are a list.
    """
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from check_shapes(where, inner, f"{path}[{number}]", rule)
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        place = f"{path}.{name}" if path else str(name)
        wanted = _wanted(str(name), rule)
        if inner is None or name in ("pipelineSpec", "platformSpec"):
            continue
        if wanted == "a mapping" and not isinstance(inner, dict):
            yield Finding(f"{where}: {place}", "is no mapping", "write fields here")
        elif wanted.startswith("a list") and not isinstance(inner, list):
            yield Finding(f"{where}: {place}", "is no list", f"write {wanted}")
        elif wanted == "a list of mappings" and not all(isinstance(i, dict) for i in inner):
            yield Finding(f"{where}: {place}", "holds what is no mapping", f"write {wanted}")
        elif wanted == "a list of texts" and any(isinstance(i, dict | list) for i in inner):
            yield Finding(f"{where}: {place}", "holds what is no text", f"write {wanted}")
        elif wanted:
            yield from check_shapes(where, inner, place, name == "rules")


def _wanted(name: str, rule: bool) -> str:
    if name in _LISTS:
        return "a list of mappings"
    if name in _TEXTS or (rule and name == "resources"):
        return "a list of texts"
    return "a mapping" if name in _MAPPINGS or name == "resources" else ""
