"""What a step asks of the cluster: GPUs, memory, shared memory, credentials, retries.

Everything here concerns where a step runs, never what it computes; the embedded runner ignores it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kfp import kubernetes

S3_SECRET = "trainyard-s3"
S3_VARIABLES = ("TRAINYARD_S3_ENDPOINT", "TRAINYARD_S3_ACCESS_KEY", "TRAINYARD_S3_SECRET_KEY")


@dataclass(frozen=True)
class Placement:
    """Resources of one step. Memory quantities are Kubernetes ones (`8Gi`)."""

    cpu: str = "2"
    memory: str = "4Gi"
    gpus: int = 0
    gpu_type: str = "nvidia.com/gpu"
    shared_memory: str = ""
    """Size of /dev/shm, which data loader processes hand their batches through."""
    retries: int = 2
    s3: bool = False
    """Gets the object store's endpoint and credentials from the Secret `trainyard-s3`."""
    cached: bool = True
    """False for steps that touch the outside world: KFP must not skip them."""


PLACEMENTS = {
    "dataset_sync": Placement(cpu="4", memory="8Gi", s3=True, cached=False),
    "split_clips": Placement(cpu="1", memory="2Gi"),
    "frame_extraction": Placement(cpu="8", memory="8Gi"),
    "train_video": Placement(cpu="8", memory="32Gi", gpus=1, shared_memory="8Gi"),
    "evaluate_clips": Placement(cpu="8", memory="16Gi", shared_memory="4Gi"),
    "triton_publish": Placement(cpu="2", memory="8Gi", s3=True, cached=False),
}
"""Stage → what it asks for unless a project or a user says otherwise."""


def place(task: Any, placement: Placement) -> Any:
    """Applies a placement to a KFP task and returns the task."""
    task.set_cpu_request(placement.cpu).set_cpu_limit(placement.cpu)
    task.set_memory_request(placement.memory).set_memory_limit(placement.memory)
    if placement.gpus:
        task.set_accelerator_type(placement.gpu_type).set_accelerator_limit(placement.gpus)
    if placement.retries:
        task.set_retry(placement.retries, backoff_duration="60s", backoff_factor=2)
    task.set_caching_options(placement.cached)
    if placement.shared_memory:
        kubernetes.empty_dir_mount(
            task, "dshm", "/dev/shm", medium="Memory", size_limit=placement.shared_memory
        )
    if placement.s3:
        keys = {variable: variable for variable in S3_VARIABLES}
        kubernetes.use_secret_as_env(task, S3_SECRET, keys, optional=True)
    return task
