"""What a step asks of the cluster: GPUs, memory, shared memory, volumes, credentials, retries.

Everything here concerns where a step runs, never what it computes; the embedded runner ignores
it. Kubeflow tasks (`place`, below) and plain Jobs (`pipelines.jobs`) are made from the same
description.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from kfp import kubernetes
from pydantic import Field

from components.core.errors import SettingsError
from components.core.settings import Settings, closest, read_file
from pipelines import placement_rules

S3_SECRET = "trainyard-s3"
S3_VARIABLES = ("TRAINYARD_S3_ENDPOINT", "TRAINYARD_S3_ACCESS_KEY", "TRAINYARD_S3_SECRET_KEY")
POSTGRES_SECRET = "trainyard-postgres"
MONGODB_SECRET = "trainyard-mongodb"
WEBHOOK_SECRET = "trainyard-webhook"
KUBEFLOW_SECRET = "trainyard-kubeflow"
"""Secrets by service; their keys are the environment variables that the code reads."""

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

GPU_PRODUCT_LABEL = "nvidia.com/gpu.product"
"""Node label that names the GPU model; clusters of long ago have `gpu-type` instead."""

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
    """What one step asks for; quantities are Kubernetes ones (`8Gi`). Request and limit are equal:
    shared clusters demand them close together, and then nothing that was promised is missing."""

    cpu: str = "2"
    memory: str = "4Gi"
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
    volumes: tuple[Volume, ...] = ()
    secrets: tuple[SecretVariables, ...] = ()
    retries: int = 2
    """Starts after failures; being evicted is none."""
    deadline: int = 0
    """Seconds after which the step is ended; 0 for no limit."""
    labels: Mapping[str, str] = field(default_factory=dict)
    queue: str = ""
    """Kueue's LocalQueue that admits the pods; '' for none."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further variables with plain values."""
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


PLACEMENTS = {
    "dataset_sync": Placement(cpu="4", memory="8Gi", s3=True, cached=False),
    "split_clips": Placement(cpu="1", memory="2Gi"),
    "frame_extraction": Placement(cpu="8", memory="8Gi"),
    "train_video": Placement(cpu="8", memory="32Gi", gpus=1, shared_memory="8Gi"),
    "evaluate_clips": Placement(cpu="8", memory="16Gi", shared_memory="4Gi"),
    "triton_publish": Placement(cpu="2", memory="8Gi", s3=True, cached=False),
}
"""Stage → what it asks for unless a project or a user says otherwise."""

HOUR = 3600

_JOB = {"ephemeral_storage": "10Gi", "retries": 4, "deadline": 24 * HOUR}
_ON_PRP: dict[str, dict[str, Any]] = {
    "train_video": {
        "cpu": "16",
        "memory": "48Gi",
        "gpus": 4,
        "shared_memory": "16Gi",
        "deadline": 96 * HOUR,
    }
}

PRP_PLACEMENTS = {
    stage: replace(placement, **{**_JOB, **_ON_PRP.get(stage, {})})
    for stage, placement in PLACEMENTS.items()
}
"""The same for Jobs on PRP: bounded in disk and time, and training on four GPUs of one node."""


def read_placements(path: Path | str, defaults: Mapping[str, Placement]) -> dict[str, Placement]:
    """Reads changes to placements from a YAML file: stage → fields; `all` → fields of every stage.

    Returns:
        Stage → placement, for every stage of `defaults`.

    Raises:
        SettingsError: with every unknown stage, unknown field and wrong type.
    """
    placements, found = read_sound_placements(path, defaults)
    if found:
        raise SettingsError(found, str(path))
    return placements


def read_sound_placements(
    path: Path | str, defaults: Mapping[str, Placement]
) -> tuple[dict[str, Placement], list[str]]:
    """The placements with everything from the file that can be used, and what is wrong with it."""
    try:
        content = read_file(path)
    except SettingsError as error:
        return dict(defaults), error.problems
    found = [
        f"{stage}: unknown stage{closest(stage, ['all', *defaults])} (accepted: all, "
        f"{', '.join(defaults)})"
        for stage in content
        if stage not in ("all", *defaults)
    ]
    found += [
        f"{stage}: expected fields such as `gpus: 4`, got {fields!r}"
        for stage, fields in content.items()
        if not isinstance(fields, dict)
    ]
    fields = {stage: given for stage, given in content.items() if isinstance(given, dict)}
    common, bad = _sound(Placement(), fields.get("all", {}))
    found += [f"all.{problem}" for problem in bad]
    placements = {}
    for stage, placement in defaults.items():
        own, bad = _sound(placement, fields.get(stage, {}))
        found += [f"{stage}.{problem}" for problem in bad]
        placements[stage] = change(placement, {**common, **own})
    return placements, found


