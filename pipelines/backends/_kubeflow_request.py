"""What a run on Kubeflow asks for: checked and compiled here, before any server is asked."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import kfp_server_api

from components.core import files
from components.core.errors import SettingsError, TrainyardError
from components.core.storage import open_storage
from pipelines import catalog, plan
from pipelines.backends import ClusterOptions, Request
from pipelines.backends._kubeflow_api import Document, plain
from pipelines.building import BuildOptions, build
from pipelines.cluster_options import state_below
from pipelines.compile import checked, version_name
from pipelines.job_places import parameter_place_problems
from pipelines.job_rules import errors
from pipelines.lint import lint_run
from pipelines.placement import Placement
from pipelines.secret_words import secret_in_text, secret_in_value

LONGEST_NAME = 128
"""Characters of the name of a run, an experiment or a schedule."""


@dataclass(frozen=True)
class Definition:
    """A compiled pipeline, and the names under which a server knows it."""

    name: str
    """Of the pipeline, in its document and on the server."""
    version: str
    """Names the content: another content has another name."""
    documents: tuple[Document, ...]
    """The pipeline, and what it asks of the platform."""
    summary: str
    warnings: tuple[str, ...] = ()
    """What is doubtful about it."""


@dataclass(frozen=True)
class Wanted:
    """Everything a run or a schedule needs on the server."""

    definition: Definition
    experiment: str
    name: str
    parameters: Mapping[str, Any]
    """Typed."""
    namespace: str = ""
    service_account: str = ""


_NOTHING_SHARED = (
    "warning: more_workers: without a volume (--pvc CLAIM:/path) they share their study only where "
    "the Secret trainyard-postgres holds TRAINYARD_OPTUNA_STORAGE; otherwise they end with an error"
)


def wanted_run(request: Request) -> Wanted:
    """The run that `request` stands for.

    Raises:
        SettingsError: everything that is wrong with it.
    """
    options = request.cluster or ClusterOptions({}, "")
    found = _output_problems(request.output) if request.output is not None else []
    if request.output is not None and not request.follow:
        found.append(
            "--output: with --no-follow nobody waits for it; use `trainyard outputs` later"
        )
    if request.resume and not request.name:
        found.append("--resume: say which run with --name")
    name = request.name or _new_name(request.pipeline)
    return wanted(request.pipeline, request.values, name, options, found, request.state_dir)


def wanted(
    pipeline: str,
    values: Mapping[str, Any],
    name: str,
    options: ClusterOptions,
    found: Sequence[str] = (),
    state_dir: Path | None = None,
    where: str = "the run",
) -> Wanted:
    """What a run or a schedule of a pipeline needs; `found` is what is wrong already.

    Raises:
        SettingsError: with that, and everything else that is wrong.
    """
    problems = [*found, *options.problems, *name_problems(name, "--name")]
    problems += name_problems(options.experiment or pipeline, "--experiment")
    built = build_options(options, str(state_dir or ""))
    # Bad options cannot be drawn; the parameters are looked at all the same.
    drawn = catalog.load(pipeline) if options.problems else build(pipeline, built)
    described = plan.read(drawn)
    problems += parameter_problems(described, values, built.placements)
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)), where)
    definition, parameters = define(pipeline, built), described.resolve(values)
    if parameters.get("more_workers") and not built.state_dir:
        definition = replace(definition, warnings=(*definition.warnings, _NOTHING_SHARED))
    if wrong := errors(lint_run(definition.documents, parameters)):
        raise SettingsError(wrong, where)
    return Wanted(
        definition=definition,
        experiment=options.experiment or pipeline,
        name=name,
        parameters=parameters,
        namespace=options.namespace,
        service_account=options.service_account,
    )


def build_options(options: ClusterOptions, state_dir: str = "") -> BuildOptions:
    """How the pipeline is compiled for the cluster's options."""
    chosen: dict[str, Any] = {"placements": options.placements} if options.placements else {}
    return BuildOptions(
        storage=options.storage,
        state_dir=state_dir or state_below(options.root),
        notify=options.notify,
        registry=options.registry,
        **chosen,
    )


