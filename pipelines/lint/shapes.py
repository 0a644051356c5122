"""Holds the fields of Kubernetes documents that are looked into to their shapes: mapping or list.

A server says the same, one field at a time; here it comes with all other findings.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.container_rules import Finding

_MAPPINGS = {
    "affinity", "annotations", "capabilities", "configMap", "emptyDir", "exec", "grpc", "httpGet",
    "jobTemplate", "labels", "limits", "livenessProbe", "matchLabels", "metadata", "nodeAffinity",
    "nodeSelector", "persistentVolumeClaim", "pipelineSpec", "platformSpec", "podFailurePolicy",
    "podSelector", "preference", "readinessProbe", "requests",
    "requiredDuringSchedulingIgnoredDuringExecution", "roleRef", "scaleTargetRef", "secret",
    "seccompProfile", "securityContext", "selector", "spec", "stringData", "tcpSocket", "template",
    "trainer", "valueFrom",
}  # fmt: skip
_LISTS = {
    "containers", "env", "initContainers", "matchExpressions", "nodeSelectorTerms", "ports",
    "preferredDuringSchedulingIgnoredDuringExecution", "rules", "subjects", "tolerations",
    "volumeClaimTemplates", "volumeMounts", "volumes",
}  # fmt: skip
"""Of mappings."""
_TEXTS = {
    "add", "apiGroups", "args", "command", "drop", "nonResourceURLs", "resourceNames", "values",
    "verbs",
}  # fmt: skip
"""Lists of texts or numbers."""


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
