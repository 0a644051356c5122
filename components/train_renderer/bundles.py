"""Writes what training kept as ModelBundles, each with a trace and its line-up for the viewer."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.renderings import RenderingDataset
from components.core.events import Reporter
from components.core.models.bundle import read_safetensors, save_bundle, sha256
from components.core.models.inovis import INOVIS
from components.core.models.renderer_export import export_renderer
from components.core.models.trace import export_trace, write_for_viewer
from components.core.rendering.bundles import TASK, TORCHSCRIPT, preprocessing, tensors
from components.core.training.fit import FitResult
from components.train_renderer.networks import plain_network, viewer_problems
from components.train_renderer.stage import TrainRendererSettings

LOG, ONNX = "log", "model.onnx"


@dataclass(frozen=True)
class Trained:
    """A finished training and what it was made from."""

    settings: TrainRendererSettings
    dataset: RenderingDataset
    name: str
    """Date and run name."""
    result: FitResult


def write_bundles(directory: Path, trained: Trained, report: Reporter) -> ModelBundle:
    """Writes the bundle of the best epoch with `last/`, `checkpoints/<epoch>/` and `log/` in it.

    Raises:
        TrainyardError: a trace or the ONNX file does not compute what the network does.
    """
    result, every = trained.result, trained.settings.keep_every
    directory.mkdir()
    last = len(result.history)
    write_bundle(directory / "last", trained, last, "last", report)
    for epoch in result.weights:
        if every and epoch % every == 0:
            place = directory / "checkpoints" / f"{epoch:04d}"
            write_bundle(place, trained, epoch, f"epoch-{epoch}", report)
    shutil.copytree(result.logs, directory / LOG)
    network = trained_network(trained, result.best)
    report.message(f"exporting epoch {result.best} of {last} to ONNX")
    difference = export_renderer(network, directory / ONNX)
    report.message(f"ONNX and PyTorch agree within {difference:.1e}")
    return write_bundle(directory, trained, result.best, "best", report, {"onnx": ONNX})


def write_bundle(
    directory: Path,
    trained: Trained,
    epoch: int,
    role: str,
    report: Reporter,
    formats: Mapping[str, str] | None = None,
) -> ModelBundle:
    """Writes one epoch's bundle with `<training>_<role>.pt` and `.txt`.

    `formats` lie in the directory already.

    Raises:
        TrainyardError: the trace does not compute what the network does.
    """
    settings, result = trained.settings, trained.result
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{trained.name}_{role}"
    report.message(f"tracing epoch {epoch} as {name}.pt")
    trace = _write_trace(directory, name, trained, epoch)
    curves = [_finite(row) for row in result.history]
    return save_bundle(
        directory,
        result.weights[epoch],
        formats={TORCHSCRIPT: trace, **(formats or {})},
        name=name,
        task=TASK,
        architecture=settings.architecture,
        **tensors(settings.in_gt_frame_amount),
        preprocessing=preprocessing(
            settings.in_gt_frame_amount,
            trained.dataset.pre_init_motion,
            {"near": trained.dataset.near, "far": trained.dataset.far},
        ),
        training={**settings.model_dump(mode="json"), "epoch": epoch, **_origin(settings)},
        dataset=trained.dataset.fingerprint,
        split=trained.dataset.fingerprint,
        metrics={k: v for k, v in curves[epoch - 1].items() if k.startswith("val_")},
        curves=curves,
    )


def trained_network(trained: Trained, epoch: int) -> INOVIS:
    """The network with the weights of an epoch, in evaluation mode."""
    network = plain_network(trained.settings)
    network.load_state_dict(read_safetensors(trained.result.weights[epoch]))
    return network.eval()


def _write_trace(directory: Path, name: str, trained: Trained, epoch: int) -> str:
    """Writes `<name>.pt` and, where the viewer can use it, `<name>.txt`; returns the former."""
    network = trained_network(trained, epoch)
    if viewer_problems(trained.settings):
        export_trace(network, directory / f"{name}.pt")
    else:
        pre_init = trained.dataset.pre_init_motion
        write_for_viewer(directory, name, network, pre_init_lookups=pre_init)
    return f"{name}.pt"


def _origin(settings: TrainRendererSettings) -> dict[str, str]:
    given = {"pretrained": settings.pretrained, "vgg_weights": settings.vgg_weights}
    return {
        f"{name}_sha256": sha256(Path(path))
        for name, path in given.items()
        if path and Path(path).is_file()
    }


def _finite(row: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if math.isfinite(value)}
