"""The network that was evaluated, as an ONNX graph to serve."""

from __future__ import annotations

from pathlib import Path

from components.core import files
from components.core.artifacts.evaluation import Evaluation
from components.core.artifacts.model_bundle import ModelBundle, kept
from components.core.events import Reporter

NOISE_SEED = 0


def evaluated(model: Path, evaluation: Evaluation) -> tuple[Path, ModelBundle]:
    """Of the networks that a training kept, the one that the evaluation is of.

    Without such a one the model itself, so that the caller can say what does not fit.

    Raises:
        InputError: `model` is no bundle.
    """
    best = ModelBundle.load(model)
    known = evaluation.models.values()
    if best.fingerprint not in known:
        for place in kept(model).values():
            bundle = ModelBundle.load(place)
            if bundle.fingerprint in known:
                return place, bundle
    return model, best


def graph_of(place: Path, bundle: ModelBundle, work: Path, report: Reporter) -> Path:
    """The bundle's ONNX file; made and compared with PyTorch if it has weights only.

    Raises:
        InputError: the bundle has neither.
        TrainyardError: the exported graph computes something else.
    """
    if "onnx" in bundle.formats or "safetensors" not in bundle.formats:
        return bundle.file(place, "onnx")
    import torch

    from components.core.models.bundle import load_network
    from components.core.models.export import export_onnx, verify_onnx

    path = work / f"{bundle.fingerprint}.onnx"
    if path.exists():
        return path
    report.message(f"exporting {place.name} to ONNX: it was evaluated, but kept as weights only")
    network = load_network(place)
    shape = [3, *bundle.inputs[0].shape[1:]]
    clips = torch.rand(shape, generator=torch.Generator().manual_seed(NOISE_SEED)) * 2 - 1
    with files.atomic_path(path) as temporary:
        names = bundle.inputs[0].name, bundle.outputs[0].name
        export_onnx(network, clips[:2], temporary, *names)
        verify_onnx(temporary, network, [clips[:1], clips])
    return path
