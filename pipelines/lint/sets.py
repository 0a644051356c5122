"""Checks Kubernetes objects against each other: names, namespaces, selectors and references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from components.core.settings import closest
from pipelines.container_rules import Document, Finding
from pipelines.lint.workloads import CLUSTER_WIDE, LONG_RUNNING, Object, selects

Near = Mapping[str, Sequence[Object]]
"""Objects of one namespace by their kind."""

_WORKLOADS = "workloads"
"""In place of a kind: all that make pods."""


def check_set(objects: Sequence[Object]) -> Iterator[Finding]:
    """Every finding that takes more than one object to see."""
    yield from _check_twice(objects)
    yield from _check_namespaces(objects)
    neighbours: dict[str, dict[str, list[Object]]] = {}
    for one in objects:
        kinds = neighbours.setdefault(one.namespace, {})
        kinds.setdefault(one.kind, []).append(one)
        if one.template is not None:
            kinds.setdefault(_WORKLOADS, []).append(one)
    for one in objects:
        near = neighbours[one.namespace]
        if one.kind == "Service":
            yield from _check_service(one, near.get(_WORKLOADS, []))
        if one.kind in LONG_RUNNING:
            yield from _check_network(one, near.get("NetworkPolicy", []))
        if one.kind == "HorizontalPodAutoscaler":
            target = one.spec.get("scaleTargetRef") or {}
            kind = str(target.get("kind"))
            yield from _check_reference(one, near, kind, target.get("name"), "scaleTargetRef")
        if one.kind == "RoleBinding":
            role = one.document.get("roleRef") or {}
            yield from _check_reference(
                one, near, str(role.get("kind")), role.get("name"), "roleRef"
            )
        if one.pod is not None:
            yield from _check_pod(one, one.pod, near)


def _check_twice(objects: Sequence[Object]) -> Iterator[Finding]:
    seen = set()
    for one in objects:
        group = str(one.document.get("apiVersion", "")).rpartition("/")[0]
        identity = (group, one.kind, one.namespace, one.name)
        if one.name and identity in seen:
            yield Finding(one.where, "appears twice", "give each object a name of its own")
        seen.add(identity)


def _check_namespaces(objects: Sequence[Object]) -> Iterator[Finding]:
    placed = sorted({one.namespace for one in objects if one.namespace})
    for one in objects:
        if one.kind in CLUSTER_WIDE and one.namespace:
            yield Finding(f"{one.where}: metadata.namespace", "it has none", "leave it out")
        if placed and one.kind not in CLUSTER_WIDE and not one.namespace:
            text = f"none, while others are in {', '.join(placed)}"
            yield Finding(f"{one.where}: metadata.namespace", text, "say where it belongs")


def _check_service(service: Object, workloads: Sequence[Object]) -> Iterator[Finding]:
    selector = service.spec.get("selector") or {}
    if not selector or not workloads:
        return
    taken = [one for one in workloads if selects({"matchLabels": selector}, one.pod_labels)]
    if not taken:
        text = "no pod of these documents has its labels"
        yield Finding(f"{service.where}: selector", text, "use the labels of a pod template")
        return
    names = {
        str(port.get("name"))
        for one in taken
        for container in (one.pod or {}).get("containers") or []
        for port in container.get("ports") or []
    }
    for port in service.spec.get("ports") or []:
        target = port.get("targetPort")
        if isinstance(target, str) and not target.isdigit() and target not in names:
            text = f"no container has the port {target!r}{closest(target, names)}"
            yield Finding(f"{service.where}: ports", text, "name one of its ports")


def _check_network(one: Object, policies: Sequence[Object]) -> Iterator[Finding]:
    if not any(selects(p.spec.get("podSelector") or {}, one.pod_labels) for p in policies):
        text = "no NetworkPolicy selects its pods: everybody may talk to them"
        yield Finding(one.where, text, "add one to the same namespace that says who may")


def _check_pod(one: Object, pod: Document, near: Near) -> Iterator[Finding]:
    account = pod.get("serviceAccountName")
    if account and account != "default":
        yield from _check_reference(one, near, "ServiceAccount", account, "serviceAccountName")
    for volume in pod.get("volumes") or []:
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claim:
            yield from _check_reference(one, near, "PersistentVolumeClaim", claim, "volumes")
        source = volume.get("configMap") or {}
        if source.get("name") and not source.get("optional"):
            yield from _check_reference(one, near, "ConfigMap", source["name"], "volumes")


def _check_reference(
    one: Object, near: Near, kind: str, name: object, field: str
) -> Iterator[Finding]:
    """Something that these documents ought to hold, as they hold others of its kind."""
    known = [other.name for other in near.get(kind, [])]
    if known and name not in known:
        text = f"no {kind} {name!r} in these documents{closest(str(name), known)}"
        mend = "name one of them, or be sure that the cluster has it"
        yield Finding(f"{one.where}: {field}", text, mend, "warning")
