"""A whole pipeline as Jobs: one per step, and a small driver Job that creates them in order.

Everything is rendered when the run is submitted. The driver gets the finished documents in a
ConfigMap, so that what a dry run prints is what will run; no GPU waits while clips are synced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from components.core.errors import SettingsError
from components.core.images import image
from components.core.notify import WEBHOOK_VARIABLE
from components.core.settings import Settings
from components.core.stage import Stage
from components.core.state import digest
from pipelines.job_places import device_problems, path_problems
from pipelines.jobs import (
    CONFIG_FOLDER,
    CONTENT_ANNOTATION,
    Document,
    StageJob,
    config_map,
    job_document,
    metadata,
    pod_spec,
    run_labels,
    stage_documents,
    uncounted_ends,
)
from pipelines.node_groups import LEADER_ACCOUNT, lead, node_problems
from pipelines.placement import HOUR, Placement, SecretVariables, with_registry
from pipelines.plan import Plan
from pipelines.plan_tasks import Condition
from pipelines.quantities import dns_label

PLAN_FILE = "run.json"
SERVICE_ACCOUNT = LEADER_ACCOUNT
"""What the driver acts as; `prp/driver` creates it."""

TRY_AGAIN = 75
"""The driver's exit code when the cluster did not answer: a new driver may have more luck."""

LARGEST_CONFIG = 900_000
"""Bytes; Kubernetes takes a ConfigMap of 1 MiB, names and metadata included."""

DRIVER_PLACEMENT = Placement(
    cpu="1", memory="2Gi", ephemeral_storage="1Gi", retries=20, deadline=14 * 24 * HOUR
)
"""So small that the platform exempts it from the rules on utilisation."""


@dataclass(frozen=True)
class StepJob:
    """The documents of one step, the steps it waits for, and when it is skipped."""

    task: str
    documents: list[Document]
    after: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    """It is skipped unless all of them hold."""

    @property
    def name(self) -> str:
        """Of the step's Job."""
        return str(self.documents[-1]["metadata"]["name"])

    def as_document(self) -> Document:
        """What `read` makes a step from again."""
        return {
            "task": self.task,
            "after": list(self.after),
            "conditions": [asdict(condition) for condition in self.conditions],
            "documents": self.documents,
        }

    @classmethod
    def read(cls, document: Document) -> StepJob:
        """The step that `as_document` wrote."""
        conditions = tuple(Condition(**condition) for condition in document["conditions"])
        return cls(document["task"], document["documents"], tuple(document["after"]), conditions)


@dataclass(frozen=True)
class JobPipeline:
    """A run of a pipeline, rendered."""

    run: str
    namespace: str
    steps: tuple[StepJob, ...]
    driver_image: str
    placement: Placement = DRIVER_PLACEMENT
    service_account: str = SERVICE_ACCOUNT
    pipeline: str = ""
    """Its name, for people."""

    @property
    def content(self) -> str:
        """A digest of everything that will run, the names included."""
        return digest([step.as_document() for step in self.steps])

    def driver_documents(self) -> list[Document]:
        """The ConfigMap with every step, and the driver Job.

        Raises:
            SettingsError: the documents are too large for a ConfigMap.
        """
        steps = [step.as_document() for step in self.steps]
        content = {"run": self.run, "pipeline": self.pipeline, "steps": steps}
        plan = json.dumps(content, indent=1, ensure_ascii=False)
        if len(plan.encode()) > LARGEST_CONFIG:
            raise SettingsError(
                [f"{len(plan.encode())} bytes of Jobs, over {LARGEST_CONFIG}; shorten the lists"],
                "the rendered run",
            )
        about = metadata(self.run, run_labels(self.run, "driver"), self.namespace)
        container = {
            "name": "driver",
            "image": self.driver_image,
            "command": ["python", "-m", "pipelines.backends._prp_driver"],
            "args": [f"{CONFIG_FOLDER}/{PLAN_FILE}"],
        }
        pod = pod_spec(container, self.placement, {"TRAINYARD_RUN_ID": self.run}, config=self.run)
        pod["serviceAccountName"] = self.service_account
        pod["automountServiceAccountToken"] = True
        document = job_document(about, pod, self.placement, _driver_failure_policy())
        document["metadata"]["annotations"] = {CONTENT_ANNOTATION: self.content}
        return [config_map(about, {PLAN_FILE: plan}), document]

    def documents(self) -> list[Document]:
        """Every document: the driver's, then those it will create, in order."""
        return [*self.driver_documents(), *(d for step in self.steps for d in step.documents)]


