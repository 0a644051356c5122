"""Triton's config.pbtxt through its own protobuf message, and the INI file beside the model."""

import configparser

import pytest

from components.core.artifacts.model_bundle import Tensor
from components.core.errors import InputError
from components.core.formats import triton
from components.core.formats.model_config_ini import ModelConfigIni

CLIP = Tensor(name="clip", dtype="float32", shape=[-1, 3, 32, 112, 112])
LOGITS = Tensor(name="logits", dtype="float32", shape=[-1, 26])


def config(**changes):
    given = {"inputs": [CLIP], "outputs": [LOGITS], "max_batch_size": 8, "classes": 26}
    given |= changes
    return triton.model_config("i3d", given.pop("inputs"), given.pop("outputs"), **given)


def test_the_text_says_what_triton_needs():
    text = triton.config_text(config())
    for line in (
        'name: "i3d"',
        'backend: "onnxruntime"',
        "max_batch_size: 8",
        "data_type: TYPE_FP32",
        'label_filename: "labels.txt"',
        "dynamic_batching {",
    ):
        assert line in text
    found = triton.parse_config(text, "here")
    assert list(found.input[0].dims) == [3, 32, 112, 112]  # without the batch
    assert list(found.output[0].dims) == [26]
    assert found.HasField("dynamic_batching")


def test_every_input_and_output_is_kept():
    both = [CLIP, Tensor(name="length", dtype="int64", shape=[-1, 1])]
    found = config(inputs=both, outputs=[LOGITS, Tensor(name="v", dtype="float16", shape=[-1, 4])])
    assert [t.name for t in found.input] == ["clip", "length"]
    assert [t.label_filename for t in found.output] == ["labels.txt", ""]


def test_what_cannot_be_served_is_named_together():
    odd = Tensor(name="clip", dtype="complex64", shape=[4, 3])
    with pytest.raises(InputError) as caught:
        config(inputs=[odd])
    assert "complex64" in str(caught.value)
    assert "batch axis" in str(caught.value)
    with pytest.raises(InputError, match="does not describe"):
        config(inputs=[])


def test_differences_that_break_clients():
    assert triton.differences(config(), config(max_batch_size=2)) == []
    wider = config(outputs=[Tensor(name="logits", dtype="float32", shape=[-1, 27])])
    (found,) = triton.differences(config(), wider)
    assert "[26]" in found
    assert "[27]" in found
    old = triton.parse_config('name: "i3d" platform: "tensorflow_savedmodel"', "here")
    assert any("tensorflow" in line for line in triton.differences(old, config()))


def test_what_people_configured_stays():
    text = triton.config_text(config()) + "instance_group [ { count: 2 kind: KIND_CPU } ]"
    result = triton.merged(triton.parse_config(text, "here"), config(max_batch_size=4))
    assert result.max_batch_size == 4
    assert result.instance_group[0].count == 2


def test_text_that_is_no_configuration_is_refused():
    with pytest.raises(InputError, match="somewhere is not a Triton"):
        triton.parse_config("name = 'x'", "somewhere")


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b", "x" * 129, "é"])
def test_names_that_cannot_be_folders_are_refused(name):
    assert "accepted are" in triton.name_problem(name)


@pytest.mark.parametrize("name", ["i3d", "I3D_32x112.v2", "3d-net"])
def test_ordinary_names_are_fine(name):
    assert triton.name_problem(name) == ""


def ini():
    return ModelConfigIni.of(
        {"frames": 20, "size": 224},
        {"epochs": 50, "shuffle_size": 300, "batch_size": 4},
        ["Other", "cooking", "50%", "it's"],
        "clip",
        "logits",
    )


def test_the_ini_file_reads_as_its_users_read_it():
    """With configparser and a Python list as text, in the order of the outputs."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(ini().text())
    assert dict(parser["PREDICTION"]) == {
        "num_frames": "20",
        "class_list": """['Other', 'cooking', '50%', "it's"]""",
        "height": "224",
        "width": "224",
        "input_name": "clip",
        "output_name": "logits",
    }
    assert dict(parser["TRAINING"]) == {"epochs": "50", "shuffle_size": "300", "batch_size": "4"}


def test_the_ini_file_comes_back_as_it_was():
    assert ModelConfigIni.parse(ini().text()) == ini()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[PREDICTION]\nnum_frames=1",
        "no ini",
        ini().text().replace("['Other'", "__import__('os')"),
    ],
)
def test_a_damaged_ini_file_is_refused_and_never_executed(text):
    with pytest.raises(InputError, match="damaged"):
        ModelConfigIni.parse(text)


def test_a_model_without_clip_geometry_is_refused():
    with pytest.raises(InputError, match="frames and size"):
        ModelConfigIni.of({}, {}, [], "a", "b")
