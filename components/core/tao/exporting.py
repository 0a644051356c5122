"""Bundles of exported networks: ONNX, or an engine, with labels, calibration and what they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import __version__
from components.core import files
from components.core.artifacts import base
from components.core.artifacts.model_bundle import ModelBundle, Tensor
from components.core.state import digest
from components.core.tao.bundles import LABELS
from components.core.tao.commands import Calibration

ONNX, ETLT, ENGINE = "onnx", "etlt", "tensorrt"
NAMES = {ONNX: "model.onnx", ETLT: "model.etlt", ENGINE: "model.plan"}
"""Format of a bundle → name of its file."""

CALIBRATION = "calibration.bin"

EXPORT_TYPE = (
    "Arithmetic of the served network: fp32, fp16 or int8; '' takes export_type of experiments.yml"
)
BATCHES = "Batches of training images from which int8 gets its scales"
BATCH_SIZE = "Images in each of these batches"


@dataclass(frozen=True)
class Exported:
    """Files that a program has made, and what is known about them."""

    paths: Mapping[str, Path]
    """Format → file."""
    inputs: list[Tensor]
    outputs: list[Tensor]
    plugins: list[str]
    """Operators of the ONNX file that only TensorRT has."""
    data_type: str
    max_batch_size: int = 0
    """Of the engine; 0 without one."""
    calibration: Calibration | None = None
    extras: tuple[Path, ...] = ()
    """Further files, such as those for DeepStream."""


def write(
    out: Path, source: ModelBundle, exported: Exported, details: Mapping[str, Any]
) -> ModelBundle:
    """Writes the bundle of an exported network.

    Args:
        out: new folder.
        source: the bundle that was exported.
        exported: the files.
        details: further entries of `training`.
    """
    out.mkdir(parents=True)
    formats = {}
    for kind, path in exported.paths.items():
        files.link_or_copy(path, out / NAMES[kind])
        formats[kind] = NAMES[kind]
    for path in exported.extras:
        files.link_or_copy(path, out / path.name)
    if exported.calibration and exported.calibration.cache.is_file():
        files.link_or_copy(exported.calibration.cache, out / CALIBRATION)
    files.write_text(out / LABELS, "".join(f"{name}\n" for name in source.classes))
    trained = source.architecture.get("exported_from", source.fingerprint)
    contents = [base.content(path) for path in exported.paths.values()]
    bundle = source.model_copy(
        update={
            "fingerprint": digest([*contents, trained, exported.data_type]),
            "formats": formats,
            "architecture": {
                **source.architecture,
                "exported_from": trained,
                "data_type": exported.data_type,
                "plugins": exported.plugins,
                "max_batch_size": exported.max_batch_size,
            },
            "inputs": exported.inputs,
            "outputs": exported.outputs,
            "training": {**source.training, **details},
            "code_version": __version__,
        }
    )
    bundle.save(out)
    return bundle
