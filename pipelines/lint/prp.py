"""The rules of shared GPU clusters (PRP/Nautilus), on top of those for every pod.

Sources: the platform's usage policy (no idling Jobs, bounds of interactive pods) and what a Job
needs so that an eviction costs minutes, not the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import PurePosixPath

from pipelines.container_rules import GPU, Document, Finding, limits
from pipelines.lint.kubernetes_config import node_expressions
from pipelines.quantities import quantity

INTERACTIVE_SECONDS = 6 * 3600
INTERACTIVE = {"cpu": Decimal(16), "memory": Decimal(32 * 2**30)}
INTERACTIVE_GPUS = 2

DEPRECATED_LABELS = {"gpu-type": "nvidia.com/gpu.product"}

_IDLE = re.compile(
    r"\bsleep\s+(inf(inity)?\b|\d+\s*[hd]\b|\d{4,})|\btail\s+-[fF]\s+/dev/null"
    r"|\bwhile\s+(true|:|\[\s*1\s*\])\s*;?\s*do\s+(sleep|:)"
)
_STAGE = re.compile(r"^components\.\w+$")
_JOBS = ("Job", "CronJob")


def check_job(where: str, spec: Document) -> Iterator[Finding]:
    """An eviction uses up no retry of a Job."""
    if spec.get("podFailurePolicy") is None:
        yield Finding(
            f"{where}: podFailurePolicy",
            "without one an eviction uses up a retry, and wrong settings are tried again",
            "ignore DisruptionTarget and fail at once on exit codes 2 and 3",
        )


def check_pod(where: str, spec: Document, kind: str) -> Iterator[Finding]:
    """Every finding in a pod that a workload of this kind makes; `Pod` for none."""
    volumes = {str(volume.get("name")): volume for volume in spec.get("volumes") or []}
    if kind == "Pod":
        yield from _check_interactive(where, spec)
    for field in ("initContainers", "containers"):
        for number, container in enumerate(spec.get(field) or []):
            path = f"{where}: {field}[{number}]"
            gpus = any("/" in name for name in limits(container))
            if kind in _JOBS:
                yield from _check_idle(path, container)
            if gpus:
                yield from _check_shared_memory(path, container, volumes)
            if kind in _JOBS and (gpus or _is_stage(container)):
                yield from _check_resumes(path, container, volumes)
    yield from _check_labels(where, spec)


def _check_idle(where: str, container: Document) -> Iterator[Finding]:
    words = [str(w) for key in ("command", "args") for w in container.get(key) or []]
    if idle := _IDLE.search(" ".join(words)):
        yield Finding(
            f"{where}.command",
            f"{idle[0].strip()!r} idles, which Jobs must not",
            "run the work itself; for a shell, use a Pod with a deadline",
        )


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


def _check_shared_memory(
    where: str, container: Document, volumes: dict[str, Document]
) -> Iterator[Finding]:
    mounts = container.get("volumeMounts") or []
    shared = [mount for mount in mounts if mount.get("mountPath") == "/dev/shm"]
    volume = volumes.get(str(shared[0].get("name")), {}) if shared else {}
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
    where: str, container: Document, volumes: dict[str, Document]
) -> Iterator[Finding]:
    kept = [
        str(mount.get("mountPath"))
        for mount in container.get("volumeMounts") or []
        if "persistentVolumeClaim" in volumes.get(str(mount.get("name")), {})
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


def _check_labels(where: str, spec: Document) -> Iterator[Finding]:
    keys = [expression.get("key") for expression in node_expressions(spec)]
    for key in [*keys, *(spec.get("nodeSelector") or {})]:
        if key in DEPRECATED_LABELS:
            text = f"the node label {key!r} is an old one"
            fix = f"use {DEPRECATED_LABELS[key]}, unless this cluster's nodes lack it"
            yield Finding(f"{where}: nodes", text, fix, "warning")


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
