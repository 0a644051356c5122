"""What a run's own account says: its steps, their states, and the pods that do the work.

The server tells every node of the Argo workflow: for a step `x` a pod `x-driver`, a group `x`, and
in it a pod `executor` (with retries a group `executor` of pods `executor(0)` …). Groups of groups,
such as branches and loops, look the same but hold drivers only. A node's own name is
`<workflow>-<template>-<hash>`, that of its children `<workflow>-<hash>`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pipelines.backends import RunStatus, State, StepStatus
from pipelines.backends._kubeflow_api import Document
from pipelines.backends._kubeflow_refusals import QUOTA_ADVICE

_STATES: dict[str, State] = {
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELING": "running",
    "CANCELED": "cancelled",
    "SKIPPED": "cancelled",
}
_NOT_YET = ("PENDING", "RUNTIME_STATE_UNSPECIFIED")
_FINAL = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")

_EXECUTOR = re.compile(r"executor(\(\d+\))?")
_GROUP = re.compile(
    r"root|(condition|condition-branches|for-loop|exit-handler)-\d+|iteration-item.*|.*-driver"
)
_DRIVER = "-driver"


@dataclass(frozen=True)
class Step:
    """A step of a run as the server tells it."""

    status: StepStatus
    pods: tuple[str, ...]
    """Of its attempts, first to last; of its driver where that failed."""
    seconds: float
    """From start to end; 0 while unknown."""
    reused: bool = False
    """Kubeflow's cache had its results, from an earlier run."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status.state in ("succeeded", "failed", "cancelled")


def state(run: Document) -> State:
    """A run's state."""
    return _STATES.get(str(run.get("state", "")), "pending")


def is_over(run: Document) -> bool:
    """Whether a run has come to its end."""
    return run.get("state") in _FINAL


def run_status(run: Document, url: str) -> RunStatus:
    """A run with its steps."""
    return RunStatus(
        run=str(run.get("run_id", "")),
        state=state(run),
        steps=tuple(step.status for step in steps(run)),
        url=url,
        detail=_message(run),
    )


def steps(run: Document) -> list[Step]:
    """The steps that have begun, in that order."""
    nodes = (run.get("run_details") or {}).get("task_details") or []
    by_hash = {_hash(node.get("pod_name") or node.get("task_id") or ""): node for node in nodes}
    ordered = sorted(nodes, key=lambda node: (str(node.get("create_time", "")), _name(node)))
    found: dict[str, Step] = {}
    for node in ordered:
        name = _name(node)
        if _EXECUTOR.fullmatch(name) or _GROUP.fullmatch(name) or _is_workflow(node):
            continue
        children = list(_children(node, by_hash))
        if any(_name(child).endswith(_DRIVER) for child in children):
            continue  # a pipeline in the pipeline: its own steps are told
        name = _another(name, found)
        found[name] = _step(name, node, children, by_hash)
    for node in ordered:
        name = _name(node).removesuffix(_DRIVER)
        if _name(node).endswith(_DRIVER) and node.get("state") == "FAILED" and name != "root":
            detail = _message(node) or "it could not be prepared: its driver failed"
            status = StepStatus(name, "failed", detail)
            found[name] = Step(status, _pods([node], by_hash), _seconds(node))
    return list(found.values())


def _another(name: str, known: Collection[str]) -> str:
    """The name of a step, with a number where a loop has run it already."""
    numbered = (f"{name} ({number})" for number in itertools.count(2))
    return next(text for text in itertools.chain([name], numbered) if text not in known)


def _step(
    name: str, node: Document, children: list[Document], by_hash: Mapping[str, Document]
) -> Step:
    executors = [child for child in children if _EXECUTOR.fullmatch(_name(child))]
    detail = _message(node) or next(filter(None, map(_message, executors)), "")
    now = _STATES.get(str(node.get("state", "")), "pending")
    reused = bool(executors) and all(child.get("state") == "SKIPPED" for child in executors)
    if now == "cancelled":
        detail = detail or "not run"
    elif reused:
        detail = detail or "its cached results are used"
        executors = []
    return Step(StepStatus(name, now, detail), _pods(executors, by_hash), _seconds(node), reused)


def _pods(executors: list[Document], by_hash: Mapping[str, Document]) -> tuple[str, ...]:
    """Names of pods; groups of attempts stand for their attempts."""
    pods: list[str] = []
    for executor in executors:
        attempts = [c for c in _children(executor, by_hash) if "(" in _name(c)]
        pods += _pods(attempts, by_hash) if attempts else [str(executor.get("pod_name") or "")]
    return tuple(dict.fromkeys(filter(None, pods)))


def _children(node: Document, by_hash: Mapping[str, Document]) -> Iterator[Document]:
    for child in node.get("child_tasks") or []:
        known = by_hash.get(_hash(str(child.get("pod_name") or child.get("task_id") or "")))
        if known is not None:
            yield known


def _hash(name: str) -> str:
    return name.rpartition("-")[2]


def _name(node: Document) -> str:
    return str(node.get("display_name", ""))


def _is_workflow(node: Document) -> bool:
    return bool(_name(node)) and _name(node) == node.get("pod_name")


def _message(document: Document) -> str:
    """Why something failed, if the server says so; or a state that is none of ours, as it is."""
    history = document.get("state_history") or []
    errors = [document.get("error"), *(entry.get("error") for entry in reversed(history))]
    said = next((str(e["message"]) for e in errors if e and e.get("message")), "")
    if "exceeded quota" in said:
        said = f"{said}; {QUOTA_ADVICE}"
    now = str(document.get("state") or "PENDING")
    return said if now in (*_STATES, *_NOT_YET) else f"Kubeflow says {now}{said and ': ' + said}"


def _seconds(node: Document) -> float:
    try:
        start, end = (datetime.fromisoformat(str(node[key])) for key in ("start_time", "end_time"))
        return max(0.0, (end - start).total_seconds())
    except (KeyError, ValueError, TypeError):
        return 0.0
