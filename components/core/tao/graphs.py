"""What an exported network takes and gives: read from its ONNX file, or known by its head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.core.artifacts.model_bundle import Tensor
from components.core.errors import InputError, TrainyardError
from components.core.tao.heads import Head
from components.core.tao.specs import SpecTree, lookup

NMS_HEADS = ("ssd", "dssd", "retinanet", "faster_rcnn")
YOLO_HEADS = ("yolo_v3", "yolo_v4", "yolo_v4_tiny")
TOP = 200
"""Boxes that NMS keeps where the specification does not say."""

STRIDE = 16
"""Pixels of the input behind a cell of DetectNet_v2's output."""


def read(path: Path) -> tuple[list[Tensor], list[Tensor], list[str]]:
    """Inputs, outputs, and the operators that only TensorRT has (its plugins).

    A batch axis of any size is -1.

    Raises:
        InputError: not an ONNX file.
    """
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's and onnx's own, which have no common class
        raise InputError(f"{path} is no ONNX file: {error}") from None
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [_tensor(value) for value in model.graph.input if value.name not in weights]
    outputs = [_tensor(value) for value in model.graph.output]
    used = {(node.op_type, node.domain) for node in model.graph.node}
    standard = ("", "ai.onnx", "ai.onnx.ml")
    plugins = sorted(
        name
        for name, domain in used
        if domain not in standard
        or not onnx.defs.has(name, domain if domain == standard[2] else "")
    )
    return [_described(tensor) for tensor in inputs], outputs, plugins


def _tensor(value: Any) -> Tensor:
    import onnx

    kind = value.type.tensor_type
    shape = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    return Tensor(name=value.name, dtype=dtype, shape=[size or -1 for size in shape])


def _described(tensor: Tensor) -> Tensor:
    if len(tensor.shape) != 4:
        return tensor
    layout = "B,C,H,W" if tensor.shape[1] in (1, 3) else "B,H,W,C"
    return tensor.model_copy(update={"layout": layout})


def size_problem(inputs: list[Tensor], height: int, width: int) -> str:
    """Why inputs are not of the specification's size; '' where they are, or it names none."""
    for tensor in inputs:
        axes = tensor.layout.split(",")
        if "H" not in axes or not height or not width:
            continue
        found = tensor.shape[axes.index("H")], tensor.shape[axes.index("W")]
        if -1 not in found and found != (height, width):
            return (
                f"the exported model takes images of {found[1]} x {found[0]} pixels, the "
                f"specification says {width} x {height}; export it with the specification that it "
                "was trained with"
            )
    return ""


def known(
    head: Head, spec: SpecTree, height: int, width: int, classes: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of an engine that no ONNX file describes (TensorFlow 1 before 5.0).

    From memory of NVIDIA's exporters.

    Raises:
        TrainyardError: they are not known for this head.
    """
    top = int(lookup(spec, "nms_config.top_k", 0) or TOP)
    if head.name == "detectnet_v2":
        cells = [height // STRIDE, width // STRIDE]
        name = "input_1"
        outputs = {
            "output_bbox/BiasAdd": [4 * classes, *cells],
            "output_cov/Sigmoid": [classes, *cells],
        }
    elif head.name in NMS_HEADS:
        name = "input_image" if head.name == "faster_rcnn" else "Input"
        outputs = {"NMS": [1, top, 7], "NMS_1": [1, 1, 1]}
    elif head.name in YOLO_HEADS:
        name = "Input"
        outputs = {"BatchedNMS": [1], "BatchedNMS_1": [top, 4]}
        outputs |= {"BatchedNMS_2": [top], "BatchedNMS_3": [top]}
    else:
        raise TrainyardError(f"inputs and outputs of an engine of {head.name} are not known")
    whole = ("BatchedNMS",)
    taken = Tensor(name=name, dtype="float32", shape=[-1, 3, height, width], layout="B,C,H,W")
    made = [
        Tensor(name=key, dtype="int32" if key in whole else "float32", shape=[-1, *shape])
        for key, shape in outputs.items()
    ]
    return [taken], made
