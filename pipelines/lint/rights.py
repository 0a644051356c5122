"""Checks roles and their bindings: named verbs on named resources, and nobody's secrets."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.container_rules import Document, Finding

_POWERS = ("bind", "escalate", "impersonate")
_READS = ("get", "list", "watch", "*")
_ADMIN = ("cluster-admin", "admin", "edit")
_INSIDE = ("pods/exec", "pods/attach", "pods/portforward", "nodes/proxy", "serviceaccounts/token")


def check_role(where: str, document: Document) -> Iterator[Finding]:
    """Findings in the rules of a Role or ClusterRole."""
    for number, rule in enumerate(document.get("rules") or []):
        place = f"{where}: rules[{number}]"
        resources, verbs = rule.get("resources") or [], rule.get("verbs") or []
        for field in ("apiGroups", "resources", "verbs", "nonResourceURLs"):
            if any("*" in str(item) for item in rule.get(field) or []):
                yield Finding(f"{place}.{field}", "allows everything (*)", "name what is needed")
        for verb in verbs:
            if verb in _POWERS:
                text = f"{verb!r} makes its owner anybody"
                yield Finding(f"{place}.verbs", text, "leave it out")
        for resource in resources:
            if resource in _INSIDE:
                text = f"{resource} lets its owner act as others"
                yield Finding(f"{place}.resources", text, "leave it out")
        reads = [verb for verb in verbs if verb in _READS]
        named = rule.get("resourceNames")
        if "secrets" in resources and reads and (not named or set(reads) - {"get"}):
            text = f"may {', '.join(reads)} secrets"
            mend = "mount the Secret instead, or allow get on resourceNames only"
            yield Finding(f"{place}.resources", text, mend)


def check_binding(where: str, document: Document) -> Iterator[Finding]:
    """Findings in a RoleBinding or ClusterRoleBinding."""
    role = (document.get("roleRef") or {}).get("name")
    if role in _ADMIN:
        yield Finding(f"{where}: roleRef", f"gives {role}", "bind a role of named verbs")
    for subject in document.get("subjects") or []:
        name = str(subject.get("name"))
        if name in ("system:anonymous", "system:unauthenticated", "system:authenticated"):
            yield Finding(f"{where}: subjects", f"gives it to {name}", "name a ServiceAccount")
        if subject.get("kind") == "ServiceAccount" and name == "default":
            text = "gives it to every pod without a ServiceAccount of its own"
            yield Finding(f"{where}: subjects", text, "name another ServiceAccount")
