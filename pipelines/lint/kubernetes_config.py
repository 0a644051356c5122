"""Checks the Kubernetes options of a compiled step (kfp's KubernetesExecutorConfig).

kfp compiles any value; the pod is then refused, or never made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from pipelines.container_rules import Document, Finding
from pipelines.lint import workspace
from pipelines.lint.shapes import check_shapes
from pipelines.names import (
    KEY_RULE,
    LABEL_RULE,
    NAME_RULE,
    SECRET_KEY_RULE,
    VALUE_RULE,
    VARIABLE_RULE,
    is_label,
    is_label_key,
    is_label_value,
    is_name,
    is_secret_key,
    is_variable,
)
from pipelines.quantities import quantity

PULL_POLICIES = ("", "Always", "IfNotPresent", "Never")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
EFFECTS = ("", "NoSchedule", "PreferNoSchedule", "NoExecute")
_FIELD_PATHS = re.compile(
    r"metadata\.(name|namespace|uid|(labels|annotations)\['.+'\])|spec\.(nodeName|serviceAccountName)"
    r"|status\.(hostIPs?|podIPs?)"
)
_MOUNTS = (
    "secretAsVolume", "configMapAsVolume", "pvcMount", "genericEphemeralVolume", "emptyDirMounts",
)  # fmt: skip
_NAMED = {
    "secretAsVolume": ("secretName", "secretNameParameter", "Secret"),
    "secretAsEnv": ("secretName", "secretNameParameter", "Secret"),
    "imagePullSecret": ("secretName", "secretNameParameter", "Secret"),
    "configMapAsVolume": ("configMapName", "configMapNameParameter", "ConfigMap"),
    "configMapAsEnv": ("configMapName", "configMapNameParameter", "ConfigMap"),
    "pvcMount": ("constant", "pvcNameParameter", "claim"),
}
"""Field → where it names an object, and the object's kind."""


def check(where: str, config: Document, variables: list[str]) -> Iterator[Finding]:
    """Every finding in one step's options.

    Args:
        where: path of the options.
        config: the options.
        variables: environment variables that the container sets itself.
    """
    yield from _check_names(where, config)
    yield from _check_mounts(where, config)
    yield from _check_volumes(where, config)
    yield from _check_environment(where, config, variables)
    yield from _check_metadata(where, config.get("podMetadata") or {})
    yield from _check_nodes(where, config)
    yield from _check_pod(where, config)


def _check_names(where: str, config: Document) -> Iterator[Finding]:
    for field, (plain, parameter, kind) in _NAMED.items():
        for number, item in enumerate(config.get(field) or []):
            constant = ((item.get(parameter) or {}).get("runtimeValue") or {}).get("constant")
            names = [item.get(plain), constant]
            for name in names[:1] if names[0] == names[1] else names:
                if name is not None and "{{$" not in str(name) and not is_name(name):
                    text = f"{name!r} is no name of a {kind}"
                    yield Finding(f"{where}.{field}[{number}]", text, NAME_RULE)
            if not any(key in item for key in (plain, parameter, *_RUNTIME)):
                text = f"names no {kind}"
                yield Finding(f"{where}.{field}[{number}]", text, f"set {parameter}")


_RUNTIME = ("componentInputParameter", "taskOutputParameter")


def _check_mounts(where: str, config: Document) -> Iterator[Finding]:
    paths: list[str] = []
    for field in _MOUNTS:
        for number, item in enumerate(config.get(field) or []):
            path = str(item.get("mountPath") or "")
            place = f"{where}.{field}[{number}].mountPath"
            if not path.startswith("/") or ":" in path:
                text = f"{path!r} is no path to mount at"
                yield Finding(place, text, "start at /, without a colon")
            elif str(PurePosixPath(path)) in paths:
                yield Finding(place, f"{path} is mounted twice", "mount one volume there")
            paths.append(str(PurePosixPath(path)))
            inner = PurePosixPath(str(item.get("subPath") or ""))
            if inner.is_absolute() or ".." in inner.parts:
                text = f"{str(inner)!r} leaves the volume"
                yield Finding(f"{where}.{field}[{number}].subPath", text, "use a path inside it")


def _check_volumes(where: str, config: Document) -> Iterator[Finding]:
    names: list[str] = []
    for field in ("genericEphemeralVolume", "emptyDirMounts"):
        for number, item in enumerate(config.get(field) or []):
            place, name = f"{where}.{field}[{number}]", item.get("volumeName")
            if not is_label(name):
                text = f"{name!r} is no name of a volume"
                yield Finding(f"{place}.volumeName", text, LABEL_RULE)
            elif name in names:
                yield Finding(f"{place}.volumeName", f"{name!r} twice", "rename one")
            names.append(str(name))
    for number, item in enumerate(config.get("emptyDirMounts") or []):
        yield from check_empty_dir(f"{where}.emptyDirMounts[{number}]", item)
    for number, item in enumerate(config.get("genericEphemeralVolume") or []):
        place = f"{where}.genericEphemeralVolume[{number}]"
        yield from workspace.check_size(f"{place}.size", item.get("size"))
        yield from workspace.check_modes(f"{place}.accessModes", item.get("accessModes"))
        storage = item.get("storageClassName")
        if storage and not is_name(storage):
            text = f"{storage!r} is no name of a storage class"
            yield Finding(f"{place}.storageClassName", text, NAME_RULE)
        yield from _check_metadata(f"{place}.metadata", item.get("metadata") or {}, pod=False)


