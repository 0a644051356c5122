"""What a step asks of the cluster: GPUs, memory, shared memory, volumes, credentials, retries.

Everything here concerns where a step runs, never what it computes; the embedded runner ignores
it. Kubeflow tasks (`place`, below) and plain Jobs (`pipelines.jobs`) are made from the same
description.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kfp import kubernetes
from pydantic import Field, field_validator

from components.core.settings import Settings
from pipelines import placement_rules
from pipelines.quantities import quantity

S3_SECRET = "trainyard-s3"
S3_VARIABLES = ("TRAINYARD_S3_ENDPOINT", "TRAINYARD_S3_ACCESS_KEY", "TRAINYARD_S3_SECRET_KEY")
POSTGRES_SECRET = "trainyard-postgres"
MONGODB_SECRET = "trainyard-mongodb"
CVAT_SECRET = "trainyard-cvat"
TAO_SECRET = "trainyard-tao"
WEBHOOK_SECRET = "trainyard-webhook"
KUBEFLOW_SECRET = "trainyard-kubeflow"
"""Secrets by service; their keys are the environment variables that the code reads."""

OPTUNA_VARIABLE = "TRAINYARD_OPTUNA_STORAGE"
POSTGRES_VARIABLE = "TRAINYARD_POSTGRES_DSN"
MONGODB_VARIABLE = "TRAINYARD_MONGODB_URI"
TAO_VARIABLE = "TRAINYARD_TAO_KEY"
CVAT_VARIABLES = tuple(
    f"TRAINYARD_CVAT_{name}" for name in ("URL", "TOKEN", "USERNAME", "PASSWORD", "ORGANIZATION")
)

QUEUE_LABEL = placement_rules.QUEUE_LABEL

GPU_PRODUCT_LABEL = "nvidia.com/gpu.product"
"""Node label that names the GPU model; clusters of long ago have `gpu-type` instead."""

PREFERENCE = 100
"""Weight of preferred nodes, the largest there is: nothing else is preferred."""

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class Toleration:
    """A taint of nodes that a pod puts up with."""

    key: str
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str = ""
    effect: Literal["", "NoSchedule", "NoExecute", "PreferNoSchedule"] = ""

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class Volume:
    """A PersistentVolumeClaim that exists already, and where the pod sees it."""

    claim: str
    path: str
    sub_path: str = ""
    read_only: bool = False
    """Kubeflow tasks cannot ask for it and mount the volume for writing."""

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class SecretVariables:
    """Environment variables whose values a Kubernetes Secret holds; never the values themselves."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variable → key in the Secret; empty in Jobs for every key under its own name."""
    optional: bool = False
    """The pod also starts where there is no such Secret."""

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class Placement:
    """What one step asks for; quantities are Kubernetes ones (`8Gi`). Limits that are not given are
    the requests: shared clusters demand them close together, and then nothing that was promised is
    missing."""

    cpu: str = "2"
    cpu_limit: str = ""
    memory: str = "4Gi"
    memory_limit: str = ""
    gpus: int = 0
    gpu_type: str = "nvidia.com/gpu"
    """Name of the GPU resource, such as `nvidia.com/mig-1g.10gb`."""
    gpu_products: tuple[str, ...] = ()
    """GPU models that will do; empty for any."""
    gpu_label: str = GPU_PRODUCT_LABEL
    nodes: int = 1
    """Pods that train together, each with `gpus` GPUs."""
    shared_memory: str = ""
    """Size of /dev/shm, which data loader processes hand their batches through; part of memory."""
    ephemeral_storage: str = ""
    """Disk of the node for temporary files and logs. Kubeflow tasks cannot ask for it."""
    tolerations: tuple[Toleration, ...] = ()
    node_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further node labels → values that will do."""
    preferred_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Node labels → values that are taken first; where no such node is free, any other will do."""
    volumes: tuple[Volume, ...] = ()
    secrets: tuple[SecretVariables, ...] = ()
    retries: int = 2
    """Starts after failures; being evicted is none."""
    backoff_seconds: int = 60
    """Wait before the first of them. Jobs wait as Kubernetes does: 10 s, then twice as long."""
    backoff_factor: float = 2.0
    """Each further wait is so many times longer; not in Jobs."""
    deadline: int = 0
    """Seconds after which the step is ended; 0 for no limit."""
    ttl: int = 7 * 24 * 3600
    """Seconds that a finished Job and its log stay. Kubeflow keeps the pods of a run as it is set
    up to, or, where a stage says anything but the default, all for the longest of these."""
    priority_class: str = ""
    """Of the pods, which may displace those of lower ones. Kubeflow tasks cannot ask for it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    queue: str = ""
    """Kueue's LocalQueue that admits the Job, or the pods of a Kubeflow task; '' for none."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further variables with plain values; never secret ones, which `secrets` names."""
    image_pull_secrets: tuple[str, ...] = ()
    s3: bool = False
    """Gets the object store's endpoint and credentials from the Secret `trainyard-s3`."""
    cached: bool = True
    """False for steps that touch the outside world: KFP must not skip them."""

    __pydantic_config__ = _STRICT

    @property
    def node_affinity(self) -> dict[str, tuple[str, ...]]:
        """Node label → accepted values, of the GPU models and of everything else."""
        products = {self.gpu_label: self.gpu_products} if self.gpu_products else {}
        return {**products, **self.node_labels}

    @property
    def all_secrets(self) -> tuple[SecretVariables, ...]:
        """Every Secret, the object store's too."""
        variables = {variable: variable for variable in S3_VARIABLES}
        s3 = (SecretVariables(S3_SECRET, variables, optional=True),) if self.s3 else ()
        return (*s3, *self.secrets)


