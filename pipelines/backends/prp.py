"""The PRP backend: stages and pipelines as Kubernetes Jobs where there is no Kubeflow."""

from __future__ import annotations

import json
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from components.core.errors import InputError, SettingsError, TrainyardError
from pipelines import catalog, job_rules, plan
from pipelines.backends import Request, RunStatus, State, StepStatus
from pipelines.backends._cluster import Cluster, Document
from pipelines.backends._job_follow import (
    DELETED,
    Follower,
    JobEnd,
    job_end,
    job_state,
)
from pipelines.backends._job_submit import find_same, submit
from pipelines.backends._surroundings import require_surroundings
from pipelines.job_pipelines import (
    PLAN_FILE,
    JobPipeline,
    StepJob,
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
        steps = []
        for step in rendered.steps:
            group = created(step.documents[-1])
            steps.append({**step.as_document(), **({"creates": group} if group else {})})
        return {"run": rendered.run, "driver": rendered.driver_documents(), "steps": steps}

    def run(self, request: Request) -> int:
        """Submits the run, or finds or resumes the one of this name; returns its exit code."""
        run = self.submit(request)
        namespace = request.cluster.namespace if request.cluster else ""
        if request.follow:
            return self.follow(run, namespace)
        _say(_how_to_go_on(run, namespace))
        return 0

    def submit(self, request: Request) -> str:
        """Creates the driver of the run, finds it, or has a new one resume a failed run.

        Raises:
            SettingsError: everything that is wrong with parameters, places and placement.
            TrainyardError: the cluster lacks something, or refuses.
        """
        rendered = _rendered(request)
        cluster = Cluster.connect(rendered.namespace)
        documents = rendered.driver_documents()
        jobs = [documents[-1], *(step.documents[-1] for step in rendered.steps)]
        require_surroundings(cluster, documents, jobs)
        for step in rendered.steps:  # a cancelled run has kept those that were done
            find_same(cluster, step.documents[-1])
        submit(cluster, documents, _say, lambda job: _release(cluster, rendered.run))
        return rendered.run

    def status(self, run: str, namespace: str) -> RunStatus:
        """How far a run, or the Job of a single stage, is."""
        cluster = Cluster.connect(namespace)
        job = cluster.get("Job", run)
        if job is None:
            return _cancelled(cluster, run)
        state, detail = job_state(cluster, job)
        steps = _planned(cluster, run)
        jobs = {step["metadata"]["name"]: step for step in cluster.jobs(run)} if steps else {}
        told = tuple(_step_status(cluster, step, jobs, state) for step in steps)
        return RunStatus(run, state, told, detail=detail)

    def follow(self, run: str, namespace: str) -> int:
        """Shows a run, or the Job of a single stage, until it ends."""
        cluster = Cluster.connect(namespace)
        if cluster.get("Job", run) is None:
            status = _cancelled(cluster, run)
            raise InputError(f"{run} is {status.state}; the command that started it resumes it")
        try:
            return _follow_run(cluster, run, _planned(cluster, run))
        except KeyboardInterrupt:
            _say(f"\nthe Job goes on without this terminal\n{_how_to_go_on(run, namespace)}")
            return 130

    def cancel(self, run: str, namespace: str) -> None:
        """Ends a run, or the Job of a single stage; steps that are done stay."""
        cluster = Cluster.connect(namespace)
        if (job := cluster.get("Job", run)) is None:
            _cancelled(cluster, run)
            _say(f"{run} was cancelled already")
            return
        if job_end(cluster, job):
            raise InputError(f"{run} has ended already; nothing was changed")
        _keep_done(cluster, run)
        cluster.delete("Job", run)


def run_job(documents: Sequence[Document], namespace: str, follow: bool) -> int:
    """Creates a stage's ConfigMap and Job, or finds or replaces them; returns the exit code."""
    cluster = Cluster.connect(namespace)
    name = str(documents[-1]["metadata"]["name"])
    require_surroundings(cluster, documents, documents[-1:])
    submit(cluster, documents, _say)
    if follow:
        return BACKEND.follow(name, namespace)
    _say(_how_to_go_on(name, namespace))
    return 0


def print_line(text: str) -> None:
    """A line of a log, as it is."""
    print(text, flush=True)


def _rendered(request: Request) -> JobPipeline:
    options = request.cluster
    if options is None:
        raise SettingsError(["the volume is missing; give --pvc CLAIM:/path"], "the command line")
    found = [*_option_problems(request), *options.problems]
    name = request.name if is_dns_label(request.name) else _new_name(request.pipeline)
    described = plan.read(catalog.load(request.pipeline)).unrolled(request.values)
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


def _option_problems(request: Request) -> list[str]:
    found = []
    if request.cluster and request.cluster.service_account:
        found.append("--service-account: for --backend kubeflow, kubectl only")
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


def _planned(cluster: Cluster, run: str) -> list[StepJob]:
    """The steps of a run, as its driver has them; none of a single stage's Job."""
    config = cluster.get("ConfigMap", run) or {}
    text = (config.get("data") or {}).get(PLAN_FILE)
    return [StepJob.read(step) for step in json.loads(text)["steps"]] if text else []


def _step_status(
    cluster: Cluster, step: StepJob, jobs: Mapping[str, Document], run: State
) -> StepStatus:
    if job := jobs.get(step.name):
        return StepStatus(step.task, *job_state(cluster, job))
    if run in ("pending", "running"):
        return StepStatus(step.task, "pending", f"after {', '.join(step.after)}".strip())
    detail = "skipped" if run == "succeeded" else "not started"
    return StepStatus(step.task, "cancelled", detail)


def _cancelled(cluster: Cluster, run: str) -> RunStatus:
    """What is left of a run without a driver.

    Raises:
        InputError: nothing.
    """
    left = [job for job in cluster.jobs(run) if job["metadata"]["name"] != run]
    if not left:
        raise InputError(
            f"there is no run or Job {run} in {cluster.namespace}; see which there are with: "
            f"kubectl -n {cluster.namespace} get jobs -l app.kubernetes.io/name=trainyard"
        )
    prefix = f"{run}-"
    steps = tuple(
        StepStatus(str(job["metadata"]["name"]).removeprefix(prefix), *job_state(cluster, job))
        for job in left
    )
    return RunStatus(run, "cancelled", steps, detail="the same command resumes it")


def _release(cluster: Cluster, run: str) -> None:
    """Before a failed driver is deleted: steps that are done survive it, failed ones go first."""
    for job in _keep_done(cluster, run):
        name = job["metadata"]["name"]
        cluster.delete("Job", name)
        cluster.wait_gone("Job", name, job["metadata"]["uid"])


def _keep_done(cluster: Cluster, run: str) -> list[Document]:
    """Makes the steps that are done survive the driver; returns the others."""
    others = []
    for job in cluster.jobs(run):
        name = job["metadata"]["name"]
        if name == run:
            continue
        end = job_end(cluster, job)
        if end is not None and end.exit_code == 0:
            cluster.patch("Job", name, {"metadata": {"ownerReferences": None}})
        else:
            others.append(job)
    return others


def _follow_run(cluster: Cluster, run: str, steps: Sequence[StepJob]) -> int:
    """Shows a Job and every step that it creates, each line of those with the step's name."""
    over = threading.Event()
    threads = []
    for step in steps:
        show = _prefixed(step.task)
        follower = Follower(cluster, step.name, show, show, over)
        threads.append(threading.Thread(target=_follow_step, args=(follower,), daemon=True))
    for thread in threads:
        thread.start()
    end = Follower(cluster, run, print_line, _say).follow()
    over.set()
    for thread in threads:
        thread.join(timeout=10)
    return _told(run, end)


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
    elif end == DELETED:
        _say(f"Job/{name} is cancelled: it was deleted; the same command resumes it")
    else:
        _say(f"Job/{name} failed with exit code {end.exit_code}: {end.reason}")
    return end.exit_code


def _how_to_go_on(run: str, namespace: str) -> str:
    where = f"{run} --backend prp" + (f" --namespace {namespace}" if namespace else "")
    return (
        f"to follow it: trainyard follow {where}\n"
        f"to look:      trainyard status {where}\n"
        f"to end it:    trainyard cancel {where}"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


BACKEND = PrpBackend()
