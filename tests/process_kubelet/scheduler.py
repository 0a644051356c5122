"""Chooses a node for a pod as kube-scheduler does: selectors, affinity, taints and resources."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

SUFFIXES = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
SUFFIXES |= {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTP", 1)}


@dataclass(frozen=True)
class Placement:
    """The chosen node, or why there is none."""

    node: str | None
    reason: str = ""


def choose_node(pod: Object, nodes: list[Object], placed: list[tuple[str, Object]]) -> Placement:
    """The fitting node that the pod prefers most.

    `placed` holds (node, pod) of every pod that already occupies resources.
    """
    fitting, misfits = [], Counter[str]()
    for node in nodes:
        taken = Counter[str]()
        for name, other in placed:
            if name == node["metadata"]["name"]:
                taken.update(requests(other))
        if found := misfit(pod, node, taken):
            misfits.update(found)
        else:
            fitting.append(node)
    if not fitting:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(misfits.items()))
        return Placement(None, f"0/{len(nodes)} nodes are available: {reasons}.")
    best = max(fitting, key=lambda node: preference(pod, node))
    return Placement(best["metadata"]["name"])


def misfit(pod: Object, node: Object, taken: Counter[str]) -> list[str]:
    """Why a node does not serve a pod; empty where it does."""
    spec, labels = pod["spec"], node["metadata"]["labels"]
    affinity = spec.get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    selected = all(labels.get(k) == v for k, v in spec.get("nodeSelector", {}).items())
    terms = required["nodeSelectorTerms"] if required else [{}]
    if not selected or not any(matches(term, labels) for term in terms):
        return ["node(s) didn't match Pod's node affinity/selector"]
    for taint in node["spec"].get("taints", []):
        tolerated = any(tolerates(t, taint) for t in spec.get("tolerations", []))
        if not tolerated and taint["effect"] != "PreferNoSchedule":
            named = f"{taint['key']}: {taint.get('value', '')}"
            return [f"node(s) had untolerated taint {{{named}}}"]
    free = {name: quantity(amount) for name, amount in node["status"]["allocatable"].items()}
    wanted = requests(pod)
    return [
        f"Insufficient {name}"
        for name, amount in wanted.items()
        if amount > 0 and amount > free.get(name, 0) - taken[name] + 1e-6
    ]


def matches(term: Object, labels: dict[str, str]) -> bool:
    """Whether labels satisfy every expression of a node selector term."""
    for expression in term.get("matchExpressions", []):
        value, values = labels.get(expression["key"]), expression.get("values", [])
        match expression["operator"]:
            case "In":
                holds = value in values
            case "NotIn":
                holds = value not in values
            case "Exists":
                holds = value is not None
            case "DoesNotExist":
                holds = value is None
            case "Gt":
                holds = value is not None and int(value) > int(values[0])
            case _:
                holds = value is not None and int(value) < int(values[0])
        if not holds:
            return False
    return True


def tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    wanted = (toleration.get("key"), toleration.get("value", ""))
    return wanted == (taint["key"], taint.get("value", ""))


def preference(pod: Object, node: Object) -> int:
    """The summed weights of the preferences that a node satisfies."""
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution", [])
    labels = node["metadata"]["labels"]
    return sum(p["weight"] for p in preferred if matches(p["preference"], labels))


def requests(pod: Object) -> Counter[str]:
    """What a pod asks for: the sum of its containers, or its largest init container."""
    total = Counter[str]({"pods": 1})
    for container in pod["spec"]["containers"]:
        for name, amount in container.get("resources", {}).get("requests", {}).items():
            total[name] += quantity(amount)  # type: ignore[assignment]
    for container in pod["spec"].get("initContainers", []):
        for name, amount in container.get("resources", {}).get("requests", {}).items():
            total[name] = max(total[name], quantity(amount))  # type: ignore[assignment]
    return total


def quantity(text: str) -> float:
    """The number that a Kubernetes quantity such as `500m` or `8Gi` stands for."""
    number, suffix = re.fullmatch(r"([0-9.]+(?:[eE][-+]?\d+)?)([a-zA-Z]*)", text).groups()  # type: ignore[union-attr]
    return float(number) * SUFFIXES[suffix]
