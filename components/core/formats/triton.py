"""Triton Inference Server's model configuration (`config.pbtxt`) and repository layout.

Written and read through the server's own protobuf message, so that whatever is written parses.
Layout: https://docs.nvidia.com/deeplearning/triton-inference-server, "Model Repository".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from components.core.artifacts.model_bundle import Tensor
from components.core.errors import InputError

CONFIG = "config.pbtxt"
LABELS = "labels.txt"

Kind = Literal["auto", "gpu", "cpu"]
"""Where copies of a model run."""


@dataclass(frozen=True)
class Served:
    """How Triton serves a model of one format."""

    backend: str
    platform: str
    """'' where the backend alone says it."""
    graph: str
    """File or folder in a version's directory."""
    last: str
    """File in that directory whose presence says that the version is complete."""
    needs: str
    """What a server must have, for people."""


FORMATS = {
    "savedmodel": Served(
        "tensorflow",
        "tensorflow_savedmodel",
        "model.savedmodel",
        "model.savedmodel/saved_model.pb",
        "the tensorflow backend (in NVIDIA's images up to 25.02; newer ones need serve_as=onnx)",
    ),
    "tensorrt": Served(
        "tensorrt",
        "tensorrt_plan",
        "model.plan",
        "model.plan",
        "the tensorrt backend, in the version of TensorRT and on the kind of GPU that the engine "
        "was built for",
    ),
    "onnx": Served("onnxruntime", "", "model.onnx", "model.onnx", "the onnxruntime backend"),
}
"""Format of a ModelBundle → how it is served; the preferred one first."""

BACKENDS = {
    "onnxruntime_onnx": "onnxruntime",
    "pytorch_libtorch": "pytorch",
    "tensorflow_graphdef": "tensorflow",
    "tensorflow_savedmodel": "tensorflow",
    "tensorrt_plan": "tensorrt",
}
"""Platform, the older way to name one → backend."""

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
    "string": "TYPE_STRING",
    "object": "TYPE_STRING",
    "str": "TYPE_STRING",
}
"""numpy name → Triton's; text has several names."""

NUMBERS = "labels"
"""Meaning of an output that holds positions in the class list."""

UNLABELLED = ("boxes", "scores")
"""Meanings of a detector's other outputs; they may have as many entries as there are classes."""

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


@dataclass(frozen=True)
class Instances:
    """How many copies of a model run, and where; the defaults leave all of it to the server."""

    count: int = 0
    """Per GPU, or on the CPU; 0: as many as the server thinks right."""
    kind: Kind = "auto"
    gpus: tuple[int, ...] = ()
    """Numbers of the GPUs; none: all that the server sees."""

    @property
    def given(self) -> bool:
        """Whether anything was asked for."""
        return self != Instances()

    def problems(self) -> list[str]:
        """What no server can do, by the names of the settings."""
        found = []
        if self.kind == "cpu" and self.gpus:
            found.append("instance_gpus: instances on the CPU take none; set instance_kind to gpu")
        if wrong := [number for number in self.gpus if number < 0]:
            found.append(f"instance_gpus: got {wrong}, GPUs are numbered from 0")
        if len(set(self.gpus)) < len(self.gpus):
            found.append(f"instance_gpus: got {list(self.gpus)}, give each GPU once")
        return found


