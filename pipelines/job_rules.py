"""Checks Kubernetes documents against the rules of shared GPU clusters (PRP/Nautilus) and ours.

Pure: takes parsed documents, of whatever origin, and returns every finding. Sources of the rules:
the platform's usage policy (limits near requests, no idling Jobs, bounds of interactive pods) and
what a Job needs so that an eviction costs minutes, not the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import PurePosixPath

from pipelines.container_rules import (
    GPU,
    Document,
    Finding,
    check_environment,
    check_image,
    check_resources,
    limits,
)
from pipelines.quantities import is_dns_label, quantity
from pipelines.secret_words import secret_in_text, secret_in_value

INTERACTIVE_SECONDS = 6 * 3600
INTERACTIVE = {"cpu": Decimal(16), "memory": Decimal(32 * 2**30)}
INTERACTIVE_GPUS = 2

DEPRECATED_LABELS = {"gpu-type": "nvidia.com/gpu.product"}

_IDLE = re.compile(
    r"\bsleep\s+(inf(inity)?\b|\d+\s*[hd]\b|\d{4,})|\btail\s+-[fF]\s+/dev/null"
    r"|\bwhile\s+(true|:|\[\s*1\s*\])\s*;?\s*do\s+(sleep|:)"
)
_INSTALLS = re.compile(
    r"\bgit\s+(-C\s+\S+\s+)?(pull|clone|fetch|checkout)\b|\b(apt|apt-get|apk|yum|dnf)\s+(-\S+\s+)*"
    r"(update|upgrade|install|add)\b|\b(pip3?|conda|mamba|uv\s+pip)\s+install\b"
    r"|\b(curl|wget)\b[^|;&]*\|\s*(ba)?sh\b"
)
_STAGE = re.compile(r"^components\.\w+$")


def check(documents: Iterable[Document]) -> list[Finding]:
    """Every finding in Jobs, CronJobs, Pods, ConfigMaps, Secrets and Lists of them."""
    found: list[Finding] = []
    named: set[tuple[str, str, str]] = set()
    for document in _flat(documents):
        about = document.get("metadata") or {}
        kind, name = str(document.get("kind", "")), str(about.get("name", ""))
        identity = (kind, str(about.get("namespace", "")), name)
        where = f"{kind or 'document'}/{name or '?'}"
        if name and identity in named:
            found.append(Finding(where, "appears twice", "give each object a name of its own"))
        named.add(identity)
        found += _check_document(kind, name, where, document)
    return found


def errors(findings: Iterable[Finding]) -> list[str]:
    """The findings that forbid a document, as text."""
    return [str(finding) for finding in findings if finding.level == "error"]


def warnings(findings: Iterable[Finding]) -> list[str]:
    """The findings that do not, as text."""
    return [str(finding) for finding in findings if finding.level == "warning"]


def _flat(documents: Iterable[Document]) -> Iterator[Document]:
    for document in documents:
        if document and document.get("kind") == "List":
            yield from _flat(document.get("items") or [])
        elif document:
            yield document


def _check_document(kind: str, name: str, where: str, document: Document) -> Iterator[Finding]:
    spec = document.get("spec") or {}
    if kind == "Job":
        yield from _check_job(name, where, spec)
    elif kind == "CronJob":
        yield from _check_job(name, where, (spec.get("jobTemplate") or {}).get("spec") or {})
    elif kind == "Pod":
        yield from _check_interactive(where, spec)
        yield from _Pod(where, spec, is_job=False).check()
    elif kind == "ConfigMap":
        for key, value in (document.get("data") or {}).items():
            if problem := secret_in_value(str(key), str(value)) or secret_in_text(str(value)):
                yield Finding(f"{where}: data.{key}", problem, "keep it in a Secret")
    elif kind == "Secret" and (document.get("data") or document.get("stringData")):
        yield Finding(where, "holds secret values", "create it with kubectl, not from a document")


def _check_job(name: str, where: str, spec: Document) -> Iterator[Finding]:
    pod = (spec.get("template") or {}).get("spec") or {}
    if not is_dns_label(name):
        accepted = "use at most 63 of a-z, 0-9 and inner dashes"
        yield Finding(f"{where}: metadata.name", f"{name!r} is no DNS label", accepted)
    restart = pod.get("restartPolicy")
    if restart not in ("Never", "OnFailure"):
        yield Finding(f"{where}: restartPolicy", f"{restart!r} is refused in Jobs", "set Never")
    if spec.get("podFailurePolicy") and restart != "Never":
        yield Finding(
            f"{where}: podFailurePolicy", "works with restartPolicy Never only", "set Never"
        )
    if spec.get("podFailurePolicy") is None:
        yield Finding(
            f"{where}: podFailurePolicy",
            "without one an eviction uses up a retry, and wrong settings are tried again",
            "ignore DisruptionTarget and fail at once on exit codes 2 and 3",
        )
    if not isinstance(spec.get("backoffLimit"), int):
        yield Finding(f"{where}: backoffLimit", "is not set", "say how many failures to retry")
    deadline = spec.get("activeDeadlineSeconds", pod.get("activeDeadlineSeconds"))
    if not isinstance(deadline, int) or deadline <= 0:
        yield Finding(
            f"{where}: activeDeadlineSeconds",
            "is not set: a Job that hangs would hold its node for ever",
            "set it to what the work may take, waiting for a node included",
        )
    if not spec.get("ttlSecondsAfterFinished"):
        text = "is not set: finished Jobs pile up"
        yield Finding(f"{where}: ttlSecondsAfterFinished", text, "set it, e.g. 604800", "warning")
    yield from _Pod(where, pod, is_job=True).check()


def _check_interactive(where: str, spec: Document) -> Iterator[Finding]:
    deadline = spec.get("activeDeadlineSeconds")
    if not isinstance(deadline, int) or not 0 < deadline <= INTERACTIVE_SECONDS:
        yield Finding(
            f"{where}: activeDeadlineSeconds",
            f"is {deadline!r}, but a pod without a controller may live 6 hours",
            f"set at most {INTERACTIVE_SECONDS}, or make it a Job",
        )
    totals: dict[str, Decimal] = {}
    for container in spec.get("containers") or []:
        for name, amount in limits(container).items():
            totals[name] = totals.get(name, Decimal(0)) + amount
    gpus = sum((amount for name, amount in totals.items() if GPU.match(name)), Decimal(0))
    if gpus > INTERACTIVE_GPUS:
        text = f"{gpus} GPUs, but a pod without a controller may have {INTERACTIVE_GPUS}"
        yield Finding(f"{where}: resources", text, "ask for fewer, or make it a Job")
    for name, most in INTERACTIVE.items():
        if totals.get(name, Decimal(0)) > most:
            shown = "16 cores" if name == "cpu" else "32 GB"
            text = f"{name} exceeds {shown}, the most a pod without a controller may have"
            yield Finding(f"{where}: resources", text, "ask for less, or make it a Job")


class _Pod:
    """The checks of one pod spec."""

    def __init__(self, where: str, spec: Document, is_job: bool) -> None:
        self._where = where
        self._spec = spec
        self._is_job = is_job
        self._volumes: dict[str, Document] = {
            str(volume.get("name")): volume for volume in spec.get("volumes") or []
        }

    def check(self) -> Iterator[Finding]:
        """Every finding of the pod."""
        containers = self._spec.get("containers") or []
        if not containers:
            yield Finding(self._where, "has no containers", "give it one")
        listed = [
            (f"{kind}[{number}]", container)
            for kind in ("initContainers", "containers")
            for number, container in enumerate(self._spec.get(kind) or [])
        ]
        for place, container in listed:
            where = f"{self._where}: {place}"
            yield from check_resources(where, container.get("resources") or {})
            yield from check_image(where, container.get("image"))
            yield from check_environment(where, container.get("env") or [])
            yield from self._check_command(where, container)
            yield from self._check_mounts(where, container)
        yield from self._check_names(container for _, container in listed)
        yield from self._check_nodes()

    def _check_command(self, where: str, container: Document) -> Iterator[Finding]:
        words = [str(w) for key in ("command", "args") for w in container.get(key) or []]
        text = " ".join(words)
        if self._is_job and (idle := _IDLE.search(text)):
            yield Finding(
                f"{where}.command",
                f"{idle[0].strip()!r} idles, which Jobs must not",
                "run the work itself; for a shell, use a Pod with a deadline",
            )
        if fetched := _INSTALLS.search(text):
            yield Finding(
                f"{where}.command",
                f"{fetched[0].strip()!r} at the start: two runs of it differ, and nobody can tell",
                "build it into the image",
            )
        for word in words:
            if problem := secret_in_text(word):
                yield Finding(f"{where}.args", problem, "pass it as env from a Secret")

    def _check_mounts(self, where: str, container: Document) -> Iterator[Finding]:
        mounts = container.get("volumeMounts") or []
        paths = [str(mount.get("mountPath")) for mount in mounts]
        for path in sorted({path for path in paths if paths.count(path) > 1}):
            yield Finding(f"{where}.volumeMounts", f"{path} twice", "mount one volume there")
        for mount in mounts:
            if mount.get("name") not in self._volumes:
                yield Finding(
                    f"{where}.volumeMounts", f"no volume {mount.get('name')!r}", "declare it"
                )
            if not str(mount.get("mountPath")).startswith("/"):
                yield Finding(
                    f"{where}.volumeMounts", f"{mount.get('mountPath')!r} is relative", "start at /"
                )
        gpus = [name for name in limits(container) if "/" in name]
        if gpus:
            yield from self._check_shared_memory(where, container, mounts)
        if self._is_job and (gpus or _is_stage(container)):
            yield from self._check_resumes(where, container, mounts)

    def _check_shared_memory(
        self, where: str, container: Document, mounts: list[Document]
    ) -> Iterator[Finding]:
        shared = [m for m in mounts if m.get("mountPath") == "/dev/shm"]
        volume = self._volumes.get(str(shared[0].get("name")), {}) if shared else {}
        empty = volume.get("emptyDir") or {}
        if empty.get("medium") != "Memory":
            yield Finding(
                f"{where}.volumeMounts",
                "no /dev/shm of its own: loader processes have 64 MiB to pass batches through",
                "mount an emptyDir of medium Memory there",
            )
            return
        try:
            size = quantity(empty.get("sizeLimit"))
        except ValueError:
            text = f"sizeLimit is {empty.get('sizeLimit')!r}"
            yield Finding(f"{where}: /dev/shm", text, "set it, such as 8Gi")
            return
        memory = limits(container).get("memory")
        if memory is not None and size > memory:
            text = f"{empty['sizeLimit']} is more than the memory limit, which it counts towards"
            yield Finding(f"{where}: /dev/shm", text, "ask for more memory or less of it")

    def _check_resumes(
        self, where: str, container: Document, mounts: list[Document]
    ) -> Iterator[Finding]:
        kept = [
            str(mount.get("mountPath"))
            for mount in mounts
            if "persistentVolumeClaim" in self._volumes.get(str(mount.get("name")), {})
            and not mount.get("readOnly")
        ]
        fix = "mount a PersistentVolumeClaim and keep TRAINYARD_STATE_DIR on it"
        if not kept:
            text = "no volume to write to outlives the pod: an eviction costs the whole run"
            yield Finding(f"{where}.volumeMounts", text, fix)
        elif _is_stage(container):
            state = _state_dir(container)
            if not state or not any(PurePosixPath(state).is_relative_to(path) for path in kept):
                text = f"work is kept in {state or 'the working directory'}, gone with the pod"
                yield Finding(f"{where}.env", text, fix)

    def _check_names(self, containers: Iterable[Document]) -> Iterator[Finding]:
        listed = {
            "containers": [str(c.get("name")) for c in containers],
            "volumes": [str(v.get("name")) for v in self._spec.get("volumes") or []],
        }
        for kind, names in listed.items():
            for name in sorted(set(names)):
                if names.count(name) > 1:
                    yield Finding(f"{self._where}: {kind}", f"{name!r} twice", "rename one")
                if not is_dns_label(name):
                    text = f"{name!r} is no DNS label"
                    yield Finding(f"{self._where}: {kind}", text, "use a-z, 0-9 and inner dashes")

    def _check_nodes(self) -> Iterator[Finding]:
        affinity = (self._spec.get("affinity") or {}).get("nodeAffinity") or {}
        required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
        terms = list(required.get("nodeSelectorTerms") or [])
        terms += [
            preferred.get("preference") or {}
            for preferred in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []
        ]
        keys = [e.get("key") for term in terms for e in term.get("matchExpressions") or []]
        for key in [*keys, *(self._spec.get("nodeSelector") or {})]:
            if key in DEPRECATED_LABELS:
                text = f"the node label {key!r} is an old one"
                fix = f"use {DEPRECATED_LABELS[key]}, unless this cluster's nodes lack it"
                yield Finding(f"{self._where}: nodes", text, fix, "warning")


def _is_stage(container: Document) -> bool:
    words = [str(w) for key in ("command", "args") for w in container.get(key) or []]
    return any(_STAGE.match(word) for word in words)


def _state_dir(container: Document) -> str:
    arguments = [str(word) for word in container.get("args") or []]
    if "--state-dir" in arguments[:-1]:
        return arguments[arguments.index("--state-dir") + 1]
    for variable in container.get("env") or []:
        if variable.get("name") == "TRAINYARD_STATE_DIR":
            return str(variable.get("value") or "")
    return ""