def _optional(name: str, *variables: str) -> SecretVariables:
    """A Secret that need not be there, with variables as its keys."""
    return SecretVariables(name, {variable: variable for variable in variables}, optional=True)


_REGISTRY = _optional(POSTGRES_SECRET, POSTGRES_VARIABLE)
_STUDIES = _optional(POSTGRES_SECRET, OPTUNA_VARIABLE)
_ANNOTATIONS = _optional(MONGODB_SECRET, MONGODB_VARIABLE)
_CVAT = _optional(CVAT_SECRET, *CVAT_VARIABLES)
_TAO_KEY = _optional(TAO_SECRET, TAO_VARIABLE)

PLACEMENTS = {
    "read_task": Placement(cpu="1", memory="1Gi", secrets=(_REGISTRY,), cached=False),
    "dataset_sync": Placement(cpu="4", memory="8Gi", s3=True, cached=False),
    "annotation_sync": Placement(
        cpu="4", memory="8Gi", s3=True, secrets=(_ANNOTATIONS, _CVAT), cached=False
    ),
    "check_changes": Placement(cpu="1", memory="2Gi", s3=True, cached=False),
    "split_clips": Placement(cpu="1", memory="2Gi"),
    "split_images": Placement(cpu="4", memory="8Gi"),
    "frame_extraction": Placement(cpu="8", memory="8Gi"),
    "hpo_sweep": Placement(
        cpu="8",
        memory="32Gi",
        gpus=1,
        shared_memory="8Gi",
        secrets=(_STUDIES,),
        cached=False,
    ),
    "train_video": Placement(cpu="8", memory="32Gi", gpus=1, shared_memory="8Gi"),
    "train_keras": Placement(cpu="8", memory="32Gi", gpus=1, shared_memory="8Gi"),
    "train_detector": Placement(cpu="8", memory="32Gi", gpus=1, shared_memory="8Gi"),
    "rendering_sync": Placement(cpu="4", memory="8Gi", s3=True, cached=False),
    "train_renderer": Placement(cpu="8", memory="32Gi", gpus=1, shared_memory="8Gi"),
    "evaluate_renderings": Placement(cpu="8", memory="16Gi", shared_memory="4Gi"),
    "publish_renderer": Placement(cpu="2", memory="8Gi", s3=True, cached=False),
    "evaluate_clips": Placement(cpu="8", memory="16Gi", shared_memory="4Gi"),
    "evaluate_detections": Placement(cpu="8", memory="16Gi", shared_memory="4Gi"),
    "triton_publish": Placement(cpu="2", memory="8Gi", s3=True, cached=False),
    "auto_annotate": Placement(
        cpu="8", memory="16Gi", shared_memory="4Gi", s3=True, secrets=(_CVAT,), cached=False
    ),
    **dict.fromkeys(
        ("tao_convert", "tao_train", "tao_prune", "tao_evaluate", "tao_export", "tao_engine"),
        Placement(
            cpu="8",
            memory="32Gi",
            gpus=1,
            shared_memory="16Gi",
            secrets=(_TAO_KEY,),
            cached=False,
        ),
    ),
    "record_run": Placement(cpu="1", memory="1Gi", secrets=(_REGISTRY,), cached=False),
}
"""Stage → what it asks for unless a project or a user says otherwise."""