def check_empty_dir(where: str, item: Document) -> Iterator[Finding]:
    """An emptyDir has a known medium and a size."""
    medium = str(item.get("medium") or "")
    if medium not in ("", "Memory") and not medium.startswith("HugePages"):
        text = f"unknown medium {medium!r}"
        yield Finding(f"{where}.medium", text, "use Memory, or leave it out for the node's disk")
    if item.get("sizeLimit"):
        try:
            good = quantity(item["sizeLimit"]) > 0
        except ValueError:
            good = False
        if not good:
            text = f"{item['sizeLimit']!r} is no size"
            yield Finding(f"{where}.sizeLimit", text, "write it like 8Gi")


def check_memory(where: str, config: Document, limit: object) -> Iterator[Finding]:
    """What is kept in memory, such as /dev/shm, counts towards the container's limit."""
    sizes = [
        (f"emptyDirMounts[{number}].sizeLimit", item.get("sizeLimit"))
        for number, item in enumerate(config.get("emptyDirMounts") or [])
        if item.get("medium") == "Memory"
    ]
    sizes.append(
        ("enabledSharedMemory.size", (config.get("enabledSharedMemory") or {}).get("size"))
    )
    for place, size in sizes:
        try:
            over = size and limit and quantity(size) > quantity(limit)
        except ValueError:
            continue  # told elsewhere, or a parameter
        if over:
            text = f"{size} is more than the memory limit {limit}, which it counts towards"
            yield Finding(f"{where}.{place}", text, "ask for more memory or less of it")


def _check_environment(where: str, config: Document, own: list[str]) -> Iterator[Finding]:
    variables: list[tuple[str, Any]] = []
    for field, key in (("secretAsEnv", "secretKey"), ("configMapAsEnv", "configMapKey")):
        for number, item in enumerate(config.get(field) or []):
            for inner, pair in enumerate(item.get("keyToEnv") or []):
                place = f"{where}.{field}[{number}].keyToEnv[{inner}]"
                variables.append((f"{place}.envVar", pair.get("envVar")))
                if not is_secret_key(pair.get(key)):
                    text = "what was given is no key of a Secret or ConfigMap"
                    yield Finding(f"{place}.{key}", text, SECRET_KEY_RULE)
    for number, item in enumerate(config.get("fieldPathAsEnv") or []):
        place = f"{where}.fieldPathAsEnv[{number}]"
        variables.append((f"{place}.name", item.get("name")))
        if not _FIELD_PATHS.fullmatch(str(item.get("fieldPath"))):
            text = f"{item.get('fieldPath')!r} is no field that a variable can have"
            yield Finding(f"{place}.fieldPath", text, "use metadata.name, spec.nodeName, …")
    taken = list(own)
    for place, name in variables:
        if not is_variable(name):
            yield Finding(place, f"{name!r} is no name of a variable", VARIABLE_RULE)
        elif name in taken:
            yield Finding(place, f"{name} is set twice", "keep one")
        taken.append(name)


def _check_metadata(where: str, metadata: Document, pod: bool = True) -> Iterator[Finding]:
    where = f"{where}.podMetadata" if pod else where
    for key, value in (metadata.get("labels") or {}).items():
        if not is_label_key(key):
            yield Finding(f"{where}.labels", f"{key!r} is no key of a label", KEY_RULE)
        if not is_label_value(value):
            yield Finding(f"{where}.labels.{key}", "its value is none of a label", VALUE_RULE)
    for key in metadata.get("annotations") or {}:
        if not is_label_key(key):
            yield Finding(f"{where}.annotations", f"{key!r} is no key", KEY_RULE)


def _check_nodes(where: str, config: Document) -> Iterator[Finding]:
    selector = config.get("nodeSelector") or {}
    labels = selector.get("labels") or _constant(selector.get("nodeSelectorJson")) or {}
    for key, value in labels.items() if isinstance(labels, Mapping) else ():
        if not is_label_key(key):
            yield Finding(f"{where}.nodeSelector", f"{key!r} is no key of a node label", KEY_RULE)
        if not is_label_value(value):
            text = f"{value!r} is no value of a node label"
            yield Finding(f"{where}.nodeSelector.{key}", text, VALUE_RULE)
    for number, item in enumerate(config.get("tolerations") or []):
        constant = _constant(item.get("tolerationJson"))
        items = constant if isinstance(constant, list) else [constant or item]
        for toleration in items:
            if isinstance(toleration, Mapping) and toleration.get("tolerationJson") is None:
                yield from check_toleration(f"{where}.tolerations[{number}]", toleration)
    for number, term in enumerate(config.get("nodeAffinity") or []):
        place = f"{where}.nodeAffinity[{number}]"
        weight = term.get("weight")
        if weight is not None and not 1 <= int(weight) <= 100:
            text = f"{weight} is no weight"
            yield Finding(f"{place}.weight", text, "use 1 to 100, or none for a requirement")
        for inner, expression in enumerate(term.get("matchExpressions") or []):
            yield from check_expression(f"{place}.matchExpressions[{inner}]", expression)
        pod = {"affinity": {"nodeAffinity": _constant(term.get("nodeAffinityJson")) or {}}}
        misshapen = list(check_shapes(f"{place}.nodeAffinityJson", pod))
        yield from misshapen
        for expression in [] if misshapen else node_expressions(pod):
            yield from check_expression(f"{place}.nodeAffinityJson", expression)
    for number, term in enumerate(config.get("podAffinity") or []):
        if not is_label_key(term.get("topologyKey")):
            text = f"{term.get('topologyKey')!r} is no key of a node label"
            yield Finding(f"{where}.podAffinity[{number}].topologyKey", text, KEY_RULE)


