"""Checks how the tasks of a compiled pipeline are wired: every reference has something to refer to.

Every group of tasks (root, loop, condition, exit handler, nested pipeline) is a component with a
DAG of its own; a task sees the inputs of the group it is in and the outputs of its siblings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from components.core.settings import closest
from pipelines.container_rules import Document, Finding
from pipelines.lint.placeholders import referenced

_CONDITION = re.compile(r"inputs\.parameter_values\[(?:'|\")(.+?)(?:'|\")\]")
_PASSED_ALONG = "pipelinechannel--"
"""Prefix of inputs that kfp adds to tasks for placeholders; components do not declare them."""


@dataclass(frozen=True)
class Group:
    """A component that holds tasks."""

    where: str
    component: Document

    @property
    def tasks(self) -> Mapping[str, Any]:
        """Task by name."""
        tasks: Mapping[str, Any] = self.component["dag"].get("tasks") or {}
        return tasks

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What its tasks may take as componentInputParameter."""
        return declared(self.component, "inputDefinitions", "parameters")


def declared(component: Document, definitions: str, kind: str) -> Mapping[str, Any]:
    """Inputs or outputs (`definitions`) of a component, its artifacts or parameters (`kind`)."""
    found: Mapping[str, Any] = (component.get(definitions) or {}).get(kind) or {}
    return found


def groups(spec: Document) -> Iterator[Group]:
    """The root and every other component that holds tasks."""
    for where, component in components(spec):
        if component.get("dag") is not None:
            yield Group(where, component)


def components(spec: Document) -> Iterator[tuple[str, Document]]:
    """Every component with its path, the root first."""
    yield "root", spec.get("root") or {}
    for name, component in (spec.get("components") or {}).items():
        yield f"components.{name}", component


def component_of(task: Document) -> str:
    """Name of the component that a task runs."""
    return str((task.get("componentRef") or {}).get("name") or "")


def check_dags(spec: Document) -> Iterator[Finding]:
    """Every finding on tasks and on what passes between them."""
    known = spec.get("components") or {}
    if not (spec.get("root") or {}).get("dag"):
        yield Finding("root", "has no tasks", "give the pipeline a step")
    for name, component in known.items():
        if component.get("dag") is None and not component.get("executorLabel"):
            yield _empty(f"components.{name}.dag.tasks")
    for group in groups(spec):
        yield from _Dag(group, known).check()
    yield from _check_recursion(known)


def _empty(where: str) -> Finding:
    return Finding(
        where,
        "is empty: the server refuses groups without tasks, such as an empty ExitHandler",
        "put a step into it or leave it out",
    )


def _check_recursion(known: Mapping[str, Any]) -> Iterator[Finding]:
    inside = {
        name: [
            component_of(task)
            for task in ((component.get("dag") or {}).get("tasks") or {}).values()
        ]
        for name, component in known.items()
    }
    if circle := _circle(inside):
        yield Finding(
            f"components.{circle[0]}", f"contains itself: {' → '.join(circle)}", "break the circle"
        )