def with_registry(placement: Placement) -> Placement:
    """The placement of a step whose failure is recorded in the registry."""
    if _REGISTRY in placement.secrets:
        return placement
    return replace(placement, secrets=(*placement.secrets, _REGISTRY))


HOUR = 3600

_JOB = {"ephemeral_storage": "10Gi", "retries": 4, "deadline": 24 * HOUR}
_ON_PRP: dict[str, dict[str, Any]] = {
    "train_video": {
        "cpu": "16",
        "memory": "48Gi",
        "gpus": 4,
        "shared_memory": "16Gi",
        "deadline": 96 * HOUR,
    },
    "train_keras": {"cpu": "16", "memory": "48Gi", "gpus": 4, "deadline": 96 * HOUR},
    "train_detector": {
        "cpu": "16",
        "memory": "48Gi",
        "gpus": 4,
        "shared_memory": "16Gi",
        "deadline": 96 * HOUR,
    },
    "train_renderer": {"deadline": 96 * HOUR},
    "hpo_sweep": {"ephemeral_storage": "40Gi", "deadline": 96 * HOUR},
}

PRP_PLACEMENTS = {
    stage: replace(placement, **{**_JOB, **_ON_PRP.get(stage, {})})
    for stage, placement in PLACEMENTS.items()
}
"""The same for Jobs on PRP: bounded in disk and time, and training on four GPUs of one node."""