def node_expressions(spec: Document) -> list[Document]:
    """What a pod requires or prefers of node labels."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = list(required.get("nodeSelectorTerms") or [])
    terms += [
        preferred.get("preference") or {}
        for preferred in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []
    ]
    return [e for term in terms for e in term.get("matchExpressions") or []]


def check_toleration(where: str, toleration: Document) -> Iterator[Finding]:
    """A toleration means something: operator, effect and value go together."""
    operator = str(toleration.get("operator") or "Equal")
    effect = str(toleration.get("effect") or "")
    key = toleration.get("key") or ""
    if operator not in ("Exists", "Equal"):
        yield Finding(f"{where}.operator", f"unknown operator {operator!r}", "use Exists or Equal")
    if effect not in EFFECTS:
        accepted = f"use {', '.join(EFFECTS[1:])}, or none for all"
        yield Finding(f"{where}.effect", f"unknown effect {effect!r}", accepted)
    if operator == "Exists" and toleration.get("value"):
        yield Finding(f"{where}.value", "has no meaning with Exists", "use Equal, or no value")
    if key and not is_label_key(key):
        yield Finding(f"{where}.key", f"{key!r} is no key of a taint", KEY_RULE)
    if not key and operator != "Exists":
        yield Finding(f"{where}.key", "is missing", "name the taint, or tolerate all with Exists")
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        text = f"has no meaning with the effect {effect or 'of any kind'}"
        yield Finding(f"{where}.tolerationSeconds", text, "use NoExecute, or leave it out")


def check_expression(where: str, expression: Document) -> Iterator[Finding]:
    """A requirement on node labels can be met: key, operator and values go together."""
    operator, values = expression.get("operator"), expression.get("values") or []
    if not is_label_key(expression.get("key")):
        text = f"{expression.get('key')!r} is no key of a node label"
        yield Finding(f"{where}.key", text, KEY_RULE)
    if operator not in OPERATORS:
        text = f"unknown operator {operator!r}"
        yield Finding(f"{where}.operator", text, f"use {', '.join(OPERATORS)}")
    elif operator in ("Exists", "DoesNotExist") and values:
        yield Finding(f"{where}.values", f"have no meaning with {operator}", "leave them out")
    elif operator in ("In", "NotIn") and not values:
        yield Finding(f"{where}.values", "are missing", "list those that will do")
    elif operator in ("Gt", "Lt") and (len(values) != 1 or not str(values[0]).isdigit()):
        yield Finding(f"{where}.values", f"{operator} takes one number", "give one, in quotes")
    for value in values if operator in ("In", "NotIn") else ():
        if not is_label_value(value):
            yield Finding(f"{where}.values", f"{value!r} is no value of a label", VALUE_RULE)


def _check_pod(where: str, config: Document) -> Iterator[Finding]:
    policy = str(config.get("imagePullPolicy") or "")
    if policy not in PULL_POLICIES:
        accepted = f"use {', '.join(PULL_POLICIES[1:])}"
        yield Finding(f"{where}.imagePullPolicy", f"unknown policy {policy!r}", accepted)
    if "activeDeadlineSeconds" in config and int(config["activeDeadlineSeconds"]) <= 0:
        text = f"{config['activeDeadlineSeconds']} is no time to run"
        yield Finding(f"{where}.activeDeadlineSeconds", text, "use seconds, or leave it out")
    security = config.get("securityContext") or {}
    user = security.get("runAsUser")
    if user is not None and int(user) == 0:
        set_too = ", while runAsNonRoot is set" if security.get("runAsNonRoot") else ""
        text = f"is 0, which is root{set_too}"
        yield Finding(f"{where}.securityContext.runAsUser", text, "use a user such as 1000")
    for name in ("runAsUser", "runAsGroup"):
        if int(security.get(name) or 0) < 0:
            yield Finding(f"{where}.securityContext.{name}", "is negative", "use 1000 or so")
    if shared := config.get("enabledSharedMemory"):
        yield from check_empty_dir(
            f"{where}.enabledSharedMemory", {"sizeLimit": shared.get("size")}
        )


def _constant(source: Document | None) -> Any:
    return ((source or {}).get("runtimeValue") or {}).get("constant")