def model_config(
    name: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    *,
    max_batch_size: int,
    classes: int,
    kind: str = "onnx",
    instances: Instances = Instances(),
) -> ModelConfig:
    """The configuration of a model whose first axis is the batch.

    Args:
        name: of the model; its folder must be called the same.
        inputs: with the batch axis first, which is -1 (dynamic).
        outputs: likewise.
        max_batch_size: largest batch that Triton forms out of waiting requests.
        classes: number of lines in `labels.txt`, which names the entries of each output that has
            as many for a clip, or that holds numbers of classes; 0 for no labels.
        kind: one of FORMATS.
        instances: copies of the model.

    Raises:
        InputError: no inputs or outputs, a fixed batch axis, or a type that Triton lacks.
    """
    from tritonclient.grpc import model_config_pb2 as protobuf

    if problems := _tensor_problems(inputs, outputs):
        raise InputError("\n  - ".join(["the model cannot be served by Triton:", *problems]))
    served = FORMATS[kind]
    config = protobuf.ModelConfig(
        name=name,
        backend=served.backend,
        platform=served.platform,
        max_batch_size=max_batch_size,
    )
    for tensor in inputs:
        config.input.add(
            name=tensor.name,
            data_type=protobuf.DataType.Value(TYPES[tensor.dtype]),
            dims=tensor.shape[1:],
        )
    for tensor in outputs:
        config.output.add(
            name=tensor.name,
            data_type=protobuf.DataType.Value(TYPES[tensor.dtype]),
            dims=tensor.shape[1:],
            label_filename=LABELS if is_labelled(tensor, classes) else "",
        )
    config.dynamic_batching.SetInParent()
    if instances.given:
        place = f"KIND_{instances.kind.upper()}"
        config.instance_group.add(
            count=instances.count,
            kind=protobuf.ModelInstanceGroup.Kind.Value(place),
            gpus=instances.gpus,
        )
    return config


def is_labelled(output: Tensor, classes: int) -> bool:
    """Whether an output has an entry per class, or gives their numbers; of unknown size neither."""
    if output.meaning in UNLABELLED:
        return False
    if output.meaning == NUMBERS:
        return classes > 0
    sizes = output.shape[1:]
    return classes > 0 and min(sizes, default=0) > 0 and prod(sizes) == classes


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
    if problem := _backend_difference(existing, wanted):
        found.append(problem)
    if existing.name and existing.name != wanted.name:
        found.append(f"it is called {existing.name!r}, this model {wanted.name!r}")
    return found


def merged(existing: ModelConfig, wanted: ModelConfig) -> ModelConfig:
    """`existing` with our settings on top; what else people configured there stays.

    That goes for their instance groups too, unless `wanted` has some.
    """
    result = type(existing)()
    result.CopyFrom(existing)
    result.max_batch_size = wanted.max_batch_size
    result.backend = wanted.backend
    result.platform = wanted.platform or existing.platform
    del result.output[:]
    result.output.extend(wanted.output)
    if wanted.instance_group:
        del result.instance_group[:]
        result.instance_group.extend(wanted.instance_group)
    return result


def _backend_difference(existing: ModelConfig, wanted: ModelConfig) -> str:
    """An existing model may be named by its platform only, ours by its backend only."""
    backend = existing.backend or BACKENDS.get(existing.platform, existing.platform)
    if backend != wanted.backend:
        formats = {served.backend: kind for kind, served in FORMATS.items()}
        hint = f"; serve_as={formats[backend]} asks for that one" if backend in formats else ""
        return f"its backend is {backend or 'not named'}, this model needs {wanted.backend}{hint}"
    if existing.platform and wanted.platform and existing.platform != wanted.platform:
        return f"its platform is {existing.platform}, this model needs {wanted.platform}"
    return ""


def _tensor_problems(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[str]:
    problems = []
    if not inputs or not outputs:
        problems.append("model.json does not describe its inputs and outputs")
    for tensor in [*inputs, *outputs]:
        if tensor.dtype not in TYPES:
            problems.append(f"{tensor.name}: type {tensor.dtype!r} is unknown to Triton")
        if len(tensor.shape) < 2 or tensor.shape[0] != -1:
            problems.append(
                f"{tensor.name}: shape {tensor.shape} is no free batch axis (-1) with others behind"
            )
    return problems


def _signature(tensors: Any) -> list[tuple[str, int, list[int]]]:
    return sorted((t.name, t.data_type, list(t.dims)) for t in tensors)


def _shown(signature: list[tuple[str, int, list[int]]]) -> str:
    from tritonclient.grpc import model_config_pb2 as protobuf

    texts = (f"{name} {protobuf.DataType.Name(kind)} {dims}" for name, kind, dims in signature)
    return ", ".join(texts) or "not given"
