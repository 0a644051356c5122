"""Checks names that Kubeflow is given beside a compiled pipeline: version, experiment, tags …"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelines.container_rules import Finding
from pipelines.names import LABEL_RULE, NAME_RULE, is_label, is_name

LONGEST_EXPERIMENT = 128
LONGEST_VERSION = 127
LONGEST_TAG = 63


def lint_names(
    *,
    version: str | None = None,
    namespace: str | None = None,
    experiment: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Every finding in the names that are given; None stands for one that is not."""
    found: list[Finding] = []
    if version is not None:
        found += _check_length("version", version, LONGEST_VERSION)
    if experiment is not None:
        found += _check_length("experiment", experiment, LONGEST_EXPERIMENT)
    if namespace is not None and not is_label(namespace):
        found.append(Finding("namespace", f"{namespace!r} is no namespace", LABEL_RULE))
    for key, value in (tags or {}).items():
        found += _check_length("tag", key, LONGEST_TAG)
        if len(str(value)) > LONGEST_TAG:
            text = f"its value has {len(str(value))} characters"
            found.append(Finding(f"tag {key}", text, f"use at most {LONGEST_TAG}"))
    return found


def check_kubernetes_names(where: str, pipeline: str, version: str) -> Iterator[Finding]:
    """Names of a Pipeline and PipelineVersion that Kubernetes keeps."""
    both = f"{version}-{pipeline}"
    if not is_name(version) or (pipeline and not is_name(both)):
        text = f"{version!r} is no name of a version"
        yield Finding(where, text, f"{NAME_RULE} together with the pipeline's")


def _check_length(kind: str, name: str, longest: int) -> Iterator[Finding]:
    if not name or len(name) > longest:
        text = f"has {len(name)} characters"
        yield Finding(kind, text, f"use 1 to {longest}")