def _circle(graph: Mapping[str, list[Any]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


class _Dag:
    """The checks of one group of tasks."""

    def __init__(self, group: Group, known: Mapping[str, Any]) -> None:
        self._group = group
        self._where = f"{group.where}.dag"
        self._known = known
        self._tasks = group.tasks

    def check(self) -> Iterator[Finding]:
        """Every finding of the group."""
        if not self._tasks:
            yield _empty(f"{self._where}.tasks")
        for name, task in self._tasks.items():
            where = f"{self._where}.tasks.{name}"
            yield from self._check_component(where, task)
            yield from self._check_dependencies(where, name, task)
            yield from self._check_inputs(where, task)
            yield from _check_control(where, task)
        waits = {name: list(task.get("dependentTasks") or []) for name, task in self._tasks.items()}
        if circle := _circle(waits):
            text = f"tasks wait for each other: {' → '.join(circle)}"
            yield Finding(f"{self._where}.tasks", text, "break the circle")
        yield from self._check_outputs()

    def _component(self, task: Document) -> Document | None:
        found: Document | None = self._known.get(component_of(task))
        return found

    def _check_component(self, where: str, task: Document) -> Iterator[Finding]:
        name = component_of(task)
        component = self._component(task)
        if component is None:
            hint = closest(name, self._known)
            text = f"no component {name!r}{hint}"
            yield Finding(f"{where}.componentRef.name", text, "name one of `components`")
            return
        items = {
            (task.get(iterator) or {}).get("itemInput")
            for iterator in ("parameterIterator", "artifactIterator")
        }
        for kind in ("parameters", "artifacts"):
            given = (task.get("inputs") or {}).get(kind) or {}
            for key, about in declared(component, "inputDefinitions", kind).items():
                optional = about.get("isOptional") or "defaultValue" in about
                if key not in given and key not in items and not optional:
                    text = f"the component needs the input {key!r}"
                    yield Finding(f"{where}.inputs.{kind}", text, "pass it, or give it a default")
            for key, value in given.items():
                if key not in declared(component, "inputDefinitions", kind) and not _added(
                    key, value
                ):
                    hint = closest(key, declared(component, "inputDefinitions", kind))
                    text = f"the component has no input {key!r}{hint}"
                    yield Finding(f"{where}.inputs.{kind}.{key}", text, "pass what it declares")

    def _check_dependencies(self, where: str, name: str, task: Document) -> Iterator[Finding]:
        for other in task.get("dependentTasks") or []:
            if other not in self._tasks:
                hint = closest(str(other), self._tasks)
                text = f"waits for {other!r}, which is not in this group{hint}"
                yield Finding(f"{where}.dependentTasks", text, "name a task of the same group")

    def _check_inputs(self, where: str, task: Document) -> Iterator[Finding]:
        inputs = task.get("inputs") or {}
        for kind in ("parameters", "artifacts"):
            for key, source in (inputs.get(kind) or {}).items():
                yield from self.check_source(f"{where}.inputs.{kind}.{key}", task, source, kind)
        given = inputs.get("parameters") or {}
        for key, source in given.items():
            constant = (source.get("runtimeValue") or {}).get("constant")
            for missing in sorted(referenced(str(constant)) - set(given)):
                yield _unknown_input(f"{where}.inputs.parameters.{key}", missing, given)
        condition = str((task.get("triggerPolicy") or {}).get("condition") or "")
        for missing in sorted(set(_CONDITION.findall(condition)) - set(given)):
            yield _unknown_input(f"{where}.triggerPolicy.condition", missing, given)
        yield from self._check_iterator(where, task, given)

    def check_source(
        self, where: str, task: Document, source: Document, kind: str
    ) -> Iterator[Finding]:
        """Where an input comes from: the group, a sibling, or a constant."""
        one = kind[:-1].capitalize()
        if (name := source.get(f"componentInput{one}")) is not None:
            offered = declared(self._group.component, "inputDefinitions", kind)
            if name not in offered:
                yield Finding(
                    f"{where}.componentInput{one}",
                    f"{self._group.where} has no input {name!r}{closest(str(name), offered)}",
                    "hand it to this group; kfp forgets to for resources: pass it to a task in it",
                )
        if output := source.get(f"taskOutput{one}"):
            key = output.get(f"output{one}Key")
            yield from self._check_producer(where, task, output.get("producerTask"), key, kind)
        if final := source.get("taskFinalStatus"):
            yield from self._check_producer(where, task, final.get("producerTask"), None, kind)

    def _check_producer(
        self, where: str, task: Document, producer: Any, key: Any, kind: str
    ) -> Iterator[Finding]:
        if producer not in self._tasks:
            hint = closest(str(producer), self._tasks)
            text = f"comes from {producer!r}, which is not in this group{hint}"
            yield Finding(where, text, "name a task of the same group")
            return
        if producer not in (task.get("dependentTasks") or []):
            text = f"comes from {producer!r}, but the task does not wait for it"
            yield Finding(where, text, f"add {producer} to dependentTasks")
        yield from self._check_output(where, producer, key, kind)

    def _check_output(self, where: str, producer: str, key: Any, kind: str) -> Iterator[Finding]:
        component = self._component(self._tasks[producer])
        if component is None or key is None:
            return
        offered = declared(component, "outputDefinitions", kind)
        if key not in offered:
            text = f"{producer!r} has no output {key!r}{closest(str(key), offered)}"
            yield Finding(where, text, f"name one of its outputs: {', '.join(offered) or 'none'}")

    def _check_iterator(
        self, where: str, task: Document, given: Mapping[str, Any]
    ) -> Iterator[Finding]:
        if task.get("artifactIterator"):
            yield Finding(
                f"{where}.artifactIterator",
                "loops over a list of artifacts, which the server cannot do",
                "loop over a list of parameters, or take the whole list in one step",
            )
        iterator = task.get("parameterIterator") or {}
        name = (iterator.get("items") or {}).get("inputParameter")
        if name is not None and name not in given:
            yield _unknown_input(f"{where}.parameterIterator.items", name, given)

    def _check_outputs(self) -> Iterator[Finding]:
        outputs = self._group.component["dag"].get("outputs") or {}
        for kind in ("parameters", "artifacts"):
            for name, source in (outputs.get(kind) or {}).items():
                for selector in _selectors(source):
                    where = f"{self._where}.outputs.{kind}.{name}"
                    producer = selector.get("producerSubtask")
                    if producer not in self._tasks:
                        hint = closest(str(producer), self._tasks)
                        text = f"comes from {producer!r}, which is not in this group{hint}"
                        yield Finding(where, text, "name a task of the same group")
                        continue
                    key = selector.get(f"output{kind[:-1].capitalize()}Key")
                    yield from self._check_output(where, str(producer), key, kind)


def _selectors(source: Document) -> list[Document]:
    single = source.get("valueFromParameter")
    several = (source.get("valueFromOneof") or {}).get("parameterSelectors") or []
    return [*([single] if single else []), *several, *(source.get("artifactSelectors") or [])]


def _added(name: str, source: Document) -> bool:
    """Whether kfp adds this input for a placeholder; the server takes it without a declaration."""
    constant = (source.get("runtimeValue") or {}).get("constant")
    return name.startswith(_PASSED_ALONG) or bool(referenced(str(constant)))


def _unknown_input(where: str, name: str, given: Mapping[str, Any]) -> Finding:
    return Finding(
        where,
        f"refers to the parameter {name!r}, which the task does not get{closest(name, given)}",
        "pass it to the task",
    )


def _check_control(where: str, task: Document) -> Iterator[Finding]:
    retry = task.get("retryPolicy") or {}
    for name in ("maxRetryCount", "backoffFactor"):
        if _negative(retry.get(name)):
            yield Finding(f"{where}.retryPolicy.{name}", "is negative", "use 0 or more")
    for name in ("backoffDuration", "backoffMaxDuration"):
        if str(retry.get(name, "")).startswith("-"):
            yield Finding(f"{where}.retryPolicy.{name}", "is negative", "use seconds, such as 60s")
    if _negative((task.get("iteratorPolicy") or {}).get("parallelismLimit")):
        text = "is negative"
        yield Finding(f"{where}.iteratorPolicy.parallelismLimit", text, "use 0 for no limit")


def _negative(value: object) -> bool:
    try:
        return float(str(value)) < 0
    except ValueError:
        return False
