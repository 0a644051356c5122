"""Rendered kustomizations, and what all of their documents have in common."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from servers import absent

Document = dict[str, Any]


def kustomize(folder: Path) -> list[Document]:
    """The documents that a kustomization renders."""
    return list(yaml.safe_load_all(rendered(folder)))


def rendered(folder: Path) -> str:
    """The same as text."""
    tool = next((tool for tool in ("kubectl", "kustomize") if shutil.which(tool)), None)
    if tool is None:
        absent(f"neither kubectl nor kustomize is here to render {folder}")
    command = ["kubectl", "kustomize"] if tool == "kubectl" else ["kustomize", "build"]
    done = subprocess.run([*command, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def validate(documents: list[Document]) -> None:
    """Checks against the schemas of the oldest and the newest Kubernetes that we know of."""
    import kubernetes_validate

    for version in ("1.31", kubernetes_validate.latest_version()):
        for document in documents:
            kubernetes_validate.validate(document, version, strict=True)


def where(document: Document) -> str:
    """Kind, namespace and name, to tell which document is meant."""
    about = document["metadata"]
    return f"{document['kind']}/{about.get('namespace', '')}/{about['name']}"


def pod_templates(documents: list[Document]) -> Iterator[tuple[Document, Document]]:
    """Every document that makes pods, and its pod template."""
    for document in documents:
        spec = document.get("spec", {})
        if document["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec and "spec" in spec["template"]:
            yield document, spec["template"]


def containers(template: Document) -> list[Document]:
    """Every container of a pod template, the ones that run first too."""
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def selects(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a label selector, with `matchLabels` and `matchExpressions` In, selects."""
    wanted = selector.get("matchLabels", {}).items()
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return all(labels.get(key) == value for key, value in wanted) and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )
