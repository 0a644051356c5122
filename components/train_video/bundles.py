"""Writes what training kept as ModelBundles: the best epoch with ONNX, the others beside it."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.core.artifacts import model_bundle
from components.core.artifacts.frames import FrameReader
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split
from components.core.events import Reporter
from components.core.models import build
from components.core.models.bundle import read_safetensors, save_bundle, sha256
from components.core.models.export import export_onnx, verify_onnx
from components.core.training.clips import ClipExamples, network_input
from components.core.training.fit import FitResult
from components.core.training.views import Window
from components.train_video.stage import TrainSettings

ONNX = "model.onnx"


@dataclass(frozen=True)
class Trained:
    """A finished training and what it was made from."""

    settings: TrainSettings
    reader: FrameReader
    split: Split
    architecture: dict[str, Any]
    result: FitResult


def write_bundles(
    directory: Path, trained: Trained, val: ClipExamples, report: Reporter
) -> ModelBundle:
    """Writes the bundle of the best epoch with `last/`, `checkpoints/<epoch>/` and `log/` in it.

    Raises:
        TrainyardError: the ONNX model does not compute what PyTorch does.
    """
    result, every = trained.result, trained.settings.keep_every
    directory.mkdir()
    last = len(result.history)
    write_bundle(directory / "last", trained, last)
    for epoch in result.weights:
        if every and epoch % every == 0:
            write_bundle(directory / "checkpoints" / f"{epoch:04d}", trained, epoch)
    shutil.copytree(result.logs, directory / "log")
    network = build(trained.architecture["name"], **trained.architecture["arguments"])
    network.load_state_dict(read_safetensors(result.weights[result.best]))
    report.message(f"exporting epoch {result.best} of {last} to ONNX")
    shape = _input_shape(trained.settings)
    export_onnx(network, torch.zeros(2, *shape), directory / ONNX, "clip", "logits")
    difference = verify_onnx(directory / ONNX, network, _test_batches(shape, val))
    report.message(f"ONNX and PyTorch agree within {difference:.1e}")
    return write_bundle(directory, trained, result.best, {"onnx": ONNX})


def write_bundle(
    directory: Path, trained: Trained, epoch: int, formats: dict[str, str] | None = None
) -> ModelBundle:
    """Writes one epoch's bundle; `formats` lie in the directory already."""
    settings, index, result = trained.settings, trained.reader.index, trained.result
    weights = result.weights[epoch]
    window = Window(settings.clip_frames, settings.clip_stride, settings.input_size)
    curves = [_finite(row) for row in result.history]
    return save_bundle(
        directory,
        weights,
        formats=formats,
        name=settings.network,
        task="clip_classification",
        multi_label=settings.multi_label,
        classes=index.classes,
        architecture=trained.architecture,
        inputs=[
            model_bundle.Tensor(
                name="clip",
                dtype="float32",
                shape=[-1, *_input_shape(settings)],
                layout="B,C,T,H,W",
                range=[-1.0, 1.0],
                meaning="RGB",
            )
        ],
        outputs=[
            model_bundle.Tensor(
                name="logits",
                dtype="float32",
                shape=[-1, len(index.classes)],
                layout="B,K",
                meaning="logits",
            )
        ],
        preprocessing=window.preprocessing(index),
        training={**settings.model_dump(mode="json"), "epoch": epoch, **_origin(settings)},
        dataset=index.fingerprint,
        split=trained.split.fingerprint,
        metrics={k: v for k, v in curves[epoch - 1].items() if k.startswith("val_")},
        curves=curves,
    )


def _origin(settings: TrainSettings) -> dict[str, str]:
    given = {"pretrained": settings.pretrained, "pretrained_resizer": settings.pretrained_resizer}
    return {
        f"{name}_sha256": sha256(Path(path))
        for name, path in given.items()
        if path and Path(path).is_file()
    }


def _finite(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if math.isfinite(value)}


def _input_shape(settings: TrainSettings) -> tuple[int, int, int, int]:
    return 3, settings.clip_frames, settings.input_size, settings.input_size


def _test_batches(shape: tuple[int, ...], val: ClipExamples) -> list[Tensor]:
    """Random and real clips, one and three at a time."""
    noise = np.random.default_rng(0).uniform(-1, 1, (3, *shape)).astype(np.float32)
    some = [number % len(val) for number in range(3)]
    real = network_input(val.batch(0, some)["frames"]).contiguous()
    return [torch.from_numpy(noise[:1]), torch.from_numpy(noise), real[:1], real]
