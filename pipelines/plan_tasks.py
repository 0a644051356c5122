"""The tasks of a compiled pipeline, those of nested groups too, wired to one another directly.

Kubeflow compiles a condition or an exit handler to a component of its own, a group: tasks in it
see the outside only through the group's inputs. Here those are followed back to where they come
from, so that a reader finds one list of tasks and the pipeline's own parameters. A loop is such a
group too: its tasks run once for each item of a list.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_CONDITION = re.compile(r"inputs\.parameter_values\['([^']+)'\] == '([^']*)'")

PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
"""Stands for an input in the texts of a compiled task."""

Source = Mapping[str, Any]
"""Where an input comes from, in the words of the compiled document: `componentInputParameter`,
`runtimeValue`, `taskOutputParameter` or `taskOutputArtifact`; or `itemOf`, a list parameter."""


@dataclass(frozen=True)
class Condition:
    """What an earlier task has to have answered."""

    task: str
    output: str
    value: str


@dataclass(frozen=True)
class Task:
    """One task, and where it gets its inputs from."""

    name: str
    component: Mapping[str, Any]
    parameters: Mapping[str, Source]
    """Input → a parameter of the pipeline, a constant, or a task's output."""
    artifacts: Mapping[str, Source]
    after: tuple[str, ...]
    """Tasks it waits for; never groups."""
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class _Group:
    """What the tasks of a group see of the outside; the pipeline itself is the outermost one."""

    parameters: Mapping[str, Source] = field(default_factory=dict)
    artifacts: Mapping[str, Source] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    outermost: bool = False


def flattened(spec: Mapping[str, Any]) -> list[Task]:
    """Every task that runs a component, in an order that respects the wiring.

    Tasks that only tell how the pipeline ended are left out: they are no part of its work.

    Args:
        spec: a compiled pipeline as a dictionary.

    Raises:
        ValueError: a condition that is more than the comparison of an output with a text, or a
            loop over anything but a list parameter of the pipeline.
    """
    tasks: dict[str, Task] = {}
    for task in _tasks(spec["root"]["dag"]["tasks"], spec["components"], _Group(outermost=True)):
        tasks[task.name] = task
    return list(tasks.values())


def _tasks(
    declared: Mapping[str, Any], components: Mapping[str, Any], group: _Group
) -> Iterator[Task]:
    members: dict[str, tuple[str, ...]] = {}
    """Task or group → the tasks it stands for."""
    for name in in_order({name: task.get("dependentTasks", ()) for name, task in declared.items()}):
        task = declared[name]
        if task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED":
            continue
        component = components[task["componentRef"]["name"]]
        after = [m for earlier in task.get("dependentTasks", ()) for m in members[earlier]]
        inner = _entered(name, task, group, tuple(dict.fromkeys([*group.after, *after])))
        if "dag" in component:
            within = list(_tasks(component["dag"]["tasks"], components, inner))
        else:
            made = inner.parameters, inner.artifacts, inner.after, inner.conditions
            within = [Task(name, component, *made)]
        members[name] = tuple(task.name for task in within)
        yield from within


def _entered(name: str, task: Mapping[str, Any], group: _Group, after: tuple[str, ...]) -> _Group:
    """What a task of the group sees, or, where it is a group itself, what its tasks see."""
    inputs = task.get("inputs", {})
    parameters = inputs.get("parameters", {})
    if not group.outermost:
        parameters = {
            key: group.parameters[source["componentInputParameter"]]
            if "componentInputParameter" in source
            else source
            for key, source in parameters.items()
        }
    artifacts = {
        key: group.artifacts[source["componentInputArtifact"]]
        if "componentInputArtifact" in source
        else source
        for key, source in inputs.get("artifacts", {}).items()
    }
    if "parameterIterator" in task or "artifactIterator" in task:
        items = task.get("parameterIterator", {"items": {}})
        source = parameters.get(items["items"].get("inputParameter", ""), {})
        if "componentInputParameter" not in source:
            raise ValueError(f"{name}: cannot read a loop over anything but a list parameter")
        parameters = {
            **parameters,
            items["itemInput"]: {"itemOf": source["componentInputParameter"]},
        }
    own = task.get("triggerPolicy", {}).get("condition", "")
    conditions = (*group.conditions, *([_condition(name, own, parameters)] if own else []))
    return _Group(parameters, artifacts, after, conditions)


def _condition(name: str, text: str, parameters: Mapping[str, Source]) -> Condition:
    match = _CONDITION.fullmatch(text)
    source = parameters[match[1]].get("taskOutputParameter") if match else None
    if match is None or source is None:
        raise ValueError(f"{name}: cannot read the condition {text}")
    return Condition(source["producerTask"], source["outputParameterKey"], match[2])


def in_order(tasks: Mapping[str, Collection[str]]) -> list[str]:
    """Tasks, given as name → those it waits for, each after all of those; always the same order."""
    order: list[str] = []

    def visit(task: str) -> None:
        if task not in order:
            for earlier in sorted(tasks[task]):
                visit(earlier)
            order.append(task)

    for task in sorted(tasks):  # protobuf's maps have no order, and runs are compared
        visit(task)
    return order
