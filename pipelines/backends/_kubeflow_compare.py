"""What is not the same in two runs or schedules of Kubeflow, for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipelines.backends._kubeflow_api import Document, plain
from pipelines.backends._kubeflow_request import Wanted, run_body
from pipelines.backends._kubeflow_upload import MARK


def schedule_differences(existing: Document, wanted: Document) -> list[str]:
    """What is not the same in two recurring runs, for people."""
    aspects = {
        "pipeline version": "pipeline_version_reference",
        "time": "trigger",
        "experiment": "experiment_id",
        "service account": "service_account",
        "number of runs at once": "max_concurrency",
        "rule for missed runs": "no_catchup",
    }
    found = [
        aspect
        for aspect, key in aspects.items()
        if _comparable(existing.get(key)) != _comparable(wanted.get(key))
    ]
    return found + parameter_differences(existing, wanted)


def _comparable(value: Any) -> Any:
    """Without what says nothing, and times as times: the server writes both its own way."""
    if isinstance(value, Mapping):
        plain_values = {key: _comparable(inner) for key, inner in value.items()}
        return {key: inner for key, inner in plain_values.items() if inner}
    if isinstance(value, str) and "T" in value:
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except ValueError:
            return value
    return value or ""


def run_differences(existing: Document, wanted: Wanted) -> list[str]:
    """What is not the same in a run and a wanted one; ids of the server play no part."""
    found = []
    if str(existing.get("description", "")).partition(MARK)[0] != wanted.definition.version:
        found.append("pipeline version")
    # Where none is given, the server names one of its own.
    if wanted.service_account not in ("", existing.get("service_account")):
        found.append("service account")
    return found + parameter_differences(existing, plain(run_body(wanted, "", "", "")))


def parameter_differences(existing: Document, wanted: Document) -> list[str]:
    """Which parameters are not the same in two runs or schedules, for people."""
    theirs, ours = (
        (document.get("runtime_config") or {}).get("parameters") or {}
        for document in (existing, wanted)
    )
    names = sorted({*theirs, *ours})
    return [
        f"parameter {name}"
        for name in names
        if (name in theirs, theirs.get(name)) != (name in ours, ours.get(name))
    ]