def run_folder(root: str, run: str) -> PurePosixPath:
    """Where a run's artifacts lie on the volume."""
    return PurePosixPath(root, "runs", run)


def pipeline_jobs(
    described: Plan,
    values: Mapping[str, Any],
    placements: Mapping[str, Placement],
    run: str,
    root: str,
    state_dir: str = "",
    namespace: str = "",
    registry: str = "",
    notify: str = "",
) -> JobPipeline:
    """Renders a run: artifacts go to `<root>/runs/<run>/<task>/<output>`, state to `<root>/state`.

    Args:
        described: the pipeline's plan.
        values: every parameter, resolved.
        placements: by stage.
        run: the run's name, a DNS label.
        root: folder on a volume that every step mounts.
        state_dir: where work is kept for resuming, shared by all runs; '' for `<root>/state`.
        namespace: '' for the kubeconfig's.
        registry: prefix of the images; '' for the environment's or the default.
        notify: Secret with TRAINYARD_WEBHOOK_URL, which the driver tells how the run ended; ''
            for nobody.

    Raises:
        SettingsError: places that pods would not find or could not write to.
    """
    jobs = step_jobs(described, values, placements, run, root, state_dir, namespace, registry)
    if found := place_problems(jobs):
        raise SettingsError(found, "the places")
    steps = tuple(
        StepJob(
            step.task,
            stage_documents(lead(jobs[step.task])),
            tuple(sorted(step.after)),
            step.conditions,
        )
        for step in described.steps
    )
    pull = {name for placement in placements.values() for name in placement.image_pull_secrets}
    driver = replace(
        DRIVER_PLACEMENT,
        secrets=webhook_secret(notify),
        image_pull_secrets=tuple(sorted(pull)),
    )
    driver_image = image("data", registry)
    return JobPipeline(run, namespace, steps, driver_image, driver, pipeline=described.name)


def webhook_secret(secret: str) -> tuple[SecretVariables, ...]:
    """The webhook's address for the driver, from the Secret of that name; nothing for ''."""
    variables = {WEBHOOK_VARIABLE: WEBHOOK_VARIABLE}
    return (SecretVariables(secret, variables),) if secret else ()


def step_jobs(
    described: Plan,
    given: Mapping[str, Any],
    placements: Mapping[str, Placement],
    run: str,
    root: str,
    state_dir: str = "",
    namespace: str = "",
    registry: str = "",
) -> dict[str, StageJob]:
    """Task → what its Job is made from, of the steps whose settings are valid.

    The arguments are those of `pipeline_jobs`, but the parameters need not be resolved.
    """
    folder = run_folder(root, run)
    sound, told = described.sound_steps(given), described.recorded
    return {
        step.task: StageJob(
            stage=step.stage,
            image=image(step.image, registry),
            settings=sound[step.task],
            inputs={name: str(folder.joinpath(*made)) for name, made in step.artifacts.items()},
            outputs={name: str(folder / step.task / name) for name in step.outputs},
            placement=_placement(placements[step.stage.name], step.stage, sound[step.task], told),
            state_dir=state_dir or str(PurePosixPath(root, "state")),
            name=dns_label(f"{run}-{step.task}"),
            run=run,
            namespace=namespace,
        )
        for step in described.steps
        if step.task in sound
    }


def _placement(
    placement: Placement, stage: Stage[Any], settings: Settings, recorded: bool
) -> Placement:
    """What the step asks for with these settings; `recorded`: the registry is told of failures."""
    placement = with_registry(placement) if recorded else placement
    if not stage.idle(settings):
        return placement
    small = replace(placement, cpu="1", cpu_limit="", memory="2Gi", memory_limit="")
    return replace(small, gpus=0, gpu_products=(), shared_memory="")


def place_problems(jobs: Mapping[str, StageJob]) -> list[str]:
    """Places that pods would not find or could not write to, and GPUs that would idle, by task."""
    return [
        f"{task}: {problem}"
        for task, job in jobs.items()
        for problem in [
            *path_problems(job),
            *device_problems(job.settings, job.placement),
            *node_problems(job.stage.name, job.placement),
        ]
    ]


def _driver_failure_policy() -> Document:
    """A step that failed is final; only silence of the cluster, or a kill, is tried again."""
    final = {"operator": "NotIn", "values": [TRY_AGAIN, 137, 143]}
    return {"rules": [*uncounted_ends(), {"action": "FailJob", "onExitCodes": final}]}