def change(placement: Placement, fields: Mapping[str, Any]) -> Placement:
    """The placement with some fields replaced; types, names and ranges are checked.

    Raises:
        SettingsError: with every unknown field, wrong type and value that no cluster takes.
    """
    from pydantic import TypeAdapter, ValidationError

    known = {name: getattr(placement, name) for name in Placement.__dataclass_fields__}
    numbers = ("cpu", "memory", "shared_memory", "ephemeral_storage")
    given = {
        name: str(value) if name in numbers and type(value) in (int, float) else value
        for name, value in fields.items()
    }
    try:
        changed = TypeAdapter(Placement).validate_python({**known, **given})
    except ValidationError as error:
        raise SettingsError(
            [_described(problem) for problem in error.errors(include_url=False)], "the placement"
        ) from None
    if found := placement_rules.problems(changed):
        raise SettingsError(found, "the placement")
    return changed


def change_sound(placement: Placement, fields: Mapping[str, Any]) -> tuple[Placement, list[str]]:
    """The placement with those fields replaced that can be, and what is wrong with the others."""
    good, found = _sound(placement, fields)
    return change(placement, good), found


def _sound(placement: Placement, fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The fields that nothing is wrong with, and the problems of the others."""
    good, found = {}, []
    for name, value in fields.items():
        try:
            change(placement, {name: value})
        except SettingsError as error:
            found += error.problems
        else:
            good[name] = value
    return good, found


_FORMS = {
    "tolerations": "[{key: nautilus.io/reservation, effect: NoSchedule}]",
    "volumes": "[{claim: trainyard, path: /data}]",
    "secrets": "[{name: database, variables: {PGPASSWORD: password}}]",
    "gpu_products": "[NVIDIA-A10, NVIDIA-A40]",
    "image_pull_secrets": "[registry]",
    "node_labels": "{topology.kubernetes.io/region: [us-west]}",
    "labels": "{team: vision}",
}
"""How fields that hold several things are written."""


def _described(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    field = name.partition(".")[0]
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{name}: unknown field{closest(name, Placement.__dataclass_fields__)}"
    if problem["type"] in ("tuple_type", "mapping_type", "dict_type") and field in _FORMS:
        return f"{name}: got {problem['input']!r}; write it like {field}: {_FORMS[field]}"
    return f"{name}: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {problem['input']!r}"


class GpuChoice(Settings):
    """Pipeline parameters that say where the GPU steps run: whoever fills in the Kubeflow form
    chooses. They are the steps' placement, never their settings; the embedded runner takes what
    the machine has."""

    gpus: int = Field(1, ge=0, description="On Kubeflow: GPUs of each step that trains; 0 for none")
    gpu_type: str = Field(
        "nvidia.com/gpu",
        min_length=1,
        description="On Kubeflow: GPU resource of those steps: nvidia.com/gpu, or a MIG profile "
        "such as nvidia.com/mig-1g.10gb",
    )
    node_selector: dict[str, str] = Field(
        {},
        description="On Kubeflow: labels that the nodes of those steps must have, such as "
        '{"nvidia.com/gpu.product": "NVIDIA-A10"}',
    )


GPU_PARAMETERS = tuple(GpuChoice.model_fields)


def place(task: Any, placement: Placement, chosen: Mapping[str, Any] | None = None) -> Any:
    """Applies a placement to a KFP task and returns the task.

    kfp-kubernetes 2.17 can ask neither for ephemeral storage nor for read-only volumes.

    Args:
        task: the KFP task.
        placement: what it asks for.
        chosen: pipeline parameters by the names of GPU_PARAMETERS; used where `placement` asks
            for GPUs.

    Raises:
        ValueError: a secret without variables.
    """
    task.set_cpu_request(placement.cpu).set_cpu_limit(placement.cpu)
    task.set_memory_request(placement.memory).set_memory_limit(placement.memory)
    if placement.gpus and chosen:
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
        task.set_retry(placement.retries, backoff_duration="60s", backoff_factor=2)
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


def _choose_nodes(task: Any, placement: Placement) -> None:
    if affinity := placement.node_affinity:
        kubernetes.add_node_affinity(
            task,
            match_expressions=[
                {"key": label, "operator": "In", "values": list(values)}
                for label, values in affinity.items()
            ],
        )
    for toleration in placement.tolerations:
        kubernetes.add_toleration(
            task,
            key=toleration.key,
            operator=toleration.operator,
            value=toleration.value or None,
            effect=toleration.effect or None,
        )
