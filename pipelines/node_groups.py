"""Training on several nodes: the documents of the pods that train, and what their leader is told.

The stage itself is the leader, wherever it runs: it keeps lock, checkpoints and publishing. It asks
for no GPU; the environment variable that it gets here names a command that creates the pods which
do (`pipelines.backends._node_group`). They run `components.core.training.node`, and share the
leader's volumes. An indexed Job is the form in which they are described; where the cluster has
Kubeflow Trainer, a TrainJob is made of it.
"""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from components.core.training.torchrun import GROUP_VARIABLE
from pipelines.jobs import (
    GRACE_SECONDS,
    Document,
    StageJob,
    job_document,
    metadata,
    pod_spec,
    run_labels,
    uncounted_ends,
)
from pipelines.placement import QUEUE_LABEL, Placement
from pipelines.quantities import dns_label

LEADER_ACCOUNT = "trainyard-driver"
"""What a leader acts as in a Job: it creates pods, as the driver of a pipeline does."""

LAUNCHER = ("python", "-m", "pipelines.backends._node_group")
PORT = 29500
GROUP_LABEL = "trainyard/node-group"
"""On the pods that train together; its value is the group's name."""
INDEX_PATH = "metadata.annotations['batch.kubernetes.io/job-completion-index']"

TRAINER_API = "trainer.kubeflow.org/v1alpha1"
TRAINER_CONTAINER = "node"
"""Name of the container, and of the part, that trains in Trainer's own runtimes."""

OverrideField = Literal["runtimePatches", "podTemplateOverrides", "podSpecOverrides"]
OVERRIDE_FIELDS: tuple[OverrideField, ...] = (
    "runtimePatches",
    "podTemplateOverrides",
    "podSpecOverrides",
)
"""How releases of Trainer call what changes a TrainJob's pods, newest first (2.2, 2.1, 2.0)."""


def can_be_distributed(stage: str) -> bool:
    """Whether a stage has a worker that trains with others."""
    return importlib.util.find_spec(f"components.{stage}.worker") is not None


def node_problems(stage: str, placement: Placement) -> list[str]:
    """What speaks against so many nodes; empty when nothing does."""
    if placement.nodes == 1:
        return []
    if not can_be_distributed(stage):
        return [f"nodes: {placement.nodes}, but {stage} runs in one pod; leave it at 1"]
    if not any(not volume.read_only for volume in placement.volumes):
        return [
            f"nodes: {placement.nodes} need a volume that all of them can write to "
            "(ReadWriteMany); give one with --pvc CLAIM:/path, or `volumes`"
        ]
    return []


def lead(job: StageJob) -> StageJob:
    """The Job of the leader where the placement asks for several nodes; else the Job as it is."""
    if job.placement.nodes == 1:
        return job
    environment = node_group_environment(job.stage.name, job.placement, job.image)
    placement = leader_placement(job.placement, environment)
    return replace(job, placement=placement, service_account=LEADER_ACCOUNT)


def lead_task(stage: str, placement: Placement, image: str) -> Placement:
    """The leader's placement as a Kubeflow task, where several nodes are asked for.

    The group's GPUs are those of `placement`: the form cannot change them.
    """
    return leader_placement(placement, node_group_environment(stage, placement, image))


def leader_placement(placement: Placement, environment: Mapping[str, str]) -> Placement:
    """What the leader asks for, with the environment that makes it one.

    It waits, and in the end writes the model and checks it.
    """
    return replace(
        placement,
        nodes=1,
        cpu="2",
        cpu_limit="",
        memory="8Gi",
        memory_limit="",
        gpus=0,
        gpu_products=(),
        shared_memory="",
        environment={**placement.environment, **environment},
    )


def node_group_environment(stage: str, placement: Placement, image: str) -> dict[str, str]:
    """The variable that makes a stage the leader of `placement.nodes` pods; none for one node.

    Args:
        stage: name of the stage.
        placement: what each of the pods asks for.
        image: the stage's.
    """
    if placement.nodes == 1:
        return {}
    content = {
        "nodes": placement.nodes,
        "processes": max(1, placement.gpus),
        "command": list(LAUNCHER),
        "job": group_job(stage, placement, image),
    }
    return {GROUP_VARIABLE: json.dumps(content, separators=(",", ":"))}


def group_job(stage: str, placement: Placement, image: str) -> Document:
    """The pods as an indexed Job, but for what only the running leader knows (see `started`)."""
    labels = {**run_labels("", stage), "trainyard/stage": stage, **placement.labels}
    del labels["trainyard/run"]  # whoever looks for a run's steps must not find it
    container = {
        "name": TRAINER_CONTAINER,
        "image": image,
        "command": ["python", "-m", "components.core.training.node"],
    }
    pod = pod_spec(container, placement, {}, config="")
    # less than the leader's own, who waits for them
    pod["terminationGracePeriodSeconds"] = GRACE_SECONDS - 30
    policy = {"rules": uncounted_ends()}
    about = metadata(dns_label(f"{stage}-nodes"), labels)
    document = job_document(about, pod, placement, policy)
    count = {"completions": placement.nodes, "parallelism": placement.nodes}
    document["spec"] |= {"completionMode": "Indexed", **count}
    document["spec"]["backoffLimit"] = placement.retries * placement.nodes
    return document


