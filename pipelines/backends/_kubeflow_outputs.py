"""Fetches what a run has written, from the object store that Kubeflow keeps artifacts in.

The server tells no addresses of artifacts, but they follow a rule:
`<root>/<pipeline>/<run>/<step>/<attempt>/<output>`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from components.core import files
from components.core.errors import InputError, ServiceError
from components.core.storage import Item, open_storage
from pipelines.backends._kubeflow_api import Document, Kubeflow
from pipelines.backends._kubeflow_upload import ROOT

DEFAULT_ROOT = "minio://mlpipeline/v2/artifacts"
"""Where a server puts artifacts unless it is told otherwise."""

_NO_OUTPUT = ("executor-logs", "executor_output.json")


def fetch_outputs(api: Kubeflow, run: Document, folder: Path, say: Callable[[str], None]) -> None:
    """Writes `<folder>/<step>/<output>` for every output, all of them or nothing.

    Raises:
        InputError: the run has written nothing, or `folder` holds something already.
        ServiceError: the object store cannot be reached, or is of another kind.
    """
    if files.holds_something(folder):
        raise InputError(files.occupied(folder))
    place = _place(api, run)
    storage = open_storage(place)
    found = newest(storage.items())
    if not found:
        raise InputError(
            f"there is nothing in {place}; set TRAINYARD_KUBEFLOW_ROOT to where this Kubeflow "
            "keeps artifacts (defaultPipelineRoot of its ConfigMap kfp-launcher)"
        )
    with files.full_disk_named(folder), files.atomic_path(folder) as temporary:
        if folder.is_dir():
            folder.rmdir()  # empty
        for name, item in found.items():
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            storage.get(item, target)
    say(f"outputs: {folder}")
    for report in sorted(folder.rglob("report*")):
        say(f"report:  {report}")


def newest(items: Iterable[Item]) -> dict[str, Item]:
    """`<step>/<output>…` → its file; of a step that ran several times, those of the last one."""
    attempts: dict[tuple[str, str], dict[str, list[Item]]] = {}
    for item in items:
        parts = item.name.split("/", 3)
        if len(parts) < 3 or item.is_folder or parts[2] in _NO_OUTPUT:
            continue
        step, attempt, output = parts[:3]
        attempts.setdefault((step, output), {}).setdefault(attempt, []).append(item)
    found = {}
    for (step, _), tried in attempts.items():
        last = max(tried.values(), key=lambda written: max(item.modified for item in written))
        for item in last:
            found[f"{step}/{item.name.split('/', 2)[2]}"] = item
    return found


def _place(api: Kubeflow, run: Document) -> str:
    config = run.get("runtime_config") or {}
    root = str(config.get("pipeline_root") or os.environ.get(ROOT, "").strip() or DEFAULT_ROOT)
    match = re.fullmatch(r"(?:minio|s3)://([^?]+?)/*(\?.*)?", root)
    if match is None:
        raise ServiceError(
            f"the outputs are in {root}, which only its own tools can read; fetch them from "
            f"{root.rstrip('/')}/…/{run['run_id']}"
        )
    reference = run.get("pipeline_version_reference") or {}
    pipeline = api.call(
        "look at the pipeline",
        api.pipelines.pipeline_service_get_pipeline,
        str(reference.get("pipeline_id", "")),
    )
    name = pipeline.get("name") or pipeline.get("display_name")
    return f"s3://{match[1]}/{name}/{run['run_id']}"
