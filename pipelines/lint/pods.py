"""Checks one pod: its containers, volumes and nodes. Every workload and every Job is held to it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from components.core.settings import closest
from pipelines.container_rules import (
    Document,
    Finding,
    check_environment,
    check_image,
    check_resources,
)
from pipelines.lint import kubernetes_config, security, workspace
from pipelines.lint import prp as prp_rules
from pipelines.lint.kubernetes_config import (
    check_expression,
    check_toleration,
    node_expressions,
)
from pipelines.lint.workloads import LONG_RUNNING
from pipelines.names import KEY_RULE, NAME_RULE, VALUE_RULE, is_label_key, is_label_value, is_name
from pipelines.quantities import is_dns_label
from pipelines.secret_words import secret_in_words

_INSTALLS = re.compile(
    r"\bgit\s+(-C\s+\S+\s+)?(pull|clone|fetch|checkout)\b|\b(apt|apt-get|apk|yum|dnf)\s+(-\S+\s+)*"
    r"(update|upgrade|install|add)\b|\b(pip3?|conda|mamba|uv\s+pip)\s+install\b"
    r"|\b(curl|wget)\b[^|;&]*\|\s*(ba)?sh\b"
)
_PROBES = ("exec", "grpc", "httpGet", "tcpSocket")


def check_pod(
    where: str,
    spec: Document,
    *,
    kind: str,
    prp: bool = False,
    templates: tuple[str, ...] = (),
) -> Iterator[Finding]:
    """Every finding in the spec of a pod.

    Args:
        where: document, and in it the pod.
        spec: of the pod.
        kind: of the workload that makes it; `Pod` for none.
        prp: also holds it to the rules of shared GPU clusters.
        templates: volumes that a StatefulSet's claim templates give.
    """
    if not spec.get("containers"):
        yield Finding(where, "has no containers", "give it one")
    listed = [
        (f"{field}[{number}]", container)
        for field in ("initContainers", "containers", "ephemeralContainers")
        for number, container in enumerate(spec.get(field) or [])
    ]
    volumes = [*(str(volume.get("name")) for volume in spec.get("volumes") or []), *templates]
    for place, container in listed:
        path = f"{where}: {place}"
        yield from check_resources(path, container.get("resources") or {}, prp)
        yield from check_image(path, container.get("image"))
        yield from check_environment(path, container.get("env") or [])
        yield from security.check_container(path, container, spec.get("securityContext") or {})
        yield from _check_command(path, container)
        yield from _check_mounts(path, container, volumes)
        yield from _check_ports(path, container)
        if kind in LONG_RUNNING and place.startswith("containers"):
            yield from _check_probes(path, container)
    yield from security.check_pod(where, spec)
    yield from _check_names(where, "containers", [str(c.get("name")) for _, c in listed])
    yield from _check_names(where, "volumes", volumes)
    yield from _check_volumes(where, spec)
    yield from _check_nodes(where, spec)
    if prp:
        yield from prp_rules.check_pod(where, spec, kind)


def _check_command(where: str, container: Document) -> Iterator[Finding]:
    words = [str(w) for key in ("command", "args") for w in container.get(key) or []]
    if fetched := _INSTALLS.search(" ".join(words)):
        yield Finding(
            f"{where}.command",
            f"{fetched[0].strip()!r} at the start: two runs of it differ, and nobody can tell",
            "build it into the image",
        )
    if problem := secret_in_words(words):
        yield Finding(f"{where}.args", problem, "pass it as env from a Secret")


def _check_mounts(where: str, container: Document, volumes: list[str]) -> Iterator[Finding]:
    mounts = container.get("volumeMounts") or []
    paths = [str(mount.get("mountPath")) for mount in mounts]
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        yield Finding(f"{where}.volumeMounts", f"{path} twice", "mount one volume there")
    for mount in mounts:
        name, path = str(mount.get("name")), str(mount.get("mountPath"))
        if name not in volumes:
            text = f"no volume {name!r}{closest(name, volumes)}"
            yield Finding(f"{where}.volumeMounts", text, "declare it")
        if not path.startswith("/"):
            yield Finding(f"{where}.volumeMounts", f"{path!r} is relative", "start at /")


def _check_probes(where: str, container: Document) -> Iterator[Finding]:
    ports = [port.get("name") for port in container.get("ports") or []]
    for name in ("readinessProbe", "livenessProbe"):
        probe = container.get(name) or {}
        ways = [way for way in _PROBES if way in probe]
        if len(ways) != 1:
            text = "is not set" if not probe else f"{len(ways)} ways to ask"
            yield Finding(f"{where}.{name}", text, f"give it one of {', '.join(_PROBES)}")
            continue
        port = (probe[ways[0]] or {}).get("port")
        if isinstance(port, str) and not port.isdigit() and port not in ports:
            text = f"no port {port!r}{closest(port, [str(p) for p in ports])}"
            yield Finding(f"{where}.{name}", text, "name one of the container's ports")


def _check_ports(where: str, container: Document) -> Iterator[Finding]:
    """Numbers of ports are numbers of ports."""
    given = [
        (f"ports[{number}].{field}", port.get(field))
        for number, port in enumerate(container.get("ports") or [])
        for field in ("containerPort", "hostPort")
    ]
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        probe = container.get(name) or {}
        for way in _PROBES:
            given.append((f"{name}.{way}.port", (probe.get(way) or {}).get("port")))
    for place, port in given:
        number = int(port) if isinstance(port, str) and port.isdecimal() else port
        if isinstance(number, int | float) and number not in range(1, 65536):
            yield Finding(f"{where}.{place}", f"{port} is no port", "use 1 to 65535")


def _check_names(where: str, kind: str, names: list[str]) -> Iterator[Finding]:
    for name in sorted(set(names)):
        if names.count(name) > 1:
            yield Finding(f"{where}: {kind}", f"{name!r} twice", "rename one")
        if not is_dns_label(name):
            text = f"{name!r} is no DNS label"
            yield Finding(f"{where}: {kind}", text, "use a-z, 0-9 and inner dashes")


def _check_volumes(where: str, spec: Document) -> Iterator[Finding]:
    sources = (
        ("persistentVolumeClaim", "claimName", "claim"),
        ("secret", "secretName", "Secret"),
        ("configMap", "name", "ConfigMap"),
    )
    for volume in spec.get("volumes") or []:
        place = f"{where}: volumes {volume.get('name')}"
        for field, key, kind in sources:
            name = (volume.get(field) or {}).get(key)
            if field in volume and not is_name(name):
                yield Finding(f"{place}", f"{name!r} is no name of a {kind}", NAME_RULE)
        if claim := (volume.get("ephemeral") or {}).get("volumeClaimTemplate"):
            yield from workspace.check_claim_spec(f"{place}: ephemeral", claim.get("spec"))
        if volume.get("emptyDir"):
            yield from kubernetes_config.check_empty_dir(place, volume["emptyDir"])


def _check_nodes(where: str, spec: Document) -> Iterator[Finding]:
    for key, value in (spec.get("nodeSelector") or {}).items():
        if not is_label_key(key):
            yield Finding(f"{where}: nodeSelector", f"{key!r} is no key of a label", KEY_RULE)
        if not is_label_value(value):
            text = f"{value!r} is no value of a label"
            yield Finding(f"{where}: nodeSelector.{key}", text, VALUE_RULE)
    for number, toleration in enumerate(spec.get("tolerations") or []):
        yield from check_toleration(f"{where}: tolerations[{number}]", toleration)
    for number, expression in enumerate(node_expressions(spec)):
        yield from check_expression(f"{where}: nodeAffinity[{number}]", expression)
