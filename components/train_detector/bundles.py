"""Writes what training kept as ModelBundles: the best variant, and each variant beside it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from components.core import files
from components.core.artifacts.model_bundle import ModelBundle
from components.core.detection.bundles import TASK, Preprocessing, tensors
from components.core.events import Reporter
from components.core.models import build
from components.core.models.bundle import read_safetensors, save_bundle, sha256
from components.core.models.detector_export import export_detector, verify_detector
from components.core.models.detector_input import DIVISOR
from components.core.training.detection_examples import DetectionExamples
from components.train_detector.comparison import TABLE, best_of, write_comparison
from components.train_detector.stage import TrainDetectorSettings
from components.train_detector.trained import Trained, finite

ONNX = "model.onnx"

VARIANTS = "variants"

LOG = "log"

COMPARED = 3
"""Validation images on which ONNX and PyTorch are compared."""


def write_bundles(
    directory: Path,
    settings: TrainDetectorSettings,
    done: Sequence[Trained],
    val: DetectionExamples,
    report: Reporter,
) -> tuple[Trained, ModelBundle]:
    """Writes the bundle of the best variant, with `variants/<name>/` of all of them in it.

    Beside them lie `comparison.csv`, `<variant>_settings.json` and `log/`, the training curves.

    Args:
        directory: to make.
        settings: of all variants.
        done: in the order in which they were trained.
        val: validation images.
        report: gets what is found.

    Returns:
        The best variant and its bundle.

    Raises:
        TrainyardError: an ONNX model does not compute what PyTorch does.
    """
    directory.mkdir()
    for trained in done:
        _write_variant(directory / VARIANTS / trained.variant.folder, trained, val, report)
    best = best_of(done, settings.monitor, report)
    write_comparison(directory, done, best, directory / LOG)
    if len(done) > 1:
        report.message(f"the best of {len(done)} variants is {best.variant.name}; see {TABLE}")
    own = directory / VARIANTS / best.variant.folder
    files.link_or_copy(own / ONNX, directory / ONNX)
    return best, write_bundle(directory, best, best.result.best, {"onnx": ONNX})


def _write_variant(
    directory: Path, trained: Trained, val: DetectionExamples, report: Reporter
) -> None:
    """The bundle of a variant's best epoch with `last/`, `checkpoints/<epoch>/` and `log/`."""
    result, every = trained.result, trained.settings.keep_every
    directory.mkdir(parents=True)
    last = len(result.history)
    write_bundle(directory / "last", trained, last)
    for epoch in result.weights:
        if every and epoch % every == 0:
            write_bundle(directory / "checkpoints" / f"{epoch:04d}", trained, epoch)
    shutil.copytree(result.logs, directory / LOG)
    network = build(trained.architecture["name"], **trained.architecture["arguments"])
    network.load_state_dict(read_safetensors(result.weights[result.best]))
    network.eval()
    report.message(f"{trained.variant.name}: exporting epoch {result.best} of {last} to ONNX")
    batches = _batches(val)
    height, width = batches[0].shape[-2:]
    export_detector(network, (height, width), directory / ONNX)
    difference = verify_detector(directory / ONNX, network, batches)
    report.message(f"ONNX and PyTorch agree within {difference:.1e}")
    write_bundle(directory, trained, result.best, {"onnx": ONNX})


def write_bundle(
    directory: Path, trained: Trained, epoch: int, formats: Mapping[str, str] | None = None
) -> ModelBundle:
    """Writes one epoch's bundle; `formats` lie in the directory already."""
    settings, result = trained.settings, trained.result
    curves = [finite(row) for row in result.history]
    return save_bundle(
        directory,
        result.weights[epoch],
        formats=formats,
        name=trained.variant.folder,
        task=TASK,
        classes=trained.dataset.classes,
        architecture=dict(trained.architecture),
        **tensors(settings.max_boxes),
        preprocessing=_preprocessing(settings).model_dump(),
        training={**settings.model_dump(mode="json"), "epoch": epoch, **_origin(settings)},
        dataset=trained.dataset.fingerprint,
        split=trained.split.fingerprint,
        metrics={k: v for k, v in curves[epoch - 1].items() if k.startswith("val_")},
        curves=curves,
    )


def _preprocessing(settings: TrainDetectorSettings) -> Preprocessing:
    """Images are resized whole, or cut into tiles as they are."""
    if settings.tile_size:
        return Preprocessing(
            tile_size=settings.tile_size,
            tile_overlap=settings.tile_overlap,
            size_divisor=DIVISOR,
        )
    return Preprocessing(
        min_size=settings.min_size, max_size=settings.max_size, size_divisor=DIVISOR
    )


def _origin(settings: TrainDetectorSettings) -> dict[str, str]:
    path = Path(settings.pretrained)
    known = bool(settings.pretrained) and path.is_file()
    return {"pretrained_sha256": sha256(path)} if known else {}


def _batches(val: DetectionExamples) -> list[Tensor]:
    """Validation images as the network sees them, one by one, and two of noise of another size."""
    numbers = list(range(min(COMPARED, len(val))))
    real = [image.float().div(255)[None] for image in val.batch(0, numbers)["images"]]
    height, width = real[0].shape[-2] + DIVISOR, real[0].shape[-1]
    noise = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    return [*real, noise]
