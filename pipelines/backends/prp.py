"""The PRP backend: stages and pipelines as Kubernetes Jobs where there is no Kubeflow."""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from components.core.errors import SettingsError, TrainyardError
from pipelines import catalog, job_rules, plan
from pipelines.backends import Request
from pipelines.backends._cluster import Cluster, Document
from pipelines.backends._job_follow import Follower, JobEnd, job_end
from pipelines.backends._job_submit import require, submit
from pipelines.job_pipelines import (
    JobPipeline,
    pipeline_jobs,
    place_problems,
    run_folder,
    step_jobs,
)
from pipelines.jobs import stage_documents
from pipelines.node_groups import created, lead
from pipelines.quantities import dns_label, is_dns_label


class PrpBackend:
    """One Job per step, and a small driver Job that creates them in order."""

    def render(self, request: Request) -> dict[str, Any]:
        """The exact documents of the run: the driver's, and the steps it will create.

        Raises:
            SettingsError: everything that is wrong with parameters, places and placement.
        """
        rendered = _rendered(request)
        steps = [
            {**step.as_document(), "creates": created(step.documents[-1])}
            for step in rendered.steps
        ]
        return {"run": rendered.run, "driver": rendered.driver_documents(), "steps": steps}

    def run(self, request: Request) -> int:
        """Submits the run, or finds or resumes the one of this name; returns its exit code."""
        rendered = _rendered(request)
        cluster = Cluster.connect(rendered.namespace)
        _require_surroundings(cluster, rendered)
        documents = rendered.driver_documents()
        submit(cluster, documents, _say, lambda job: _release(cluster, rendered))
        if not request.follow:
            _say(_how_to_go_on(cluster, rendered.run))
            return 0
        try:
            return _follow_run(cluster, rendered)
        except KeyboardInterrupt:
            _say(f"\nthe run goes on without this terminal\n{_how_to_go_on(cluster, rendered.run)}")
            return 130


def run_job(documents: Sequence[Document], namespace: str, follow: bool) -> int:
    """Creates a stage's ConfigMap and Job, or finds or replaces them; returns the exit code."""
    cluster = Cluster.connect(namespace)
    name = str(documents[-1]["metadata"]["name"])
    submit(cluster, documents, _say)
    if not follow:
        _say(_how_to_go_on(cluster, name))
        return 0
    try:
        end = Follower(cluster, name, print_line, _say).follow()
    except KeyboardInterrupt:
        _say(f"\nthe Job goes on without this terminal\n{_how_to_go_on(cluster, name)}")
        return 130
    return _told(name, end)


def print_line(text: str) -> None:
    """A line of a log, as it is."""
    print(text, flush=True)


def _rendered(request: Request) -> JobPipeline:
    options = request.cluster
    if options is None:
        raise SettingsError(["the volume is missing; give --pvc CLAIM:/path"], "the command line")
    found = [*_name_problems(request), *options.problems]
    name = request.name if is_dns_label(request.name) else _new_name(request.pipeline)
    described = plan.read(catalog.load(request.pipeline))
    folder = run_folder(options.root or "/", name)
    given = {**request.values, **described.run_places(request.values, folder)}
    found += described.problems(given)
    where: dict[str, Any] = {
        "placements": options.placements,
        "run": name,
        "root": options.root or "/",
        "state_dir": str(request.state_dir or ""),
        "namespace": options.namespace,
        "registry": options.registry,
    }
    jobs = step_jobs(described, given, **where)
    if options.root:  # without a volume, no place is right
        found += place_problems(jobs)
        findings = job_rules.check(d for job in jobs.values() for d in stage_documents(lead(job)))
        found += job_rules.errors(findings)
    if found:
        raise SettingsError(list(dict.fromkeys(found)), "the run")
    values = described.resolve(given)
    rendered = pipeline_jobs(described, values, **where, notify=options.notify)
    _check(rendered)
    return rendered


def _name_problems(request: Request) -> list[str]:
    found = []
    if request.output is not None:
        found.append("--output: results lie on the volume, under runs/<name>; give --name instead")
    if request.resume and not request.name:
        found.append("--resume: say which run with --name")
    if request.name and not is_dns_label(request.name):
        found.append(
            f"--name {request.name!r}: accepted are at most 63 of a-z, 0-9 and inner dashes"
        )
    return found


def _new_name(pipeline: str) -> str:
    return dns_label(f"{pipeline}-{datetime.now():%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}")


def _check(rendered: JobPipeline) -> None:
    groups = [d for step in rendered.steps for d in created(step.documents[-1])]
    findings = job_rules.check([*rendered.documents(), *groups])
    for warning in job_rules.warnings(findings):
        _say(warning)
    if found := job_rules.errors(findings):
        raise SettingsError(found, "the rendered Jobs")


def _require_surroundings(cluster: Cluster, rendered: JobPipeline) -> None:
    """What the Jobs will need; a pod that lacks it would wait without end.

    Raises:
        InputError: with everything that is missing.
    """
    wanted = [("ServiceAccount", rendered.service_account)]
    pods = [step.documents[-1]["spec"]["template"]["spec"] for step in rendered.steps]
    wanted += [
        ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
        for pod in pods
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    fixes = {
        "ServiceAccount": f"kubectl -n {cluster.namespace} apply -k prp/driver",
        "PersistentVolumeClaim": f"kubectl -n {cluster.namespace} apply -k prp/volume, or --pvc",
    }
    require(cluster, {(kind, name): fixes[kind] for kind, name in wanted})


def _release(cluster: Cluster, rendered: JobPipeline) -> None:
    """Before a failed driver is deleted: steps that are done survive it, failed ones go first."""
    for job in cluster.jobs(rendered.run):
        name = job["metadata"]["name"]
        if name == rendered.run:
            continue
        end = job_end(cluster, job)
        if end is not None and end.exit_code == 0:
            cluster.patch("Job", name, {"metadata": {"ownerReferences": None}})
        else:
            cluster.delete("Job", name)
            cluster.wait_gone("Job", name, job["metadata"]["uid"])


def _follow_run(cluster: Cluster, rendered: JobPipeline) -> int:
    """Shows the driver and every step, each line with the step's name."""
    over = threading.Event()
    threads = []
    for step in rendered.steps:
        show = _prefixed(step.task)
        follower = Follower(cluster, step.name, show, show, over)
        threads.append(threading.Thread(target=_follow_step, args=(follower,), daemon=True))
    for thread in threads:
        thread.start()
    end = Follower(cluster, rendered.run, print_line, _say).follow()
    over.set()
    for thread in threads:
        thread.join(timeout=10)
    return _told(rendered.run, end)


def _follow_step(follower: Follower) -> None:
    try:
        follower.follow()
    except TrainyardError as error:  # the driver knows how the step ends
        follower.say(f"cannot be followed any longer: {error}")


def _prefixed(task: str) -> Callable[[str], None]:
    return lambda text: print_line(f"{task} | {text}")


def _told(name: str, end: JobEnd) -> int:
    if end.exit_code == 0:
        _say(f"Job/{name} succeeded")
    else:
        _say(f"Job/{name} failed with exit code {end.exit_code}: {end.reason}")
    return end.exit_code


def _how_to_go_on(cluster: Cluster, name: str) -> str:
    kubectl = f"kubectl -n {cluster.namespace}"
    return (
        f"to follow it: {kubectl} logs -f job/{name}, or the same command again\n"
        f"to end it:    {kubectl} delete job {name}"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


BACKEND = PrpBackend()
