"""What Kubernetes would refuse in a placement: names, labels, numbers, paths. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipelines.container_rules import GPU, GPU_NAMES, MOST_GPUS
from pipelines.names import (
    KEY_RULE,
    NAME_RULE,
    SECRET_KEY_RULE,
    VALUE_RULE,
    VARIABLE_RULE,
    is_label_key,
    is_label_value,
    is_name,
    is_secret_key,
    is_variable,
)
from pipelines.quantities import is_dns_label, quantity
from pipelines.secret_words import secret_in_text, secret_in_value

if TYPE_CHECKING:
    from pipelines.placement import Placement

DAY = 24 * 3600
LONGEST_DEADLINE = 14 * DAY
"""Seconds; the driver of a whole run lives no longer either."""

MOST_NODES = 1000
MOST_RETRIES = 100
LONGEST_WAIT = 3600
SHORTEST_TTL = 3600
"""Seconds; a Job that is gone sooner is gone before anybody has read how it ended."""

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

OWN_VARIABLES = ("TRAINYARD_ARTIFACTS", "TRAINYARD_RUN_ID", "TRAINYARD_STATE_DIR")
"""Variables that the tool itself sets."""

OWN_LABELS = ("trainyard/", "app.kubernetes.io/", "batch.kubernetes.io/")
"""Prefixes of labels by which the tool and the cluster find what belongs together."""
_OWN_LABELS = ("job-name", "controller-uid")

_TAKEN = ("/tmp", "/dev/shm", "/trainyard/config")
"""Where every pod mounts something already."""


def problems(placement: Placement) -> list[str]:
    """Every value that no cluster would take, each with its field, what is accepted and the fix."""
    return [
        *_amounts(placement),
        *_numbers(placement),
        *_volumes(placement),
        *_secrets(placement),
        *_environment(placement),
        *_nodes(placement),
        *_labels(placement.labels),
        *_names(placement),
    ]


_UNHEEDED_BY_TASKS = {
    "ephemeral_storage": "the node's disk is shared as the namespace has it",
    "priority_class": "pods get the cluster's default; with Kueue, `queue` decides",
}
_UNHEEDED_BY_JOBS = {
    "backoff_seconds": "Kubernetes waits 10 s, then twice as long each time, up to 6 minutes",
    "backoff_factor": "Kubernetes waits twice as long each time",
}


def unheeded_by_tasks(placement: Placement) -> list[str]:
    """What a Kubeflow task cannot ask for, of what the placement says beyond the defaults."""
    return [
        f"{field}: a Kubeflow task cannot ask for it; {instead}"
        for field, instead in _UNHEEDED_BY_TASKS.items()
        if _is_given(placement, field)
    ] + [
        f"volumes: a Kubeflow task mounts {volume.claim} for writing too, read-only it cannot"
        for volume in placement.volumes
        if volume.read_only
    ]


def unheeded_by_jobs(placement: Placement) -> list[str]:
    """What a Job cannot ask for, of what the placement says beyond the defaults."""
    return [
        f"{field}: a Job cannot ask for it; {instead}"
        for field, instead in _UNHEEDED_BY_JOBS.items()
        if _is_given(placement, field)
    ]


def task_problems(placement: Placement) -> list[str]:
    """What a Job may have and a Kubeflow task may not."""
    return [
        f"secrets: {secret.name}: a Kubeflow task takes single keys; name them, as in "
        f"{secret.name}:VARIABLE,…"
        for secret in placement.secrets
        if not secret.variables
    ]


def _is_given(placement: Placement, field: str) -> bool:
    return bool(getattr(placement, field) != placement.__dataclass_fields__[field].default)


def gpu_type_problem(gpu_type: str) -> str:
    """What is wrong with the name of a GPU resource, or an empty string."""
    return "" if GPU.match(gpu_type) else f"{gpu_type}: unknown resource; accepted are {GPU_NAMES}"


def node_label_problems(labels: Mapping[str, str]) -> list[str]:
    """What is wrong with node labels, each with its one value."""
    found = [f"{key!r} is no key of a label; {KEY_RULE}" for key in labels if not is_label_key(key)]
    return found + [
        f"{key}: {value!r} is no value of a label; {VALUE_RULE}"
        for key, value in labels.items()
        if not is_label_value(value)
    ]


def namespace_problem(namespace: str) -> str:
    """What is wrong with the name of a namespace, or an empty string; '' is the kubeconfig's."""
    if not namespace or is_dns_label(namespace):
        return ""
    return (
        f"{namespace!r} is no name of a namespace; accepted are at most 63 of a-z, 0-9 and inner "
        "dashes; `kubectl get namespaces` lists them"
    )


def _amounts(placement: Placement) -> Iterator[str]:
    amounts = {}
    for name, needed in _AMOUNTS.items():
        text = getattr(placement, name)
        if not text and not needed:
            continue
        try:
            amounts[name] = quantity(text)
        except ValueError as error:
            yield f"{name}: {error}"
            continue
        if amounts[name] <= 0:
            yield f"{name}: {text} is not positive; ask for what the step needs"
        most = _MOST_CPUS if name.startswith("cpu") else _MOST_BYTES
        if amounts[name] > quantity(most):
            yield f"{name}: {text} is more than any node has; accepted are up to {most}"
    for name in ("cpu", "memory"):
        limit = f"{name}_limit"
        if name in amounts and limit in amounts and amounts[limit] < amounts[name]:
            yield (
                f"{limit}: {getattr(placement, limit)} is below the request "
                f"{getattr(placement, name)}; raise it, or leave it out to have both equal"
            )
    largest = amounts.get("memory_limit", amounts.get("memory"))
    if largest and amounts.get("shared_memory", 0) > largest:
        yield (
            f"shared_memory: {placement.shared_memory} is more than the memory "
            f"{placement.memory_limit or placement.memory}, which it counts towards; ask for more "
            "memory or less of it"
        )


_AMOUNTS = {
    "cpu": True,
    "cpu_limit": False,
    "memory": True,
    "memory_limit": False,
    "shared_memory": False,
    "ephemeral_storage": False,
}
"""Field → whether it has to be given."""

_MOST_CPUS, _MOST_BYTES = "1024", "64Ti"


def _numbers(placement: Placement) -> Iterator[str]:
    if not 0 <= placement.retries <= MOST_RETRIES:
        yield (
            f"retries: {placement.retries} is refused; accepted are 0 (a failure is final) to "
            f"{MOST_RETRIES}"
        )
    if not 0 <= placement.gpus <= MOST_GPUS:
        yield (
            f"gpus: {placement.gpus} is refused; accepted are 0 (none) to {MOST_GPUS}, the most "
            "that a node has"
        )
    if problem := gpu_type_problem(placement.gpu_type):
        yield f"gpu_type: {problem}"
    if not 1 <= placement.nodes <= MOST_NODES:
        yield (f"nodes: {placement.nodes} is refused; accepted are 1 (no others) to {MOST_NODES}")
    if not 0 <= placement.backoff_seconds <= LONGEST_WAIT:
        yield (
            f"backoff_seconds: {placement.backoff_seconds} is refused; accepted are 0 to "
            f"{LONGEST_WAIT}"
        )
    if not 1 <= placement.backoff_factor <= 10:
        yield f"backoff_factor: {placement.backoff_factor} is refused; accepted are 1 to 10"
    if placement.ttl < SHORTEST_TTL:
        yield (
            f"ttl: {_span(placement.ttl)} is refused; accepted are {_span(SHORTEST_TTL)} and "
            "more, so that somebody can read how the Job ended"
        )
    if not 0 <= placement.deadline <= LONGEST_DEADLINE:
        yield (
            f"deadline: {_span(placement.deadline)} is refused; accepted are up to "
            f"{_span(LONGEST_DEADLINE)}, which the driver of a run has too; longer work "
            "resumes in a second Job"
        )


