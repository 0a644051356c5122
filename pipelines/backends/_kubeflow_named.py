"""Runs on Kubeflow by their names, which people give and the server does not keep apart."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator

from components.core.errors import InputError
from components.core.settings import closest
from pipelines.backends._kubeflow_api import PAGE_SIZE, Document, Kubeflow
from pipelines.backends._kubeflow_compare import run_differences
from pipelines.backends._kubeflow_request import Wanted
from pipelines.backends._kubeflow_status import state
from pipelines.backends._kubeflow_upload import find_experiment, in_namespace, runs

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def find_run(run: str, namespace: str) -> tuple[Kubeflow, str]:
    """The server, and the id of a run on it; `run` is the id or the name.

    Raises:
        InputError: there is no run of that name, or there are several.
        TrainyardError: as `Kubeflow.connect`.
    """
    if _ID.fullmatch(run):
        return Kubeflow.connect(), run
    api = Kubeflow.connect(namespace)
    api.require_namespace_known(namespace)
    where = in_namespace(namespace)
    found = list(_named(api, run, where))
    if not found:
        newest = itertools.islice(runs(api, **where), PAGE_SIZE)
        hint = closest(run, [str(other.get("display_name")) for other in newest])
        raise InputError(f"there is no run {run!r}{hint}; give its name or its id")
    ids = [str(one["run_id"]) for one in found]
    if len(ids) > 1:
        listed = ", ".join(f"{i} ({state(one)})" for i, one in zip(ids, found, strict=True))
        raise InputError(f"several runs are called {run!r}; give an id, newest first: {listed}")
    return api, ids[0]


def existing_run(api: Kubeflow, wanted: Wanted, resume: bool) -> Document | None:
    """The run of this name and request; with `resume` the newest one of this name.

    Raises:
        InputError: a run of this name is of another request; with `resume` there is none.
    """
    experiment = find_experiment(api, wanted.experiment, wanted.namespace)
    where = {"experiment_id": str(experiment["experiment_id"])} if experiment else {}
    found = list(_named(api, wanted.name, where)) if experiment else []
    if resume and not found:
        raise InputError(
            f"experiment {wanted.experiment!r} has no run {wanted.name!r} to resume; start one "
            "without --resume"
        )
    differences = [run_differences(run, wanted) for run in found]
    if found and (resume or [] in differences):
        return found[0 if resume else differences.index([])]
    if found:
        raise InputError(
            f"there is a run {wanted.name!r} ({found[0]['run_id']}) with another "
            f"{', '.join(differences[0])}; choose another --name, or go on with that one: --resume"
        )
    return None


def _named(api: Kubeflow, name: str, where: dict[str, str]) -> Iterator[Document]:
    """The runs of a name, newest first."""
    same = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    yield from runs(api, filter=json.dumps({"predicates": [same]}), **where)
