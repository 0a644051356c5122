"""The network that was evaluated, in the format in which it is served."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.core import files
from components.core.artifacts.model_bundle import ModelBundle, kept
from components.core.detection.bundles import TASK, example_side
from components.core.errors import InputError
from components.core.events import Reporter
from components.core.formats.savedmodel import serving_signature, signature_differences
from components.core.formats.triton import FORMATS
from components.core.rendering.bundles import TASK as RENDERING

if TYPE_CHECKING:
    from torch import nn

NOISE_SEED = 0


@dataclass(frozen=True)
class Servable:
    """A bundle in one format that Triton serves."""

    place: Path
    """The bundle's directory; nothing in it is changed."""
    bundle: ModelBundle
    kind: str
    """One of FORMATS."""
    path: Path
    """The ONNX file, or the SavedModel's folder."""


def evaluated(model: Path, known: Collection[str]) -> tuple[Path, ModelBundle]:
    """Of the networks that a training kept, the one that was evaluated.

    Args:
        model: the training's bundle, with those of checkpoints and variants in it.
        known: fingerprints of the evaluated bundles.

    Without such a one the model itself, so that the caller can say what does not fit.

    Raises:
        InputError: `model` is no bundle.
    """
    best = ModelBundle.load(model)
    if not was_evaluated(best, known):
        variants = sorted(path.parent for path in model.glob(f"variants/*/{ModelBundle.FILE}"))
        for place in [*kept(model).values(), *variants]:
            bundle = ModelBundle.load(place)
            if bundle.fingerprint in known:
                return place, bundle
    return model, best


def was_evaluated(bundle: ModelBundle, known: Collection[str]) -> bool:
    """Whether a bundle, or the one that it was exported from, is among those evaluated."""
    return bool({bundle.fingerprint, bundle.architecture.get("exported_from")} & {*known})


def servable(
    place: Path, bundle: ModelBundle, serve_as: str, work: Path, report: Reporter
) -> Servable:
    """The bundle in the format that it is served in.

    Args:
        place: the bundle's directory.
        bundle: its index.
        serve_as: one of FORMATS, or `auto` for the first of them that the bundle has.
        work: where an ONNX file is made of a bundle that has PyTorch weights only.
        report: told of that.

    Raises:
        InputError: the bundle has no such format, or its SavedModel is not what `model.json` says.
        TrainyardError: TensorFlow is missing for a SavedModel, or an exported graph computes
            something else.
    """
    can = [kind for kind in FORMATS if kind in bundle.formats]
    if "safetensors" in bundle.formats and "onnx" not in can:
        can.append("onnx")
    if not can or serve_as not in ("auto", *can):
        raise InputError(_cannot(place, bundle, serve_as, can))
    kind = can[0] if serve_as == "auto" else serve_as
    if kind == "onnx" and (plugins := bundle.architecture.get("plugins")):
        raise InputError(
            f"{place}: its ONNX file holds {', '.join(plugins)}, which only TensorRT runs; build "
            "an engine with tao_engine and publish that"
        )
    if kind not in bundle.formats:
        return Servable(place, bundle, kind, _exported(place, bundle, work, report))
    path = bundle.file(place, kind)
    if kind == "savedmodel":
        _agree(path, bundle)
    return Servable(place, bundle, kind, path)


def _cannot(place: Path, bundle: ModelBundle, serve_as: str, can: list[str]) -> str:
    have = ", ".join(bundle.formats) or "none"
    if not can:
        return (
            f"{place} holds no model that Triton serves (formats: {have}; needed is one of "
            f"{', '.join(FORMATS)} and safetensors)"
        )
    return (
        f"serve_as: {place} cannot be served as {serve_as} (formats: {have}); accepted for it are "
        f"auto and {', '.join(can)}"
    )


def _agree(folder: Path, bundle: ModelBundle) -> None:
    signature = serving_signature(folder)
    if found := signature_differences(signature, bundle.inputs, bundle.outputs):
        raise InputError(
            "\n  - ".join(
                [
                    f"{folder} is served by its signature, and that is not what model.json says; "
                    "export the model again. What differs:",
                    *found,
                ]
            )
        )


def _exported(place: Path, bundle: ModelBundle, work: Path, report: Reporter) -> Path:
    """The ONNX file of a bundle that has weights only, compared with PyTorch."""
    import torch

    from components.core.models.bundle import load_network
    from components.core.models.export import export_onnx, verify_onnx

    path = work / f"{bundle.fingerprint}.onnx"
    if path.exists():
        return path
    report.message(f"exporting {place.name} to ONNX: it was evaluated, but kept as weights only")
    network = load_network(place)
    if bundle.task == RENDERING:
        return _exported_renderer(path, network)
    if bundle.task == TASK:
        return _exported_detector(path, network, bundle)
    shape = [3, *bundle.inputs[0].shape[1:]]
    clips = torch.rand(shape, generator=torch.Generator().manual_seed(NOISE_SEED)) * 2 - 1
    with files.atomic_path(path) as temporary:
        names = bundle.inputs[0].name, bundle.outputs[0].name
        export_onnx(network, clips[:2], temporary, *names)
        verify_onnx(temporary, network, [clips[:1], clips])
    return path


def _exported_renderer(path: Path, network: nn.Module) -> Path:
    from components.core.models.inovis import INOVIS
    from components.core.models.renderer_export import export_renderer

    assert isinstance(network, INOVIS)
    export_renderer(network, path)
    return path


def _exported_detector(path: Path, network: nn.Module, bundle: ModelBundle) -> Path:
    import torch

    from components.core.models.detector_export import export_detector, verify_detector

    side = example_side(bundle)
    generator = torch.Generator().manual_seed(NOISE_SEED)
    images = [torch.rand(2, 3, side, side, generator=generator) for side in (side, side + 40)]
    with files.atomic_path(path) as temporary:
        export_detector(network, (side, side), temporary)
        verify_detector(temporary, network, images)
    return path
