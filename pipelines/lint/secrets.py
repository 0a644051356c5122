"""Looks for secret values in compiled pipelines; what it finds is named, never repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.container_rules import Document, Finding, check_environment
from pipelines.lint.dag import components, declared, groups
from pipelines.lint.placeholders import check_placeholders
from pipelines.secret_words import (
    secret_in_content,
    secret_in_text,
    secret_in_value,
    secret_in_words,
)

_MEND = "take it in the pod, as an environment variable from a Secret"


def check_pipeline(spec: Document, platform: Document) -> Iterator[Finding]:
    """Defaults, constants, environments, arguments, programs and annotations."""
    names = names_of_secrets(platform)
    for where, component in components(spec):
        for name, about in declared(component, "inputDefinitions", "parameters").items():
            place = f"{where}.inputDefinitions.parameters.{name}.defaultValue"
            yield from check_value(place, name, about.get("defaultValue"), names)
    for group in groups(spec):
        for task_name, task in group.tasks.items():
            given = (task.get("inputs") or {}).get("parameters") or {}
            for name, source in given.items():
                place = f"{group.where}.dag.tasks.{task_name}.inputs.parameters.{name}"
                constant = (source.get("runtimeValue") or {}).get("constant")
                yield from check_value(place, name, constant, names)
    executors = (spec.get("deploymentSpec") or {}).get("executors") or {}
    for label, executor in executors.items():
        where = f"deploymentSpec.executors.{label}"
        yield from _check_container(f"{where}.container", executor.get("container") or {})
        importer = executor.get("importer") or {}
        uri = (importer.get("artifactUri") or {}).get("constant")
        yield from check_value(f"{where}.importer.artifactUri", "uri", uri, names)
        metadata = importer.get("metadata")
        yield from check_value(f"{where}.importer.metadata", "", metadata, names)
    yield from _check_platform(platform)
    yield from check_told("", spec)
    yield from check_told("", platform)


def check_told(where: str, value: object) -> Iterator[Finding]:
    """Descriptions and display names, at any depth, hold no secret."""
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from check_told(f"{where}[{number}]", inner)
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        place = f"{where}.{key}" if where else str(key)
        told = key in ("description", "displayName") or (key == "name" and _TASK.search(where))
        if isinstance(inner, str):
            if told and (problem := secret_in_text(_SENTENCE.sub(" ", inner))):
                yield Finding(place, problem, "leave it out: whoever sees the pipeline reads it")
        elif key not in _VALUES:
            yield from check_told(place, inner)


_TASK = re.compile(r"\.taskInfo$")
_SENTENCE = re.compile(r":[ \t]+(?=\S+[ \t]+\S)")
"""A colon before several words: `token: where it is from` sets nothing."""
_VALUES = ("defaultValue", "runtimeValue", "metadata", "properties", "customProperties")
"""Checked as values, not for the descriptions in them."""


def check_value(where: str, name: str, value: object, exempt: set[str]) -> Iterator[Finding]:
    """A default, constant or given value; `exempt` are names of parameters that name objects."""
    for text in _texts(value):
        yield from check_placeholders(where, text)
    problem = ""
    if isinstance(value, str):
        reference = name in exempt or value.startswith("{{$")
        problem = "" if reference else secret_in_value(name, value)
        problem = problem or secret_in_text(value)
    else:
        problem = secret_in_content(value) or next(
            filter(None, map(secret_in_text, _texts(value))), ""
        )
    if problem:
        yield Finding(where, problem, _MEND)


def _check_container(where: str, container: Document) -> Iterator[Finding]:
    yield from check_environment(where, container.get("env") or [])
    for key in ("command", "args"):
        if problem := secret_in_words(container.get(key) or []):
            yield Finding(f"{where}.{key}", problem, _MEND)


def _check_platform(platform: Document) -> Iterator[Finding]:
    single = (platform.get("platforms") or {}).get("kubernetes") or {}
    executors = (single.get("deploymentSpec") or {}).get("executors") or {}
    for label, config in executors.items():
        where = f"platforms.kubernetes.deploymentSpec.executors.{label}.podMetadata"
        metadata = config.get("podMetadata") or {}
        for kind in ("labels", "annotations"):
            yield from check_annotations(f"{where}.{kind}", metadata.get(kind) or {})


def check_annotations(where: str, values: Mapping[str, Any]) -> Iterator[Finding]:
    """Labels and annotations hold no secret."""
    for key, value in values.items():
        name = str(key).rpartition("/")[2]
        if problem := secret_in_value(name, str(value)) or secret_in_text(str(value)):
            yield Finding(f"{where}.{key}", problem, _MEND)


def names_of_secrets(value: object) -> set[str]:
    """Parameters that name a Secret or another object: their values are no secrets."""
    if isinstance(value, list):
        return {name for inner in value for name in names_of_secrets(inner)}
    if not isinstance(value, Mapping):
        return set()
    found = {name for inner in value.values() for name in names_of_secrets(inner)}
    if isinstance(name := value.get("componentInputParameter"), str):
        found |= {name, name.removeprefix("pipelinechannel--")}
    return found


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