def _span(seconds: int) -> str:
    """Seconds as people write them in options and files: 99d, 36h, 90m."""
    for unit, size in (("d", DAY), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _volumes(placement: Placement) -> Iterator[str]:
    paths = [volume.path.rstrip("/") for volume in placement.volumes]
    for shared in dict.fromkeys(path for path in paths if paths.count(path) > 1):
        yield f"volumes: {shared} is the path of {paths.count(shared)} volumes; give each its own"
    for volume in placement.volumes:
        if not is_name(volume.claim):
            yield f"volumes: claim {volume.claim!r} is no name in Kubernetes; {NAME_RULE}" + (
                "; `kubectl get pvc` lists them"
            )
        path = PurePosixPath(volume.path)
        if not path.is_absolute() or ".." in path.parts or path == PurePosixPath("/"):
            yield f"volumes: path {volume.path!r} is refused; accepted are paths such as /data"
        elif taken := [place for place in _TAKEN if path.is_relative_to(place)]:
            yield f"volumes: path {volume.path} lies in {taken[0]}, the pod's own; use /data"
        inner = PurePosixPath(volume.sub_path)
        if inner.is_absolute() or ".." in inner.parts:
            yield (
                f"volumes: sub_path {volume.sub_path!r} is refused; accepted are paths inside the "
                "volume, such as videos/2024"
            )


def _secrets(placement: Placement) -> Iterator[str]:
    named = [("secrets", secret.name) for secret in placement.secrets]
    named += [("image_pull_secrets", name) for name in placement.image_pull_secrets]
    for field, name in named:
        if not is_name(name):
            yield f"{field}: {name!r} is no name of a Secret; {NAME_RULE}" + (
                "; `kubectl get secrets` lists them"
            )
    for secret in placement.secrets:
        for variable, key in secret.variables.items():
            if not is_variable(variable):
                yield (
                    f"secrets: {secret.name}: {variable!r} is no name of a variable; "
                    f"{VARIABLE_RULE}"
                )
            if not is_secret_key(key):
                yield (
                    f"secrets: {secret.name}: {variable}: what was given is no key of a Secret; "
                    f"{SECRET_KEY_RULE}"
                )

    named_variables = [v for source in placement.all_secrets for v in source.variables]
    for variable in sorted({v for v in named_variables if named_variables.count(v) > 1}):
        yield f"secrets: {variable} comes from several Secrets; name it once"


def _environment(placement: Placement) -> Iterator[str]:
    secret = {variable for source in placement.all_secrets for variable in source.variables}
    for name, value in placement.environment.items():
        if not is_variable(name):
            yield f"environment: {name!r} is no name of a variable; {VARIABLE_RULE}"
        elif name in OWN_VARIABLES:
            yield f"environment: {name} is set by trainyard; --state-dir and --storage decide on it"
        elif name in secret:
            yield f"environment: {name} comes from a Secret already; name it once"
        if problem := secret_in_value(name, value) or secret_in_text(value):
            yield f"environment: {name}: {problem}; put it into a Secret and name that in secrets"


def _names(placement: Placement) -> Iterator[str]:
    for field in ("queue", "priority_class"):
        if (name := getattr(placement, field)) and not is_name(name):
            yield f"{field}: {name!r} is no name in Kubernetes; {NAME_RULE}"


def _nodes(placement: Placement) -> Iterator[str]:
    for product in placement.gpu_products:
        if not product or not is_label_value(product):
            yield f"gpu_products: {product!r} is no GPU model" + (
                "; write it as `kubectl get nodes -L nvidia.com/gpu.product` does: NVIDIA-A10"
            )
    if not is_label_key(placement.gpu_label):
        yield f"gpu_label: {placement.gpu_label!r} is no key of a node label; {KEY_RULE}"
    for field in ("node_labels", "preferred_labels"):
        for key, values in getattr(placement, field).items():
            for value in values or [""]:
                for problem in node_label_problems({key: value}):
                    yield f"{field}: {problem}"
            if not values:
                yield f"{field}: {key}: no value would do; list those that do"
    for toleration in placement.tolerations:
        if not is_label_key(toleration.key) or not is_label_value(toleration.value):
            shown = toleration.key + (f"={toleration.value}" if toleration.value else "")
            yield f"tolerations: {shown!r} is no taint; {VALUE_RULE}"


def _labels(labels: Mapping[str, str]) -> Iterator[str]:
    for key, value in labels.items():
        if key == QUEUE_LABEL:
            yield f"labels: {key} goes where the cluster looks for it when given as queue: {value}"
        elif key.startswith(OWN_LABELS) or key in _OWN_LABELS:
            yield (
                f"labels: {key} is set by trainyard or the cluster; accepted are others, such as "
                "team"
            )
        elif not is_label_key(key):
            yield f"labels: {key!r} is no key of a label; {KEY_RULE}"
        if not is_label_value(value):
            yield f"labels: {key}: {value!r} is no value of a label; {VALUE_RULE}"
