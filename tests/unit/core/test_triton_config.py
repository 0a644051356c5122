"""Triton's config.pbtxt through its own protobuf message, and the INI file beside the model."""

import ast
import configparser

import pytest

from components.core.artifacts.model_bundle import Tensor
from components.core.errors import InputError
from components.core.formats import triton
from components.core.formats.model_config_ini import ModelConfigIni
from components.core.formats.triton import Instances

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


def test_every_input_and_output_is_kept_and_the_one_of_the_classes_is_labelled():
    both = [CLIP, Tensor(name="length", dtype="int64", shape=[-1, 1])]
    others = [
        Tensor(name="v", dtype="float16", shape=[-1, 4]),
        Tensor(name="any", dtype="float32", shape=[-1, -1, 26]),
        Tensor(name="text", dtype="string", shape=[-1, 2]),
    ]
    found = config(inputs=both, outputs=[*others, LOGITS])
    assert [t.name for t in found.input] == ["clip", "length"]
    assert [t.label_filename for t in found.output] == ["", "", "", "labels.txt"]
    assert list(found.output[1].dims) == [-1, 26]
    assert "data_type: TYPE_STRING" in triton.config_text(found)
    assert not any(t.label_filename for t in config(outputs=[LOGITS], classes=0).output)


def test_a_savedmodel_names_platform_and_backend():
    text = triton.config_text(config(kind="savedmodel"))
    assert 'platform: "tensorflow_savedmodel"' in text
    assert 'backend: "tensorflow"' in text
    assert "platform" not in triton.config_text(config())


@pytest.mark.parametrize(
    ("instances", "text"),
    [
        (Instances(2, "gpu", (0, 1)), "{ count: 2 kind: KIND_GPU gpus: [ 0, 1 ] }"),
        (Instances(3, "cpu"), "{ count: 3 kind: KIND_CPU }"),
        (Instances(gpus=(1,)), "{ kind: KIND_AUTO gpus: 1 }"),
        (Instances(kind="gpu"), "{ kind: KIND_GPU }"),
        (Instances(4), "{ count: 4 }"),
    ],
)
def test_instances_are_written_as_triton_reads_them(instances, text):
    wanted = triton.parse_config(f"instance_group [ {text} ]", "here").instance_group
    assert config(instances=instances).instance_group == wanted


def test_nothing_is_said_of_instances_that_were_not_asked_for():
    assert "instance_group" not in triton.config_text(config(instances=Instances()))


def test_impossible_instances_are_named_together():
    found = Instances(1, "cpu", (0, -1, 0)).problems()
    assert len(found) == 3
    assert all(line.startswith("instance_gpus: ") for line in found)
    assert Instances(1, "gpu", (0, 1)).problems() == []


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


def parsed(text, **changes):
    """A configuration of ours in which people changed how the model is run."""
    result = config(**changes)
    result.ClearField("backend")
    result.ClearField("platform")
    result.MergeFrom(triton.parse_config(text, "here"))
    return result


def test_a_platform_without_a_backend_is_what_others_write():
    wanted = config(kind="savedmodel")
    others = parsed('platform: "tensorflow_savedmodel"')
    assert triton.differences(others, wanted) == []
    assert triton.merged(others, wanted) == wanted
    others = parsed('platform: "onnxruntime_onnx"')
    assert triton.differences(others, config()) == []
    merged = triton.merged(others, config())
    assert (merged.platform, merged.backend) == ("onnxruntime_onnx", "onnxruntime")


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (
            'backend: "onnxruntime"',
            "savedmodel",
            "backend is onnxruntime, this model needs tensorflow",
        ),
        ('backend: "onnxruntime"', "savedmodel", "serve_as=onnx"),
        ('platform: "tensorflow_savedmodel"', "onnx", "serve_as=savedmodel"),
        ('platform: "tensorflow_graphdef"', "savedmodel", "platform is tensorflow_graphdef"),
        ('backend: "python"', "savedmodel", "backend is python"),
        ("", "savedmodel", "backend is not named"),
    ],
)
def test_another_backend_or_platform_is_a_difference(text, kind, said):
    (found,) = triton.differences(parsed(text), config(kind=kind))
    assert said in found


def test_what_people_configured_stays():
    text = triton.config_text(config()) + "instance_group [ { count: 2 kind: KIND_CPU } ]"
    result = triton.merged(triton.parse_config(text, "here"), config(max_batch_size=4))
    assert result.max_batch_size == 4
    assert result.instance_group[0].count == 2


def test_instances_that_are_asked_for_take_the_place_of_the_configured_ones():
    text = triton.config_text(config()) + "instance_group [ { count: 2 kind: KIND_CPU } ]"
    wanted = config(instances=Instances(1, "gpu"))
    result = triton.merged(triton.parse_config(text, "here"), wanted)
    assert result.instance_group == wanted.instance_group


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
    parser = configparser.ConfigParser()
    parser.read_string(ini().text())
    found = dict(parser["PREDICTION"])
    assert ast.literal_eval(found.pop("class_list")) == ["Other", "cooking", "50%", "it's"]
    assert found == {
        "num_frames": "20",
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
