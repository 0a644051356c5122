"""What exported networks take and give, and which of them only TensorRT runs."""

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import tao_fakes
from onnx import TensorProto, helper

from components.core.errors import InputError
from components.core.tao import graphs
from components.core.tao.bundles import input_size, size_problems
from components.core.tao.heads import HEADS
from components.core.tao.specs import parse


def model(path, operator="Relu", shape=("N", 3, 384, 1248), domain=""):
    image = helper.make_tensor_value_info("input_1", TensorProto.FLOAT, list(shape))
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, list(shape))
    node = helper.make_node(operator, ["input_1"], ["out"], domain=domain)
    graph = helper.make_graph([node], "one", [image], [out])
    onnx.save(helper.make_model(graph), path)
    return path


def test_dims_are_read_from_the_file_and_plugins_are_told(tmp_path):
    inputs, outputs, plugins = graphs.read(model(tmp_path / "a.onnx"))
    assert [(t.name, t.shape, t.layout, t.dtype) for t in inputs] == [
        ("input_1", [-1, 3, 384, 1248], "B,C,H,W", "float32")
    ]
    assert [t.shape for t in outputs] == [[-1, 3, 384, 1248]]
    assert plugins == []
    _, _, plugins = graphs.read(model(tmp_path / "b.onnx", "BatchedNMSDynamic_TRT"))
    assert plugins == ["BatchedNMSDynamic_TRT"]
    _, _, plugins = graphs.read(model(tmp_path / "c.onnx", "Own", domain="nvidia.com"))
    assert plugins == ["Own"]
    (tmp_path / "d.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match="no ONNX file"):
        graphs.read(tmp_path / "d.onnx")


def test_a_model_of_another_size_than_its_specification_is_told(tmp_path):
    inputs, _, _ = graphs.read(model(tmp_path / "a.onnx"))
    assert graphs.size_problem(inputs, 384, 1248) == ""
    told = graphs.size_problem(inputs, 300, 300)
    assert "1248 x 384" in told
    assert "300 x 300" in told


@pytest.mark.parametrize(
    ("head", "text", "size"),
    [
        ("ssd", "augmentation_config { output_width: 960 output_height: 544 }", (544, 960)),
        (
            "detectnet_v2",
            "augmentation_config { preprocessing { output_image_width: 1248 "
            "output_image_height: 384 } }",
            (384, 1248),
        ),
        (
            "faster_rcnn",
            "model_config { input_image_config { size_height_width { height: 544 width: 960 } } }",
            (544, 960),
        ),
    ],
)
def test_the_input_size_is_that_of_the_specification(head, text, size):
    assert input_size(HEADS[head], parse(text, Path("train.txt"))) == size


def test_a_size_that_detectnet_refuses_is_told_with_the_next_ones():
    text = "augmentation_config {\n preprocessing {\n  output_image_width: 1000\n }\n}"
    (told,) = size_problems(HEADS["detectnet_v2"], parse(text, Path("train.txt")))
    assert "train.txt:3" in told
    assert "use 992 or 1008" in told


@pytest.mark.parametrize("head", ["detectnet_v2", "ssd", "yolo_v4", "faster_rcnn"])
def test_engines_without_onnx_have_the_tensors_of_their_head(head, tmp_path):
    """The fakes' graphs were written down apart from the table that is tested."""
    path = tmp_path / "model.onnx"
    (tmp_path / "weights.hdf5").touch()
    spec = tmp_path / "train.txt"
    spec.write_text("output_height: 64 output_width: 96")
    graph = json.dumps(tao_fakes.GRAPHS[head])
    words = [
        head,
        "tf1",
        graph,
        "export",
        "-m",
        "weights.hdf5",
        "-o",
        "model.onnx",
        "-e",
        "train.txt",
    ]
    subprocess.run([sys.executable, tao_fakes.PROGRAM, *words], cwd=tmp_path, check=True)
    read = graphs.read(path)
    known = graphs.known(HEADS[head], parse("a: 1", Path("s.txt")), 64, 96, 3)
    assert [t.name for t in known[0]] == [t.name for t in read[0]]
    assert {t.name for t in known[1]} == {t.name for t in read[1]}
