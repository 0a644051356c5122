"""Checks compiled pipelines before anything is uploaded, applied or started.

The SDK compiles much that the server then refuses, and more that fails only in the pod. Every
finding is reported at once, with where it is and how to mend it; secret values are never repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipelines.container_rules import Document, Finding
from pipelines.lint import dag, executors, proto, secrets
from pipelines.lint.inputs import check_defaults, lint_run
from pipelines.lint.names import lint_names
from pipelines.lint.parameter_types import check_types
from pipelines.lint.schedules import lint_schedule

__all__ = ["lint_names", "lint_pipeline", "lint_run", "lint_schedule"]

LARGEST_UPLOAD = 32 * 2**20
LARGEST_WORKFLOW = 700_000
"""Bytes; about what Argo takes in one object."""

SCHEMA_VERSION = "2.1.0"
_PIPELINE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


def is_pipeline(document: Document) -> bool:
    """Whether a document is a compiled pipeline."""
    return isinstance(document, dict) and ("pipelineInfo" in document or "root" in document)


def is_platform(document: Document) -> bool:
    """Whether a document is the platform part of a compiled pipeline."""
    return isinstance(document, dict) and "platforms" in document


def lint_pipeline(documents: Sequence[Document]) -> list[Finding]:
    """Every finding in a compiled pipeline: its specification and at most one platform document."""
    specs = [document for document in documents if is_pipeline(document)]
    platforms = [document for document in documents if is_platform(document)]
    others = len(documents) - len(specs) - len(platforms)
    if len(specs) != 1 or len(platforms) > 1 or others:
        text = f"{len(specs)} pipelines, {len(platforms)} platform documents and {others} others"
        accepted = "the server takes one pipeline and at most one platform document per file"
        return [Finding("file", text, accepted)]
    spec, platform = specs[0], platforms[0] if platforms else {}
    info = spec.get("pipelineInfo")
    name = str((info.get("name") if isinstance(info, dict) else "") or "pipeline")
    found = list(_check_fields(spec, platform))
    if not found:  # what follows relies on the types
        found = [
            *_check_name(spec),
            *_check_size(documents),
            *dag.check_dags(spec),
            *check_types(spec),
            *executors.check_executors(spec, platform),
            *secrets.check_pipeline(spec, platform),
            *(f for where, one in dag.components(spec) for f in check_defaults(where, one)),
        ]
    return [replace(finding, where=f"{name}: {finding.where}") for finding in found]


def _check_fields(spec: Document, platform: Document) -> Iterator[Finding]:
    from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
    from kfp.pipeline_spec import pipeline_spec_pb2 as pipeline

    yield from proto.check(pipeline.PipelineSpec.DESCRIPTOR, spec, "")
    yield from proto.check(
        pipeline.PipelineDeploymentConfig.DESCRIPTOR,
        spec.get("deploymentSpec") or {},
        "deploymentSpec",
    )
    if not platform:
        return
    bad = list(proto.check(pipeline.PlatformSpec.DESCRIPTOR, platform, ""))
    yield from bad
    if bad:
        return
    for name in platform["platforms"] or {}:
        if name != "kubernetes":
            text = f"unknown platform {name!r}"
            yield Finding("platforms", text, "the server knows `kubernetes` only")
    for label, config in executors.platform_executors(platform).items():
        yield from proto.check(
            kubernetes.KubernetesExecutorConfig.DESCRIPTOR,
            config,
            f"platforms.kubernetes.deploymentSpec.executors.{label}",
        )


def _check_name(spec: Document) -> Iterator[Finding]:
    name = (spec.get("pipelineInfo") or {}).get("name")
    if not _PIPELINE_NAME.fullmatch(str(name or "")):
        accepted = "use at most 128 of a-z, 0-9 and dashes, no dash first"
        yield Finding("pipelineInfo.name", f"{name!r} is no name of a pipeline", accepted)
    version = spec.get("schemaVersion")
    if version != SCHEMA_VERSION:
        text = f"is {version!r}"
        yield Finding("schemaVersion", text, f"compile with kfp 2, which writes {SCHEMA_VERSION}")


def _check_size(documents: Sequence[Document]) -> Iterator[Finding]:
    size = sum(len(json.dumps(document, ensure_ascii=False).encode()) for document in documents)
    if size > LARGEST_UPLOAD:
        text = f"{size} bytes; an upload may have {LARGEST_UPLOAD}"
        yield Finding("size", text, "shorten defaults and constants, or keep them in a file")
    elif size > LARGEST_WORKFLOW:
        text = f"{size} bytes; Argo takes about {LARGEST_WORKFLOW} in one workflow"
        mend = "move code into the image and long values into a file"
        yield Finding("size", text, mend, "warning")
