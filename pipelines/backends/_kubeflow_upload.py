"""Finds what a run needs on a Kubeflow server, and makes what is not there: nothing twice."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.core.errors import InputError
from pipelines.backends._kubeflow_api import Document, Kubeflow
from pipelines.backends._kubeflow_refusals import AbsentError, ExistsError
from pipelines.backends._kubeflow_request import (
    Definition,
    Wanted,
    experiment_body,
    pipeline_body,
    run_body,
)

ROOT = "TRAINYARD_KUBEFLOW_ROOT"
"""Environment variable: where artifacts go, such as s3://bucket/prefix; by default where the
server puts them."""

MARK = ", request "
"""In the description of a run, between the name of its version and what tells requests apart."""

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class Place:
    """Ids of what a run or a schedule refers to."""

    pipeline: str
    version: str
    experiment: str


def prepare(api: Kubeflow, wanted: Wanted) -> Place:
    """Finds or makes the pipeline, this version of it, and the experiment.

    Raises:
        InputError: a name is taken by something else.
        TrainyardError: as `Kubeflow.call`.
    """
    pipeline = str(_pipeline(api, wanted)["pipeline_id"])
    version = str(_version(api, wanted.definition, pipeline)["pipeline_version_id"])
    return Place(pipeline, version, str(experiment_of(api, wanted)["experiment_id"]))


def create_run(api: Kubeflow, wanted: Wanted, place: Place) -> Document:
    """Starts a run, exactly one even where answers are lost."""
    mark = f"{wanted.definition.version}{MARK}{uuid.uuid4().hex}"
    root = os.environ.get(ROOT, "").strip()
    body = run_body(wanted, place.experiment, place.pipeline, place.version, root, mark)

    def made() -> Document | None:
        recent = runs(api, experiment_id=place.experiment)
        return next((run for run in recent if run.get("description") == mark), None)

    return api.call("create the run", api.runs.run_service_create_run, body, made=made)


def runs(api: Kubeflow, **limits: str) -> Iterator[Document]:
    """Runs, newest first: of an `experiment_id`, a `namespace`, and as a `filter` says."""
    return api.pages(
        "list the runs",
        api.runs.run_service_list_runs,
        "runs",
        sort_by="created_at desc",
        **limits,
    )


def latest_version(api: Kubeflow, pipeline: str) -> str:
    """Name of the version that a run takes when it names none."""
    return next((_called(version) for version in _versions(api, pipeline)), "")


def find_experiment(api: Kubeflow, name: str, namespace: str) -> Document | None:
    """The experiment of a name, if there is one."""
    listed = api.pages(
        "list the experiments",
        api.experiments.experiment_service_list_experiments,
        "experiments",
        **in_namespace(namespace),
    )
    return next((found for found in listed if found.get("display_name") == name), None)


def find_pipeline(api: Kubeflow, name: str, namespace: str) -> Document | None:
    """The pipeline of a name, if there is one."""
    try:
        return api.call(
            "find the pipeline",
            api.pipelines.pipeline_service_get_pipeline_by_name,
            name,
            **in_namespace(namespace),
        )
    except AbsentError:
        return None


def in_namespace(namespace: str) -> dict[str, Any]:
    """The argument that limits a request to a namespace, where one is given."""
    return {"namespace": namespace} if namespace else {}


def _pipeline(api: Kubeflow, wanted: Wanted) -> Document:
    def find() -> Document | None:
        return find_pipeline(api, wanted.definition.name, wanted.namespace)

    if found := find():
        return found
    create = api.pipelines.pipeline_service_create_pipeline
    try:
        return api.call("create the pipeline", create, pipeline_body(wanted), made=find)
    except ExistsError:  # somebody was faster
        if found := find():
            return found
        raise


def _version(api: Kubeflow, definition: Definition, pipeline: str) -> Document:
    def find() -> Document | None:
        return _same_version(api, definition, pipeline)

    if found := find():
        return found
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{definition.version}.yaml"
        file.write_text(yaml.dump_all(definition.documents, Dumper=_DUMPER), encoding="utf-8")
        try:
            return api.call(
                "upload the pipeline",
                api.uploads.upload_pipeline_version,
                str(file),
                made=find,
                name=definition.version,
                display_name=definition.version,
                pipelineid=pipeline,
            )
        except ExistsError:
            if found := find():
                return found
            raise


def _same_version(api: Kubeflow, definition: Definition, pipeline: str) -> Document | None:
    """The uploaded version of this content.

    Raises:
        InputError: its name holds another content, or the pipeline is of another origin.
    """
    for version in _versions(api, pipeline):
        spec = version.get("pipeline_spec") or {}
        own = (spec.get("pipeline_spec") or spec) if isinstance(spec, dict) else {}
        name = own.get("pipelineInfo", {}).get("name", "")
        if own and name != definition.name:
            raise InputError(
                f"the server has a pipeline {definition.name!r} of another origin (its version "
                f"{_called(version)!r} describes {name or 'something else'!r}); rename or delete "
                "it there, or choose another --namespace"
            )
        if _called(version) == definition.version:
            if own and not _same_content(definition, own):
                raise InputError(
                    f"the server has a version {definition.version!r} with another content; "
                    "delete it there, and run this again"
                )
            return version
    return None


def _versions(api: Kubeflow, pipeline: str) -> Iterator[Document]:
    """The versions of a pipeline, newest first."""
    return api.pages(
        "list the versions of the pipeline",
        api.pipelines.pipeline_service_list_pipeline_versions,
        "pipeline_versions",
        pipeline,
        sort_by="created_at desc",
    )


def _called(version: Document) -> str:
    return str(version.get("name") or version.get("display_name") or "")


def _same_content(definition: Definition, spec: Document) -> bool:
    try:
        ours, theirs = (
            json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
            for document in (definition.documents[0], spec)
        )
    except json_format.ParseError:
        return False
    return bool(ours == theirs)


def experiment_of(api: Kubeflow, wanted: Wanted) -> Document:
    """The experiment, found or made."""

    def find() -> Document | None:
        return find_experiment(api, wanted.experiment, wanted.namespace)

    if found := find():
        return found
    create = api.experiments.experiment_service_create_experiment
    try:
        return api.call("create the experiment", create, experiment_body(wanted), made=find)
    except ExistsError:
        if found := find():
            return found
        raise
