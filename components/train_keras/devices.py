"""Which devices TensorFlow trains on, and in which arithmetic."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import keras
import tensorflow as tf

from components.core.cpus import usable_cpus
from components.core.errors import InputError
from components.train_keras.stage import TrainKerasSettings

HALF_PRECISION = (8, 0)
"""Compute capability from which a GPU calculates with bf16."""


def prepare(settings: TrainKerasSettings) -> Any:
    """Sets TensorFlow up for a training; returns the strategy that spreads it over devices.

    Raises:
        InputError: with every device or precision that is not here.
    """
    gpus = _gpus(settings.device)
    problems = []
    if settings.precision == "fp16" and not gpus:
        problems.append("precision: 'fp16' needs a GPU; on the CPU use auto, fp32 or bf16")
    if gpus and settings.replicas > len(gpus):
        problems.append(
            f"replicas: got {settings.replicas}, but {len(gpus)} GPUs are here; use at most that, "
            "or 0 for all"
        )
    if problems:
        raise InputError("; ".join(problems))
    count = settings.replicas or max(len(gpus), 1)
    _limit_threads()
    tf.config.set_visible_devices(gpus[:count], "GPU")
    for gpu in gpus[:count]:
        tf.config.experimental.set_memory_growth(gpu, True)
    if settings.deterministic or not gpus:  # on the CPU it costs nothing
        tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy(_policy(settings.precision, gpus))
    if count == 1:
        return tf.distribute.get_strategy()
    if gpus:
        return tf.distribute.MirroredStrategy()
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    )
    return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(count)])


def device_names() -> list[str]:
    """The GPUs that are used, for people; empty on the CPU."""
    visible = tf.config.get_visible_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in visible]
    return [str(found.get("device_name", "GPU")) for found in details]


def _gpus(device: str) -> list[Any]:
    found = [] if device == "cpu" else tf.config.list_physical_devices("GPU")
    if not device.startswith("cuda"):
        return list(found)
    number = device.partition(":")[2]
    if not found or int(number or 0) >= len(found):
        raise InputError(
            f"device: {device!r} is not here ({len(found)} GPUs found); use auto or cpu"
        )
    return [found[int(number)]] if number else list(found)


def _policy(precision: str, gpus: list[Any]) -> str:
    if precision == "auto":
        able = [
            tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
            >= HALF_PRECISION
            for gpu in gpus
        ]
        precision = "bf16" if able and all(able) else "fp32"
    return {"fp32": "float32", "bf16": "mixed_bfloat16", "fp16": "mixed_float16"}[precision]


def _limit_threads() -> None:
    """TensorFlow does not know of a container's CPU limit."""
    threads = int(os.environ.get("OMP_NUM_THREADS") or usable_cpus())
    with suppress(RuntimeError):  # it has started its threads before
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(max(threads, 2))
