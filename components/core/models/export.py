"""Exports a network to ONNX and proves that the result computes the same."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from components.core.errors import TrainyardError

OPSET = 18
"""Every tensor operation a network here needs; read by ONNX Runtime since 1.14 (2023)."""

TOLERANCE = 1e-4
"""Largest accepted difference between ONNX and PyTorch, relative to 1 + the largest output."""

ROUNDING = 4.0
"""How often PyTorch's own error, against float64, ONNX may have where that is the larger bound.

Networks that compute positions to look at enlarge the rounding of every step before.
"""


def export_onnx(
    network: nn.Module, example: Tensor, path: Path, input_name: str, output_name: str
) -> None:
    """Writes `network` in evaluation mode as one self-contained ONNX file.

    The first axis (the batch) is dynamic, all others are fixed to the example's.

    Args:
        network: takes one float32 tensor and returns one.
        example: any input with a batch of at least 2 (1 would be taken for a constant).
        path: the file to write.
        input_name: name of the graph's input.
        output_name: name of the graph's output.
    """
    import onnx

    training = network.training
    network.eval()
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                (example.to(next(network.parameters()).device),),
                dynamo=True,
                input_names=[input_name],
                output_names=[output_name],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                opset_version=OPSET,
                verbose=False,
            )
    finally:
        network.train(training)
    assert program is not None
    model = program.model_proto
    _without_traces(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def verify_onnx(
    path: Path, network: nn.Module, batches: Sequence[Tensor], tolerance: float = TOLERANCE
) -> float:
    """Compares the exported file with the network on each batch; returns the largest difference.

    Raises:
        TrainyardError: an output differs by more than `tolerance * (1 + largest output)`, and is
            not as close to the network's output in float64 as PyTorch's in float32, about.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    worst = 0.0
    try:
        for batch in batches:
            with torch.no_grad():
                expected = network(batch.to(device)).float().cpu().numpy()
            found = session.run(None, {name: batch.cpu().numpy()})[0]
            difference = _difference(found, expected, tuple(batch.shape))
            allowed = tolerance * (1 + float(np.abs(expected).max()))
            if not difference <= allowed and not _as_exact(network, batch, expected, found):
                raise TrainyardError(
                    f"the exported ONNX model differs from PyTorch by {difference:.2e} on a batch "
                    f"of {tuple(batch.shape)}, more than the accepted {allowed:.2e}; the export is "
                    "not usable"
                )
            worst = max(worst, difference)
    finally:
        network.train(training)
    return worst


def _difference(found: np.ndarray, expected: np.ndarray, shape: tuple[int, ...]) -> float:
    if found.shape != expected.shape:
        raise TrainyardError(
            f"the exported ONNX model returns {found.shape} for a batch of {shape}, "
            f"but PyTorch returns {expected.shape}; the export is not usable"
        )
    return float(np.abs(found - expected).max())


def _as_exact(network: nn.Module, batch: Tensor, expected: np.ndarray, found: np.ndarray) -> bool:
    device = next(network.parameters()).device
    with torch.no_grad():
        exact = copy.deepcopy(network).double()(batch.to(device).double()).cpu().numpy()
    own, other = (float(np.abs(value - exact).max()) for value in (expected, found))
    return other <= ROUNDING * own  # never with NaN


def _without_traces(model: object) -> None:
    """Drops the exporter's debugging notes: they hold source paths of the exporting machine."""
    graph = model.graph  # type: ignore[attr-defined]
    for item in [*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        del item.metadata_props[:]
    del graph.metadata_props[:]
    for function in model.functions:  # type: ignore[attr-defined]
        for item in [function, *function.node]:
            del item.metadata_props[:]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter's progress lines and deprecation notes are nothing a user can act on."""
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
