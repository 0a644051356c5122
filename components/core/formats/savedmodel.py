"""The serving signature of a TensorFlow SavedModel, read from its protobuf message alone.

Format: tensorflow/core/protobuf/saved_model.proto and meta_graph.proto of TensorFlow. What is read
is what Triton's TensorFlow backend serves: the graph tagged `serve`, its `serving_default`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.artifacts.model_bundle import Tensor
from components.core.errors import InputError, TrainyardError

FILE = "saved_model.pb"
TAG = "serve"
SIGNATURE = "serving_default"

DTYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}
"""TensorFlow's name → numpy's, where that is not the same word in lower case."""


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs by which a SavedModel is served, each sorted by name."""

    inputs: list[Tensor]
    """-1 in a shape is an axis of any size."""
    outputs: list[Tensor]


def serving_signature(folder: Path) -> Signature:
    """What the SavedModel in `folder` takes and gives.

    Raises:
        InputError: no readable SavedModel, none or several graphs for serving, no signature, or a
            tensor that is not dense or of which not even the number of axes is known.
        TrainyardError: TensorFlow is not installed.
    """
    graph = _serving_graph(folder)
    if SIGNATURE not in graph.signature_def:
        found = ", ".join(sorted(graph.signature_def)) or "none"
        raise InputError(
            f"{folder} has no signature {SIGNATURE!r} (signatures: {found}); export the model with "
            "a serving endpoint"
        )
    signature = graph.signature_def[SIGNATURE]
    problems: list[str] = []
    inputs, outputs = (
        [_tensor(name, infos[name], problems) for name in sorted(infos)]
        for infos in (signature.inputs, signature.outputs)
    )
    for role, tensors in (("inputs", inputs), ("outputs", outputs)):
        if not tensors:
            problems.append(f"the signature has no {role}")
    if problems:
        raise InputError("\n  - ".join([f"{folder} cannot be served:", *problems]))
    return Signature(inputs, outputs)


def signature_differences(
    signature: Signature, inputs: list[Tensor], outputs: list[Tensor]
) -> list[str]:
    """Everything in which a description (of `model.json`) is not what the SavedModel says."""
    pairs = (("input", signature.inputs, inputs), ("output", signature.outputs, outputs))
    found = []
    for role, true, described in pairs:
        have, said = ({t.name: t for t in tensors} for tensors in (true, described))
        found += [f"{role} {name} is not in model.json" for name in have if name not in said]
        found += [f"model.json has the {role} {name}" for name in said if name not in have]
        for name in have.keys() & said.keys():
            one, other = _kind(have[name]), _kind(said[name])
            if one != other:
                found.append(f"{role} {name} is {one}, in model.json {other}")
    return sorted(found)


def _serving_graph(folder: Path) -> Any:
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{folder} is no SavedModel: it holds no {FILE}")
    saved = _protobuf().SavedModel()
    from google.protobuf.message import DecodeError

    try:
        saved.ParseFromString(path.read_bytes())
    except DecodeError:
        raise InputError(f"{path} is damaged: it cannot be read as a SavedModel") from None
    tags = [sorted(graph.meta_info_def.tags) for graph in saved.meta_graphs]
    fitting = [graph for graph, own in zip(saved.meta_graphs, tags, strict=True) if own == [TAG]]
    if len(fitting) != 1:
        shown = "; ".join(", ".join(own) or "no tag" for own in tags) or "none"
        raise InputError(
            f"{folder} has {len(fitting)} graphs tagged {TAG!r} alone, and one is needed (tags of "
            f"its graphs: {shown}); export the model with one graph for serving"
        )
    return fitting[0]


def _tensor(name: str, info: Any, problems: list[str]) -> Tensor:
    from tensorflow.core.framework import types_pb2

    if info.WhichOneof("encoding") != "name":
        problems.append(f"{name} is sparse, ragged or composed; only dense tensors can be served")
    if info.tensor_shape.unknown_rank:
        problems.append(f"the number of axes of {name} is unknown; give its shape at the export")
    kind = types_pb2.DataType.Name(info.dtype)
    return Tensor(
        name=name,
        dtype=DTYPES.get(kind, kind.removeprefix("DT_").lower()),
        shape=[int(axis.size) for axis in info.tensor_shape.dim],
    )


def _kind(tensor: Tensor) -> str:
    # numpy calls text an object
    dtype = "string" if tensor.dtype in ("object", "str") else tensor.dtype
    return f"{dtype} {tensor.shape}"


def _protobuf() -> Any:
    try:
        from tensorflow.core.protobuf import saved_model_pb2
    except ModuleNotFoundError as error:
        raise TrainyardError(
            f"a SavedModel needs TensorFlow, which is not installed here ({error}); use the "
            "tensorflow image, or run: pip install 'trainyard[tensorflow]'"
        ) from None
    return saved_model_pb2
