"""The serving signature of real SavedModels, and what in them cannot be served."""

import sys

import pytest
from triton_savedmodels import clip_tensor, dense_tensor, tensorflow, write_savedmodel_bundle

from components.core.artifacts.model_bundle import Tensor
from components.core.errors import InputError, TrainyardError
from components.core.formats.savedmodel import serving_signature, signature_differences


def export(folder, function, *specs, **options):
    """Saves a function with these inputs as the serving signature."""
    tf = tensorflow()
    module = tf.Module()
    module.f = tf.function(function, input_signature=specs)
    concrete = module.f.get_concrete_function()
    tf.saved_model.save(module, str(folder), signatures=concrete, **options)
    return folder


def edited(folder, change):
    """Changes the message in `saved_model.pb`."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(saved)
    path.write_bytes(saved.SerializeToString())
    return folder


@pytest.fixture
def simple(tmp_path):
    tf = tensorflow()
    return export(tmp_path / "simple", lambda x: {"y": x}, tf.TensorSpec([None, 3], name="x"))


def test_a_keras_model_is_read_with_all_its_inputs_and_outputs(tmp_path):
    bundle = write_savedmodel_bundle(tmp_path / "bundle", several=True)
    found = serving_signature(tmp_path / "bundle" / "model.savedmodel")
    for have, want in ((found.inputs, bundle.inputs), (found.outputs, bundle.outputs)):
        plain = {(tensor.name, tensor.dtype, tuple(tensor.shape)) for tensor in want}
        assert {(tensor.name, tensor.dtype, tuple(tensor.shape)) for tensor in have} == plain
        assert len(have) == 2
    assert signature_differences(found, bundle.inputs, bundle.outputs) == []


def test_text_other_types_and_axes_of_any_size(tmp_path):
    tf = tensorflow()
    specs = [
        tf.TensorSpec([None, None, 2], tf.float16, name="half"),
        tf.TensorSpec([None, 1], tf.string, name="words"),
        tf.TensorSpec([None, 1], tf.bool, name="flag"),
        tf.TensorSpec([None, 1], tf.uint8, name="bytes"),
    ]
    folder = export(
        tmp_path / "m",
        lambda half, words, flag, bytes: {"a": tf.cast(half, tf.float64), "b": words},
        *specs,
    )
    found = serving_signature(folder)
    assert [(t.name, t.dtype, t.shape) for t in found.inputs] == [
        ("bytes", "uint8", [-1, 1]),
        ("flag", "bool", [-1, 1]),
        ("half", "float16", [-1, -1, 2]),
        ("words", "string", [-1, 1]),
    ]
    assert [(t.name, t.dtype) for t in found.outputs] == [("a", "float64"), ("b", "string")]
    said = [Tensor(name="b", dtype="object", shape=[-1, 1]), *found.outputs[:1]]
    assert signature_differences(found, found.inputs, said) == []


def test_every_difference_from_model_json_is_listed(simple):
    found = signature_differences(serving_signature(simple), [clip_tensor()], [dense_tensor()])
    assert found == [
        "input x is not in model.json",
        "model.json has the input time_distributed_input",
        "model.json has the output dense",
        "output y is not in model.json",
    ]
    said = Tensor(name="x", dtype="float64", shape=[-1, 4])
    (one, _, _) = signature_differences(serving_signature(simple), [said], [dense_tensor()])
    assert one == "input x is float32 [-1, 3], in model.json float64 [-1, 4]"


def test_unknown_numbers_of_axes_are_refused_together(tmp_path):
    tf = tensorflow()
    specs = [tf.TensorSpec(None, tf.float32, name=name) for name in ("one", "two")]
    folder = export(tmp_path / "m", lambda one, two: {"y": one + two}, *specs)
    with pytest.raises(InputError) as caught:
        serving_signature(folder)
    for name in ("one", "two", "y"):
        assert f"the number of axes of {name} is unknown" in str(caught.value)


def test_sparse_tensors_are_refused(simple):
    def sparse(saved):
        info = saved.meta_graphs[0].signature_def["serving_default"].inputs["x"]
        info.coo_sparse.values_tensor_name = "x:0"

    with pytest.raises(InputError, match="x is sparse"):
        serving_signature(edited(simple, sparse))


def test_a_model_without_a_serving_signature_is_refused(tmp_path):
    tf = tensorflow()
    tf.saved_model.save(tf.Module(), str(tmp_path / "m"))
    with pytest.raises(InputError, match="no signature 'serving_default'"):
        serving_signature(tmp_path / "m")


def test_of_several_graphs_the_one_for_serving_is_read(simple):
    def train(saved):
        other = saved.meta_graphs.add()
        other.CopyFrom(saved.meta_graphs[0])
        other.meta_info_def.tags[:] = ["serve", "gpu"]
        del other.signature_def["serving_default"].inputs["x"]

    found = serving_signature(edited(simple, train))
    assert [tensor.name for tensor in found.inputs] == ["x"]


@pytest.mark.parametrize(
    ("tags", "said"), [(["train"], "0 graphs tagged 'serve'"), (["serve"], "2 graphs tagged")]
)
def test_no_or_several_graphs_for_serving_are_refused(simple, tags, said):
    def change(saved):
        if tags == ["serve"]:
            saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0])
        saved.meta_graphs[0].meta_info_def.tags[:] = tags

    with pytest.raises(InputError, match=said):
        serving_signature(edited(simple, change))


def test_what_is_no_savedmodel_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no saved_model\.pb"):
        serving_signature(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"no message")
    tensorflow()
    with pytest.raises(InputError, match="is damaged"):
        serving_signature(tmp_path)


def test_without_tensorflow_the_fix_is_said(tmp_path, monkeypatch):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "tensorflow.core.protobuf", None)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(TrainyardError, match=r"pip install 'trainyard\[tensorflow\]'"):
        serving_signature(tmp_path)
