"""Exports a renderer to ONNX, for servers that run without our code, and proves the result."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from components.core import files
from components.core.errors import TrainyardError
from components.core.models.export import OPSET, TOLERANCE, quiet
from components.core.models.inovis import INOVIS
from components.core.models.inovis_inputs import Inputs, example_inputs

OUTPUT = "picture"

SIDES = ("height", "width")


class RendererGraph(nn.Module):
    """A renderer that takes its tensors one by one: levels, photographs, lookups."""

    def __init__(self, network: INOVIS) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> Tensor:
        """As of `input_names`."""
        levels, aux = len(self.network.channels), self.network.aux_amount
        photographs, lookups = tensors[levels : levels + aux], tensors[levels + aux :]
        picture: Tensor = self.network(tensors[:levels], photographs, lookups)
        return picture


def input_names(levels: int, aux: int) -> list[str]:
    """Names of the graph's inputs, which are those of a bundle."""
    numbers = range(1, aux + 1)
    return [
        *(f"level{k}" for k in range(levels)),
        *(f"aux{k}" for k in numbers),
        *(f"coordinates{k}" for k in numbers),
    ]


def flat(inputs: Inputs) -> list[Tensor]:
    """Inputs of a renderer in the order of `input_names`."""
    return [tensor for group in inputs for tensor in group]


def export_renderer(network: INOVIS, path: Path) -> float:
    """Writes a renderer as one self-contained ONNX file for any batch and size, and compares it.

    Args:
        network: neither changed nor moved.
        path: the file to write, whole or not at all.

    Returns:
        The largest difference from the network.

    Raises:
        TrainyardError: the file renders something else.
    """
    import onnx

    plain = copy.deepcopy(network).to("cpu", torch.float32)
    plain = plain.to(memory_format=torch.contiguous_format).eval()
    graph = RendererGraph(plain).eval()
    given = plain.channels, plain.aux_channels, plain.aux_amount
    names = input_names(len(plain.channels), plain.aux_amount)
    axes = {
        name: {0: "batch", **{n: f"{name}_{side}" for n, side in enumerate(SIDES, 2)}}
        for name in [*names, OUTPUT]
    }
    with files.atomic_path(path) as temporary:
        with quiet(), torch.no_grad():
            torch.onnx.export(
                graph,
                tuple(flat(example_inputs(*given, batch=2))),
                str(temporary),
                dynamo=False,  # as for the viewer: one recorded run
                input_names=names,
                output_names=[OUTPUT],
                dynamic_axes=axes,
                opset_version=OPSET,
            )
        model = onnx.load(str(temporary))
        for node in model.graph.node:
            node.doc_string = ""  # places in the source of the exporting machine
        onnx.checker.check_model(model)
        onnx.save(model, str(temporary))
        batches = [
            example_inputs(*given, size=(48, 32), aux_size=(32, 48), batch=3, seed=1),
            example_inputs(*given, size=(80, 64), aux_size=(72, 96), seed=2),
        ]
        return verify_renderer(temporary, plain, batches)


def verify_renderer(path: Path, network: INOVIS, batches: Sequence[Inputs]) -> float:
    """Compares an exported file with the network on each batch; returns the largest difference.

    Raises:
        TrainyardError: a value differs by more than TOLERANCE.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    worst = 0.0
    for batch in batches:
        values = [tensor.numpy() for tensor in flat(batch)]
        with torch.no_grad():
            expected = network(*batch).numpy()
        (found,) = session.run([OUTPUT], dict(zip(names, values, strict=True)))
        difference = float(np.abs(found - expected).max())
        if found.shape != expected.shape or not difference <= TOLERANCE:  # never with NaN
            raise TrainyardError(
                f"the exported ONNX renderer differs from PyTorch by {difference:.2e} on "
                f"{expected.shape[-1]}x{expected.shape[-2]}, more than the accepted "
                f"{TOLERANCE:.0e}; the export is not usable"
            )
        worst = max(worst, difference)
    return worst
