"""What Kubernetes would refuse in a placement: names, labels, numbers, paths. Pure functions.

Names follow the API's own grammars: RFC 1123 labels (namespaces) and subdomains (claims, Secrets),
qualified names (label and taint keys) and label values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipelines.quantities import is_dns_label

if TYPE_CHECKING:
    from pipelines.placement import Placement

DAY = 24 * 3600
LONGEST_DEADLINE = 14 * DAY
"""Seconds; the driver of a whole run lives no longer either."""

MOST_RETRIES = 100

OWN_LABELS = ("trainyard/", "app.kubernetes.io/", "batch.kubernetes.io/")
"""Prefixes of labels by which the tool and the cluster find what belongs together."""
_OWN_LABELS = ("job-name", "controller-uid")

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[-._A-Za-z0-9]+")

_NAME_RULE = "accepted are a-z, 0-9, inner dashes and dots, at most 253"
_LABEL_RULE = "accepted are letters, digits and inner - _ . , at most 63"
_TAKEN = ("/tmp", "/dev/shm", "/trainyard/config")
"""Where every pod mounts something already."""


def problems(placement: Placement) -> list[str]:
    """Every value that no cluster would take, each with its field, what is accepted and the fix."""
    return [
        *_numbers(placement),
        *_volumes(placement),
        *_secrets(placement),
        *_nodes(placement),
        *_labels(placement.labels),
    ]


def namespace_problem(namespace: str) -> str:
    """What is wrong with the name of a namespace, or an empty string; '' is the kubeconfig's."""
    if not namespace or is_dns_label(namespace):
        return ""
    return (
        f"{namespace!r} is no name of a namespace; accepted are at most 63 of a-z, 0-9 and inner "
        "dashes; `kubectl get namespaces` lists them"
    )


def _numbers(placement: Placement) -> Iterator[str]:
    if not 0 <= placement.retries <= MOST_RETRIES:
        yield (
            f"retries: {placement.retries} is refused; accepted are 0 (a failure is final) to "
            f"{MOST_RETRIES}"
        )
    if placement.gpus < 0:
        yield f"gpus: {placement.gpus} is refused; accepted are 0 (none) and more"
    if not 0 <= placement.deadline <= LONGEST_DEADLINE:
        yield (
            f"deadline: {placement.deadline} seconds is refused; accepted are up to "
            f"{LONGEST_DEADLINE // DAY}d, which the driver of a run has too; longer work "
            "resumes in a second Job"
        )


def _volumes(placement: Placement) -> Iterator[str]:
    for volume in placement.volumes:
        if not _is_name(volume.claim):
            yield f"volumes: claim {volume.claim!r} is no name in Kubernetes; {_NAME_RULE}" + (
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
        if not _is_name(name):
            yield f"{field}: {name!r} is no name of a Secret; {_NAME_RULE}" + (
                "; `kubectl get secrets` lists them"
            )
    for secret in placement.secrets:
        for variable, key in secret.variables.items():
            if not _VARIABLE.fullmatch(variable):
                yield (
                    f"secrets: {secret.name}: {variable!r} is no name of a variable; accepted are "
                    "letters, digits and _"
                )
            if not _KEY.fullmatch(key):
                yield (
                    f"secrets: {secret.name}: {variable}: what was given is no key of a Secret; "
                    "accepted are letters, digits and - _ ."
                )


def _nodes(placement: Placement) -> Iterator[str]:
    for product in placement.gpu_products:
        if not product or not _is_value(product):
            yield f"gpu_products: {product!r} is no GPU model" + (
                "; write it as `kubectl get nodes -L nvidia.com/gpu.product` does: NVIDIA-A10"
            )
    if not _is_key(placement.gpu_label):
        yield f"gpu_label: {placement.gpu_label!r} is no key of a node label; {_LABEL_RULE}"
    for key, values in placement.node_labels.items():
        if bad := [value for value in values if not _is_value(value)]:
            yield f"node_labels: {key}: {bad[0]!r} is no value of a label; {_LABEL_RULE}"
        if not _is_key(key):
            yield f"node_labels: {key!r} is no key of a label; {_LABEL_RULE}"
        if not values:
            yield f"node_labels: {key}: no value would do; list those that do"
    for toleration in placement.tolerations:
        if not _is_key(toleration.key) or not _is_value(toleration.value):
            shown = toleration.key + (f"={toleration.value}" if toleration.value else "")
            yield f"tolerations: {shown!r} is no taint; {_LABEL_RULE}"


def _labels(labels: Mapping[str, str]) -> Iterator[str]:
    for key, value in labels.items():
        if key.startswith(OWN_LABELS) or key in _OWN_LABELS:
            yield (
                f"labels: {key} is set by trainyard or the cluster; accepted are others, such as "
                "team"
            )
        elif not _is_key(key):
            yield f"labels: {key!r} is no key of a label; {_LABEL_RULE}, example.org/ before it"
        if not _is_value(value):
            yield f"labels: {key}: {value!r} is no value of a label; {_LABEL_RULE}"


def _is_name(text: str) -> bool:
    return len(text) <= 253 and bool(_SUBDOMAIN.fullmatch(text))


def _is_value(text: str) -> bool:
    return not text or (len(text) <= 63 and bool(_PART.fullmatch(text)))


def _is_key(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    return bool(name) and _is_value(name) and (_is_name(prefix) if slash else True)