def define(pipeline: str, options: BuildOptions) -> Definition:
    """Compiles and checks a pipeline.

    Raises:
        SettingsError: the server or the cluster would refuse it.
    """
    [made], doubtful = checked([pipeline], options)
    return Definition(
        name=str(made.documents[0]["pipelineInfo"]["name"]),
        version=version_name(pipeline, made.documents),
        documents=tuple(made.documents),
        summary=catalog.summary(pipeline),
        warnings=tuple(doubtful),
    )


def parameter_problems(
    described: plan.Plan, values: Mapping[str, Any], placements: Mapping[str, Placement]
) -> list[str]:
    """What is wrong with the given parameters; secrets among them are not repeated."""
    found = []
    for name, value in values.items():
        text = str(value)
        if secret := secret_in_value(name, text) or secret_in_text(text):
            found.append(
                f"{name}: it holds a secret ({secret}), which everybody could read in Kubeflow; "
                "put it into a Secret of the cluster"
            )
    return found or [
        *described.problems(values),
        *parameter_place_problems(described, values, placements),
    ]


def name_problems(name: str, option: str) -> list[str]:
    """What is wrong with a name that people see."""
    if secret := secret_in_text(name):
        return [f"{option}: it holds a secret ({secret}), which everybody could read in Kubeflow"]
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        return [f"{option} {name[:40]!r}: accepted are 1 to {LONGEST_NAME} printable characters"]
    return []


def run_body(
    wanted: Wanted, experiment: str, pipeline: str, version: str, root: str = "", note: str = ""
) -> Any:
    """The run as kfp_server_api has it.

    Args:
        wanted: what to run.
        experiment: id of the experiment.
        pipeline: id of the pipeline.
        version: id of the version; '' for the newest one when the run starts.
        root: where artifacts go; '' for the server's place.
        note: a description.
    """
    return kfp_server_api.V2beta1Run(
        display_name=wanted.name,
        description=note or wanted.definition.version,
        experiment_id=experiment,
        pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(
            pipeline_id=pipeline, pipeline_version_id=version or None
        ),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(
            parameters=dict(wanted.parameters), pipeline_root=root or None
        ),
        service_account=wanted.service_account or None,
    )


def experiment_body(wanted: Wanted) -> Any:
    """The experiment as kfp_server_api has it."""
    return kfp_server_api.V2beta1Experiment(
        display_name=wanted.experiment, namespace=wanted.namespace or None
    )


def pipeline_body(wanted: Wanted) -> Any:
    """The pipeline, without its versions, as kfp_server_api has it."""
    definition = wanted.definition
    return kfp_server_api.V2beta1Pipeline(
        name=definition.name,
        display_name=definition.name,
        description=definition.summary,
        namespace=wanted.namespace or None,
    )


def shared_documents(wanted: Wanted) -> Document:
    """What comes before the run or the schedule, for people to read."""
    return {
        "experiment": plain(experiment_body(wanted)),
        "pipeline": plain(pipeline_body(wanted)),
        "version": {"name": wanted.definition.version},
    }


def _output_problems(output: Path) -> list[str]:
    """Why a run's outputs could not be fetched, as far as that shows before it is started."""
    if files.holds_something(output):
        return [f"--output: {files.occupied(output)}"]
    if problem := files.place_problem(output):
        return [f"--output: {problem}"]
    if importlib.util.find_spec("minio") is None:
        return ["--output: minio is not installed here; run: pip install 'trainyard[data]'"]
    try:
        open_storage("s3://mlpipeline")
    except TrainyardError as error:
        return [f"--output: outputs come from Kubeflow's object store; {error}"]
    return []


def _new_name(pipeline: str) -> str:
    return f"{pipeline}-{datetime.now():%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}"