def started(
    job: Document, name: str, arguments: list[str], processes: int, owner: Document | None
) -> list[Document]:
    """The headless Service and the indexed Job, complete.

    Args:
        job: as of `group_job`.
        name: of both.
        arguments: of `components.core.training.node`.
        processes: per node.
        owner: reference to the leader's pod, with which they vanish.
    """
    made = copy.deepcopy(job)
    labels = made["metadata"]["labels"]
    about = {**metadata(name, labels), **({"ownerReferences": [owner]} if owner else {})}
    made["metadata"] = about
    made["spec"]["template"]["metadata"]["labels"][GROUP_LABEL] = name
    pod = made["spec"]["template"]["spec"]
    pod["subdomain"] = name
    [container] = pod["containers"]
    container["args"] = arguments
    container["env"] += [
        {"name": "PET_NNODES", "value": str(made["spec"]["completions"])},
        {"name": "PET_NPROC_PER_NODE", "value": str(processes)},
        {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": INDEX_PATH}}},
        {"name": "PET_MASTER_ADDR", "value": f"{name}-0.{name}"},
        {"name": "PET_MASTER_PORT", "value": str(PORT)},
    ]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": copy.deepcopy({k: v for k, v in about.items() if k != "labels"})
        | {"labels": {k: v for k, v in labels.items() if k != QUEUE_LABEL}},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {GROUP_LABEL: name},
            "ports": [{"name": "rendezvous", "port": PORT}],
        },
    }
    return [service, made]


def created(leader: Document) -> list[Document]:
    """What a leader's Job will create, for people to see; empty for a Job that leads nobody."""
    [container] = leader["spec"]["template"]["spec"]["containers"]
    values = [v.get("value") for v in container["env"] if v["name"] == GROUP_VARIABLE]
    if not values:
        return []
    content = json.loads(values[0])
    job = content["job"]
    worker = f"components.{job['metadata']['labels']['trainyard/stage']}.worker"
    arguments = [worker, "FOLDER"]
    documents = started(job, job["metadata"]["name"], arguments, content["processes"], None)
    if namespace := leader["metadata"].get("namespace"):
        for document in documents:
            document["metadata"]["namespace"] = namespace
    return documents


def train_job(job: Document, field: OverrideField) -> Document:
    """The TrainJob that does what an indexed Job of `started` does.

    Kubeflow Trainer creates its pods from the runtime `torch-distributed`, gives them the PET_…
    variables and their Service; volumes, nodes and Secrets come in `field`.
    """
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    variables = {v["name"]: v for v in container["env"]}
    queue = {QUEUE_LABEL} & set(job["metadata"]["labels"])
    return {
        "apiVersion": TRAINER_API,
        "kind": "TrainJob",
        "metadata": copy.deepcopy(job["metadata"]),
        "spec": {
            **({"suspend": True} if queue else {}),
            "runtimeRef": {
                "apiGroup": TRAINER_API.partition("/")[0],
                "kind": "ClusterTrainingRuntime",
                "name": "torch-distributed",
            },
            "trainer": {
                "numNodes": job["spec"]["completions"],
                "numProcPerNode": int(variables["PET_NPROC_PER_NODE"]["value"]),
                "image": container["image"],
                "command": container["command"],
                "args": container["args"],
                "env": [v for name, v in variables.items() if not name.startswith("PET_")],
                "resourcesPerNode": container["resources"],
            },
            field: [_override(field, pod, container)],
        },
    }


def _override(field: OverrideField, pod: Document, container: Document) -> Document:
    names = ("volumes", "affinity", "tolerations", "imagePullSecrets")
    spec: dict[str, Any] = {name: pod[name] for name in names if pod.get(name)}
    spec["containers"] = [{"name": TRAINER_CONTAINER, "volumeMounts": container["volumeMounts"]}]
    target = {"targetJobs": [{"name": TRAINER_CONTAINER}]}
    if field == "podSpecOverrides":
        return {**target, **spec}
    if field == "podTemplateOverrides":
        return {**target, "spec": spec}
    spec["securityContext"] = pod["securityContext"]
    part = {"name": TRAINER_CONTAINER, "template": {"spec": {"template": {"spec": spec}}}}
    patch = {"template": {"spec": {"replicatedJobs": [part]}}}
    return {"manager": "trainyard.io/leader", "trainingRuntimeSpec": patch}
