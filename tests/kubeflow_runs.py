"""What a Kubeflow server says of runs, for tests: the nodes of their Argo workflows."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]


def account(run: str, state: str, *steps: Document, error: str = "") -> Document:
    """What the server says of a run: its state, and the nodes of its Argo workflow."""
    nodes = [_node(run, run, state, pod=run), _node(run, "root-driver", "SUCCEEDED")]
    nodes += [node for step in steps for node in step["nodes"]]
    said: Document = {"state": state, "run_details": {"task_details": nodes}}
    return said | ({"error": {"code": 2, "message": error}} if error else {})


def step(
    name: str,
    state: str,
    *,
    seconds: int = 0,
    error: str = "",
    cached: bool = False,
    attempts: int = 0,
    driver: str = "SUCCEEDED",
) -> Document:
    """The nodes of one step: a driver, and a group with the pod that does the work."""
    nodes = [_node("wf", f"{name}-driver", driver)]
    if driver == "SUCCEEDED":
        group = _node("wf", name, state, seconds=seconds, error=error)
        inner = _node("wf", "executor", "SKIPPED" if cached else state, owner=name)
        tries = [_node("wf", f"executor({n})", state, owner=name) for n in range(attempts)]
        for parent, children in ((group, [inner]), (inner, tries)):
            if children:
                names = [f"wf-{child['pod_name'].rpartition('-')[2]}" for child in children]
                parent["child_tasks"] = [{"pod_name": child} for child in names]
        nodes += [group, inner, *tries]
    return {"nodes": nodes}


def pod_name(step_name: str, attempt: int | None = None) -> str:
    """The pod that does the work of a step made with `step`."""
    executor = "executor" if attempt is None else f"executor({attempt})"
    return _pod("wf", executor, step_name)


def _pod(workflow: str, name: str, owner: str = "") -> str:
    number = uuid.uuid5(uuid.NAMESPACE_URL, f"{workflow}/{owner}/{name}").int % 10**9
    template = "system-container-impl" if name.startswith("executor") else "system-container-driver"
    return f"{workflow}-{template}-{number}"


def _node(
    workflow: str,
    name: str,
    state: str,
    *,
    pod: str = "",
    owner: str = "",
    seconds: int = 0,
    error: str = "",
) -> Document:
    node: Document = {
        "run_id": "run",
        "task_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{workflow}/{owner}/{name}/task")),
        "display_name": name,
        "create_time": "2027-01-15T08:00:00Z",
        "start_time": "2027-01-15T08:00:00Z",
        "end_time": written(datetime.fromtimestamp(1_800_000_000 + seconds, UTC))
        if seconds
        else "0001-01-01T00:00:00Z",
        "state": state,
        "pod_name": pod or _pod(workflow, name, owner),
    }
    return node | ({"error": {"code": 13, "message": error}} if error else {})


def written(moment: datetime) -> str:
    """A moment as the server writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
