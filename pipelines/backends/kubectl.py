"""The kubectl backend: everything is a Kubernetes object, also what starts a run.

Kubeflow has no object for runs. A small Job asks for the run and stays until it ends, so that the
Job's state, log and end are the run's; a run is named by its Job.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from components.core.errors import InputError, ServiceError, SettingsError
from pipelines.backends import Request, RunStatus
from pipelines.backends._apply import apply_documents
from pipelines.backends._cluster import Cluster, Document
from pipelines.backends._job_follow import Follower, job_end, job_state, secret_command
from pipelines.backends._job_submit import find_same, require, require_acceptance, submit
from pipelines.backends._kubeflow_request import Wanted, wanted_run
from pipelines.compile import require_sound
from pipelines.kubernetes_format import kubernetes_documents
from pipelines.placement import KUBEFLOW_SECRET
from pipelines.quantities import dns_label, is_dns_label
from pipelines.run_starter import (
    MODULE,
    SERVICE_ACCOUNT,
    URL_VARIABLE,
    RunOrder,
    canceller,
    starter_documents,
)


class KubectlBackend:
    """Applies the pipeline and creates the Job that runs it; needs the Kubernetes API only."""

    def render(self, request: Request) -> dict[str, Any]:
        """The exact documents: Pipeline, PipelineVersion, and the Job with its ConfigMap.

        Raises:
            SettingsError: everything that is wrong with the run.
        """
        wanted, applied, started = _rendered(request)
        return {"run": wanted.name, "documents": [*applied, *started]}

    def run(self, request: Request) -> int:
        """Starts the run, follows it if asked to, and returns its exit code."""
        run = self.submit(request)
        namespace = request.cluster.namespace if request.cluster else ""
        if request.follow:
            return self.follow(run, namespace)
        _say(_how_to_go_on(Cluster.connect(namespace), run))
        return 0

    def submit(self, request: Request) -> str:
        """Applies the pipeline and creates the Job, or finds the one that does the same."""
        wanted, applied, started = _rendered(request)
        cluster = Cluster.connect(wanted.namespace)
        require(cluster, required(cluster.namespace))
        if find_same(cluster, started[-1]) is None:
            require_acceptance(cluster, started)
        apply_documents(cluster, applied, _say)
        submit(cluster, started, _say)
        return wanted.name

    def status(self, run: str, namespace: str) -> RunStatus:
        """How far a run is, and the last that its Job said.

        Raises:
            InputError: there is no run of that name.
        """
        cluster = Cluster.connect(namespace)
        job = _job(cluster, run)
        state, detail = job_state(cluster, job)
        said = _last_words(cluster, run) if state != "pending" else []
        return RunStatus(run, state, detail="; ".join(filter(None, [detail, *said[-1:]])))

    def follow(self, run: str, namespace: str) -> int:
        """Shows the run's steps and logs until it ends. Ctrl-C leaves it be."""
        cluster = Cluster.connect(namespace)
        _job(cluster, run)
        try:
            end = Follower(cluster, run, _show, _say).follow()
        except KeyboardInterrupt:
            _say(f"\nthe run goes on without this terminal\n{_how_to_go_on(cluster, run)}")
            return 130
        _say(f"Job/{run} " + (f"failed: {end.reason}" if end.exit_code else "succeeded"))
        return end.exit_code

    def cancel(self, run: str, namespace: str) -> None:
        """Ends the run on Kubeflow, by a Job that asks for it, and removes its Job.

        Raises:
            InputError: there is no run of that name.
            ServiceError: it could not be ended; nothing was removed.
        """
        cluster = Cluster.connect(namespace)
        job = _job(cluster, run)
        if job_end(cluster, job) is None and _has_begun(cluster, run):
            ending = canceller(job)
            name = ending["metadata"]["name"]
            cluster.delete("Job", name)
            cluster.create(ending)
            if Follower(cluster, name, _show, _say).follow().exit_code:
                raise ServiceError(
                    f"the run of Job/{run} could not be ended, for what Job/{name} says above; "
                    "end it in Kubeflow's user interface"
                )
        cluster.delete("Job", run)


def required(namespace: str) -> dict[tuple[str, str], str]:
    """What starters need in a namespace → how to make it."""
    return {
        ("ServiceAccount", SERVICE_ACCOUNT): (
            f"kubectl -n {namespace} create serviceaccount {SERVICE_ACCOUNT}"
        ),
        ("Secret", KUBEFLOW_SECRET): secret_command(namespace, KUBEFLOW_SECRET, [URL_VARIABLE]),
    }


def _rendered(request: Request) -> tuple[Wanted, list[Document], list[Document]]:
    """The run, the documents to apply, and those to create."""
    found = []
    if request.output is not None:
        found.append("--output: fetch results with --backend kubeflow, or from the object store")
    if request.name and not is_dns_label(request.name):
        found.append(
            f"--name {request.name!r}: accepted are at most 63 of a-z, 0-9 and inner dashes"
        )
    try:
        wanted = wanted_run(replace(request, output=None))
    except SettingsError as error:
        raise SettingsError([*found, *error.problems], "the run") from None
    if found:
        raise SettingsError(found, "the run")
    wanted = replace(wanted, name=dns_label(wanted.name))
    definition = wanted.definition
    order = RunOrder(
        pipeline=definition.name,
        parameters=wanted.parameters,
        version=definition.version,
        experiment=wanted.experiment,
        namespace=wanted.namespace,
        service_account=wanted.service_account,
    )
    registry = request.cluster.registry if request.cluster else ""
    applied = kubernetes_documents(definition.documents, wanted.namespace)
    started = starter_documents(order, wanted.name, registry)
    require_sound([*applied, *started])
    return wanted, applied, started


def _job(cluster: Cluster, run: str) -> Document:
    job = cluster.get("Job", run) if is_dns_label(run) else None
    if job is None or MODULE not in _command(job):
        what = "no run" if job is None else "another kind of Job"
        raise InputError(
            f"{run}: {what} in namespace {cluster.namespace}; `kubectl -n {cluster.namespace} get "
            "jobs -l app.kubernetes.io/component=starter` lists the runs there"
        )
    return job


def _command(job: Document) -> list[str]:
    return list(job["spec"]["template"]["spec"]["containers"][0].get("command") or [])


def _has_begun(cluster: Cluster, run: str) -> bool:
    """Whether a pod of the Job has come so far that there may be a run on Kubeflow."""
    return any(p.get("status", {}).get("phase") != "Pending" for p in cluster.pods(run))


def _last_words(cluster: Cluster, run: str) -> list[str]:
    pods = cluster.pods(run)
    return cluster.last_lines(pods[-1]["metadata"]["name"], "starter", 1) if pods else []


def _how_to_go_on(cluster: Cluster, run: str) -> str:
    options = f"--backend kubectl --namespace {cluster.namespace}"
    return (
        f"to follow it: trainyard follow {run} {options}\n"
        f"to end it:    trainyard cancel {run} {options}"
    )


def _show(text: str) -> None:
    print(text, flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


BACKEND = KubectlBackend()
