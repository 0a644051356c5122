"""Triton Inference Server's model configuration (`config.pbtxt`) and repository layout.

Written and read through the server's own protobuf message, so that whatever is written parses.
Layout: https://docs.nvidia.com/deeplearning/triton-inference-server, "Model Repository".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from components.core.artifacts.model_bundle import Tensor
from components.core.errors import InputError

CONFIG = "config.pbtxt"
LABELS = "labels.txt"
BACKEND = "onnxruntime"

TYPES = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "uint32": "TYPE_UINT32",
    "uint64": "TYPE_UINT64",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "bfloat16": "TYPE_BF16",
}
"""numpy name → Triton's."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

ModelConfig = Any
"""`tritonclient.grpc.model_config_pb2.ModelConfig`, which comes without types."""


def name_problem(name: str) -> str:
    """Why `name` cannot be a model's name in a repository; '' when it can."""
    if NAME.fullmatch(name):
        return ""
    return (
        f"model_name: got {name!r}, accepted are up to 128 letters, digits, '.', '_' and '-', "
        "beginning with a letter or digit"
    )


def model_config(
    name: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    *,
    max_batch_size: int,
    labelled: bool,
) -> ModelConfig:
    """The configuration of an ONNX model whose first axis is the batch.

    Args:
        name: of the model; its folder must be called the same.
        inputs: with the batch axis first, which is -1 (dynamic).
        outputs: likewise.
        max_batch_size: largest batch that Triton forms out of waiting requests.
        labelled: whether `labels.txt` names the entries of the first output.

    Raises:
        InputError: no inputs or outputs, a fixed batch axis, or a type that Triton lacks.
    """
    from tritonclient.grpc import model_config_pb2 as protobuf

    if problems := _tensor_problems(inputs, outputs):
        raise InputError("\n  - ".join(["the model cannot be served by Triton:", *problems]))
    config = protobuf.ModelConfig(name=name, backend=BACKEND, max_batch_size=max_batch_size)
    for tensor in inputs:
        config.input.add(
            name=tensor.name,
            data_type=protobuf.DataType.Value(TYPES[tensor.dtype]),
            dims=tensor.shape[1:],
        )
    for number, tensor in enumerate(outputs):
        config.output.add(
            name=tensor.name,
            data_type=protobuf.DataType.Value(TYPES[tensor.dtype]),
            dims=tensor.shape[1:],
            label_filename=LABELS if labelled and number == 0 else "",
        )
    config.dynamic_batching.SetInParent()
    return config


def config_text(config: ModelConfig) -> str:
    """A configuration as the text of `config.pbtxt`."""
    from google.protobuf import text_format

    return str(text_format.MessageToString(config))


def parse_config(text: str, where: str) -> ModelConfig:
    """The configuration in the text of a `config.pbtxt`.

    Raises:
        InputError: the text is not a model configuration; `where` names it.
    """
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2 as protobuf

    try:
        return text_format.Parse(text, protobuf.ModelConfig())
    except text_format.ParseError as error:
        raise InputError(f"{where} is not a Triton model configuration: {error}") from None


def differences(existing: ModelConfig, wanted: ModelConfig) -> list[str]:
    """What makes clients of `existing` fail on `wanted`: backend, inputs, outputs."""
    found = []
    for kind in ("input", "output"):
        have, want = (_signature(getattr(config, kind)) for config in (existing, wanted))
        if have != want:
            found.append(f"{kind}s are {_shown(have)}, this model's are {_shown(want)}")
    runs = existing.backend or existing.platform.partition("_")[0] or "not named"
    if runs != wanted.backend:
        found.append(f"its backend is {runs}, this model needs {wanted.backend}")
    if existing.name and existing.name != wanted.name:
        found.append(f"it is called {existing.name!r}, this model {wanted.name!r}")
    return found


def merged(existing: ModelConfig, wanted: ModelConfig) -> ModelConfig:
    """`existing` with our settings on top; what else people configured there stays."""
    result = type(existing)()
    result.CopyFrom(existing)
    result.max_batch_size = wanted.max_batch_size
    result.backend = wanted.backend
    del result.output[:]
    result.output.extend(wanted.output)
    return result


def _tensor_problems(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[str]:
    problems = []
    if not inputs or not outputs:
        problems.append("model.json does not describe its inputs and outputs")
    for tensor in [*inputs, *outputs]:
        if tensor.dtype not in TYPES:
            problems.append(f"{tensor.name}: type {tensor.dtype!r} is unknown to Triton")
        if len(tensor.shape) < 2 or tensor.shape[0] != -1:
            problems.append(
                f"{tensor.name}: shape {tensor.shape} does not begin with a free batch axis (-1)"
            )
    return problems


def _signature(tensors: Any) -> list[tuple[str, int, list[int]]]:
    return sorted((t.name, t.data_type, list(t.dims)) for t in tensors)


def _shown(signature: list[tuple[str, int, list[int]]]) -> str:
    from tritonclient.grpc import model_config_pb2 as protobuf

    texts = (f"{name} {protobuf.DataType.Name(kind)} {dims}" for name, kind, dims in signature)
    return ", ".join(texts) or "not given"