class GpuChoice(Settings):
    """Pipeline parameters that say where the GPU steps run: whoever fills in the Kubeflow form
    chooses; for Jobs they are the options of the same names. They are the steps' placement, never
    their settings; the embedded runner takes what the machine has."""

    gpus: str = Field(
        "1",
        pattern=r"^([0-9]|1[0-6])$",
        description="On a cluster: GPUs of each step that trains, as a text; '0' for none",
    )
    """A text: Kubeflow takes a number for no value, and the pod would have no GPU."""
    gpu_type: str = Field(
        "nvidia.com/gpu",
        min_length=1,
        description="On a cluster: GPU resource of those steps: nvidia.com/gpu, or a MIG profile "
        "such as nvidia.com/mig-1g.10gb",
    )
    node_selector: dict[str, str] = Field(
        {},
        description="On a cluster: labels that the nodes of those steps must have, such as "
        '{"nvidia.com/gpu.product": "NVIDIA-A10"}',
    )

    @field_validator("gpus", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if type(value) is int else value

    @field_validator("gpu_type")
    @classmethod
    def _is_gpu(cls, value: str) -> str:
        if problem := placement_rules.gpu_type_problem(value):
            raise ValueError(problem)
        return value

    @field_validator("node_selector")
    @classmethod
    def _are_labels(cls, value: dict[str, str]) -> dict[str, str]:
        if problems := placement_rules.node_label_problems(value):
            raise ValueError("; ".join(problems))
        return value


class ClusterChoice(GpuChoice):
    """The same, and how many search at the same time; the embedded runner searches alone."""

    more_workers: list[int] = Field(
        [],
        description="On a cluster: numbers of further workers that search together with the first, "
        "such as [1, 2, 3], each with the GPUs of a step; they share a volume, or PostgreSQL "
        "(TRAINYARD_OPTUNA_STORAGE)",
    )

    @field_validator("more_workers")
    @classmethod
    def _are_numbers(cls, values: list[int]) -> list[int]:
        if len({*values}) < len(values) or not all(1 <= value <= 999 for value in values):
            raise ValueError("expected different numbers from 1 to 999, such as [1, 2, 3]")
        return values


GPU_PARAMETERS = tuple(GpuChoice.model_fields)
"""Those that place a task."""


def place(task: Any, placement: Placement, chosen: Mapping[str, Any] | None = None) -> Any:
    """Applies a placement to a KFP task and returns the task.

    What kfp-kubernetes 2.17 cannot ask for, `placement_rules.unheeded_by_tasks` tells.

    Args:
        task: the KFP task.
        placement: what it asks for.
        chosen: pipeline parameters by the names of GPU_PARAMETERS that take the place of the
            placement's own GPUs.

    Raises:
        ValueError: a secret without variables.
    """
    task.set_cpu_request(_cpu(placement.cpu))
    task.set_cpu_limit(_cpu(placement.cpu_limit or placement.cpu))
    task.set_memory_request(_bytes(placement.memory))
    task.set_memory_limit(_bytes(placement.memory_limit or placement.memory))
    if chosen:
        task.set_accelerator_type(chosen["gpu_type"]).set_accelerator_limit(chosen["gpus"])
        # kfp 2.17 hands parameters of resources no further than the outermost group of tasks
        task._channel_inputs += [chosen["gpu_type"], chosen["gpus"]]
        kubernetes.add_node_selector_json(task, chosen["node_selector"])
    elif placement.gpus:
        task.set_accelerator_type(placement.gpu_type).set_accelerator_limit(placement.gpus)
    for variable, value in placement.environment.items():
        task.set_env_variable(variable, value)
    if placement.queue:
        kubernetes.add_pod_label(task, QUEUE_LABEL, placement.queue)
    if placement.retries:
        wait = f"{placement.backoff_seconds}s"
        task.set_retry(placement.retries, wait, placement.backoff_factor)
    task.set_caching_options(placement.cached)
    if placement.shared_memory:
        kubernetes.empty_dir_mount(
            task, "dshm", "/dev/shm", medium="Memory", size_limit=placement.shared_memory
        )
    for volume in placement.volumes:
        kubernetes.mount_pvc(task, volume.claim, volume.path, sub_path=volume.sub_path)
    for secret in placement.all_secrets:
        if not secret.variables:
            raise ValueError(f"secret {secret.name}: a Kubeflow task has to name its variables")
        keys = {key: variable for variable, key in secret.variables.items()}
        kubernetes.use_secret_as_env(task, secret.name, keys, optional=secret.optional)
    _choose_nodes(task, placement)
    for key, value in placement.labels.items():
        kubernetes.add_pod_label(task, key, value)
    if placement.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(placement.image_pull_secrets))
    if placement.deadline:
        kubernetes.set_timeout(task, placement.deadline)
    return task


def _cpu(text: str) -> str:
    """A quantity as kfp takes it, which knows fewer forms than Kubernetes."""
    return text if re.fullmatch(r"(\d*\.)?\d+m?", text) else f"{int(quantity(text) * 1000)}m"


def _bytes(text: str) -> str:
    return text if re.fullmatch(r"\d+([EPTGMK]i|[EPTGM])?", text) else str(int(quantity(text)))


def expressions(labels: Mapping[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    """Node labels as the match expressions of an affinity."""
    return [
        {"key": label, "operator": "In", "values": list(values)} for label, values in labels.items()
    ]


def _choose_nodes(task: Any, placement: Placement) -> None:
    if required := expressions(placement.node_affinity):
        kubernetes.add_node_affinity(task, match_expressions=required)
    if preferred := expressions(placement.preferred_labels):
        kubernetes.add_node_affinity(task, match_expressions=preferred, weight=PREFERENCE)
    for toleration in placement.tolerations:
        kubernetes.add_toleration(
            task,
            key=toleration.key,
            operator=toleration.operator,
            value=toleration.value or None,
            effect=toleration.effect or None,
        )
