"""Checks what each step of a compiled pipeline asks of its pod, in the specification and in the
platform document: images, resources, mounts, names, nodes, and the parameters they refer to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from components.core.settings import closest
from pipelines.container_rules import Document, Finding, check_amounts, image_problem
from pipelines.lint import kubernetes_config, workspace
from pipelines.lint.dag import Group, component_of, declared, groups
from pipelines.lint.placeholders import check_placeholders, referenced
from pipelines.names import VARIABLE_RULE, is_label_key, is_variable

_PLATFORM = "platforms.kubernetes.deploymentSpec.executors"
_STUBS = ("argostub/createpvc", "argostub/deletepvc")
"""Images that stand for what the server does itself."""

WORKSPACE = "{{$.workspace_path}}"


def platform_executors(platform: Document) -> Mapping[str, Any]:
    """Kubernetes options by executor."""
    single = (platform.get("platforms") or {}).get("kubernetes") or {}
    found: Mapping[str, Any] = (single.get("deploymentSpec") or {}).get("executors") or {}
    return found


def check_executors(spec: Document, platform: Document) -> Iterator[Finding]:
    """Every finding in executors and in the tasks that use them."""
    executors = (spec.get("deploymentSpec") or {}).get("executors") or {}
    options = platform_executors(platform)
    for label, executor in executors.items():
        if container := executor.get("container"):
            yield from _check_container(f"deploymentSpec.executors.{label}.container", container)
    for label, config in options.items():
        where = f"{_PLATFORM}.{label}"
        if label not in executors:
            text = f"no executor {label!r} in the pipeline{closest(str(label), executors)}"
            yield Finding(where, text, "its options reach no step; name an executor")
        container = (executors.get(label) or {}).get("container") or {}
        variables = [str(v.get("name")) for v in container.get("env") or []]
        yield from kubernetes_config.check(where, config, variables)
        limit = (container.get("resources") or {}).get("resourceMemoryLimit")
        yield from kubernetes_config.check_memory(where, config, limit)
    yield from _check_uses(spec, executors, options)
    text = json.dumps(spec, ensure_ascii=False)
    yield from workspace.check(platform, uses_workspace=WORKSPACE in text)


def _check_uses(
    spec: Document, executors: Mapping[str, Any], options: Mapping[str, Any]
) -> Iterator[Finding]:
    known = spec.get("components") or {}
    for name, component in known.items():
        label = str(component.get("executorLabel") or "")
        if component.get("dag") is None and label and label not in executors:
            text = f"no executor {label!r}{closest(str(label), executors)}"
            where = f"components.{name}.executorLabel"
            yield Finding(where, text, "name one of deploymentSpec.executors")
    for group in groups(spec):
        for task_name, task in group.tasks.items():
            component = known.get(component_of(task)) or {}
            label = str(component.get("executorLabel") or "")
            used = f"as {group.where}.dag.tasks.{task_name} runs it"
            if label in executors:
                where = f"deploymentSpec.executors.{label}"
                yield from _check_references(where, used, executors[label], task, component)
                yield from _check_pod_texts(where, executors[label], task, group)
            if label in options:
                where = f"{_PLATFORM}.{label}"
                yield from _check_config_references(where, used, options[label], task, group)
        yield from _check_pvc_tasks(group, known, executors)


def _check_references(
    where: str, used: str, executor: Document, task: Document, component: Document
) -> Iterator[Finding]:
    """Parameters in placeholders, which only the task that runs the executor can give."""
    given = {
        *((task.get("inputs") or {}).get("parameters") or {}),
        *declared(component, "inputDefinitions", "parameters"),
    }
    for place, text in _texts(where, executor):
        if "\n" in text:
            continue  # a program; the launcher leaves what it does not know in it
        for name in sorted(referenced(text) - given):
            yield Finding(
                place,
                f"refers to the parameter {name!r}, which the task does not get, {used}"
                f"{closest(name, given)}",
                "pass it to the task; kfp forgets to inside loops, conditions and exit handlers",
            )


def _check_pod_texts(
    where: str, executor: Document, task: Document, group: Group
) -> Iterator[Finding]:
    """Parameters that become part of the pod: the backend reads texts, and of others nothing."""
    container = executor.get("container") or {}
    inputs = (task.get("inputs") or {}).get("parameters") or {}
    parts = {"image": container.get("image"), "resources": container.get("resources")}
    for place, text in _texts(f"{where}.container", parts):
        for name in sorted(referenced(text)):
            source = (inputs.get(name) or {}).get("componentInputParameter")
            kind = (group.parameters.get(str(source)) or {}).get("parameterType", "STRING")
            if kind != "STRING":
                yield Finding(
                    place,
                    f"takes the parameter {source!r} of type {kind}, of which the backend puts "
                    "nothing into the pod",
                    "declare the parameter as str, such as gpus: str = '1'",
                )


def _check_config_references(
    where: str, used: str, config: Document, task: Document, group: Group
) -> Iterator[Finding]:
    """Parameters of Kubernetes options, which come from the group and from sibling tasks."""
    for place, source in _mappings(where, config):
        name = source.get("componentInputParameter")
        if name is not None and name not in group.parameters:
            yield Finding(
                f"{place}.componentInputParameter",
                f"{group.where} has no input {name!r}, {used}"
                f"{closest(str(name), group.parameters)}",
                "hand the parameter to every group around the task",
            )
        producer = (source.get("taskOutputParameter") or {}).get("producerTask")
        if producer is None:
            continue
        if producer not in group.tasks:
            text = f"comes from {producer!r}, which is not in {group.where}, {used}"
            yield Finding(f"{place}.taskOutputParameter", text, "name a task of the same group")
        elif producer not in (task.get("dependentTasks") or []):
            text = f"comes from {producer!r}, but the task does not wait for it, {used}"
            mend = f"add {producer} to dependentTasks"
            yield Finding(f"{place}.taskOutputParameter", text, mend)


def _texts(where: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(f"{where}.{name}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(f"{where}[{number}]", inner)


def _mappings(where: str, value: object) -> Iterator[tuple[str, Document]]:
    if isinstance(value, Mapping):
        yield where, value
        for name, inner in value.items():
            if name != "constant":
                yield from _mappings(f"{where}.{name}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _mappings(f"{where}[{number}]", inner)


def _check_container(where: str, container: Document) -> Iterator[Finding]:
    image = str(container.get("image") or "")
    if image not in _STUBS and "{{$" not in image and (problem := image_problem(image)):
        yield Finding(f"{where}.image", problem, "name a version tag or a digest (@sha256:…)")
    variables = [str(v.get("name") or "") for v in container.get("env") or []]
    for name in sorted({name for name in variables if variables.count(name) > 1}):
        yield Finding(f"{where}.env", f"{name} twice", "keep one")
    for number, name in enumerate(variables):
        if not is_variable(name):
            text = f"{name!r} is no name of a variable"
            yield Finding(f"{where}.env[{number}].name", text, VARIABLE_RULE)
    for key in ("command", "args", "env"):
        for place, text in _texts(f"{where}.{key}", container.get(key) or []):
            if "\n" not in text:
                yield from check_placeholders(place, text)
    resources = container.get("resources") or {}
    for name, resource in (("Cpu", "cpu"), ("Memory", "memory")):
        request, limit = (
            resources.get(f"resource{name}{kind}") or resources.get(f"{resource}{kind}")
            for kind in ("Request", "Limit")
        )
        if not any("{{$" in str(amount) for amount in (request, limit)):
            yield from check_amounts(f"{where}.resources {resource}", resource, request, limit)
    yield from _check_accelerator(f"{where}.resources.accelerator", resources)


def _check_accelerator(where: str, resources: Document) -> Iterator[Finding]:
    asked = resources.get("accelerator") or {}
    count = asked.get("resourceCount") or asked.get("count")
    kind = asked.get("resourceType") or asked.get("type")
    if count and not kind:
        text = "a limit without a type: the pod would get no GPU at all"
        yield Finding(where, text, "set_accelerator_type('nvidia.com/gpu'), also for set_gpu_limit")
    if kind and not count:
        text = "a type without a limit: the pod would get no GPU at all"
        yield Finding(where, text, "set_accelerator_limit(1)")
    if count and "{{$" not in str(count) and not _is_count(count):
        text = f"{count!r} is no number of GPUs"
        yield Finding(f"{where}.resourceCount", text, "use a whole number")
    if kind and "{{$" not in kind and not (is_label_key(kind) and "/" in kind):
        text = f"{kind!r} is no name of a GPU resource"
        yield Finding(f"{where}.resourceType", text, "use nvidia.com/gpu or a MIG profile of it")


def _is_count(count: object) -> bool:
    try:
        return float(str(count)).is_integer() and float(str(count)) >= 0
    except ValueError:
        return False


def _check_pvc_tasks(
    group: Group, known: Mapping[str, Any], executors: Mapping[str, Any]
) -> Iterator[Finding]:
    for name, task in group.tasks.items():
        component = known.get(component_of(task)) or {}
        executor = executors.get(str(component.get("executorLabel"))) or {}
        if (executor.get("container") or {}).get("image") != _STUBS[0]:
            continue
        given = (task.get("inputs") or {}).get("parameters") or {}
        constants = {
            key: source["runtimeValue"].get("constant")
            for key, source in given.items()
            if source.get("runtimeValue")
        }
        where = f"{group.where}.dag.tasks.{name}.inputs.parameters"
        yield from workspace.check_claim(where, constants)
