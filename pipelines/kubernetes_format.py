"""Compiled pipelines as Kubernetes objects, for a Kubeflow that keeps its pipelines in Kubernetes.

A PipelineVersion cannot be changed, so its name ends in a hash of what it holds: another content is
another version, the same content is the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components import __version__
from pipelines.compile import version_name
from pipelines.quantities import dns_label

Document = dict[str, Any]

API_VERSION = "pipelines.kubeflow.org/v2beta1"


def object_name(documents: Sequence[Document]) -> str:
    """Name of the Pipeline object; Kubeflow knows the pipeline by it."""
    return dns_label(str(documents[0]["pipelineInfo"]["name"]))


def kubernetes_documents(documents: Sequence[Document], namespace: str = "") -> list[Document]:
    """The Pipeline and the PipelineVersion.

    Args:
        documents: the compiled pipeline, as `pipelines.compile.pipeline_documents` gives it.
        namespace: '' for the one in force where they are applied.
    """
    spec, *platform = documents
    name, info = object_name(documents), spec["pipelineInfo"]
    version = version_name(name, documents)
    description = {"description": info["description"]} if info.get("description") else {}
    pipeline = {"displayName": info.get("displayName") or name, **description}
    content = {
        "displayName": version,
        **description,
        "pipelineName": name,
        "pipelineSpec": spec,
        **({"platformSpec": platform[0]} if platform else {}),
    }
    return [
        _document("Pipeline", name, namespace, pipeline),
        _document("PipelineVersion", version, namespace, content),
    ]


def _document(kind: str, name: str, namespace: str, spec: Document) -> Document:
    labels = {
        "app.kubernetes.io/name": "trainyard",
        "app.kubernetes.io/version": __version__,
        "app.kubernetes.io/managed-by": "trainyard",
    }
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, **place, "labels": labels},
        "spec": spec,
    }
