"""Publishing SavedModels into a folder: layout, signature, refusals, versions, instances."""

import configparser
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from clip_bundles import CLASSES, FRAMES, SIZE, write_bundle
from triton_savedmodels import (
    CLIP,
    FEATURES,
    dense_tensor,
    outputs_of,
    write_evaluations,
    write_savedmodel_bundle,
)

from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.publication import Publication
from components.core.artifacts.task import Task
from components.core.errors import InputError, SettingsError
from components.core.formats import triton
from components.core.formats.model_config_ini import ModelConfigIni
from components.core.formats.savedmodel import serving_signature
from components.core.settings import build
from components.triton_publish.evaluated import Servable
from components.triton_publish.reference import random_batch, reference
from components.triton_publish.stage import STAGE, PublishSettings

PLOTS = {
    "actions_history.png": "training_history.png",
    "actions_training_confusion.png": "train_confusion.png",
    "actions_test_confusion.png": "confusion.png",
}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Keras models, a PyTorch one, and their evaluations."""
    folder = tmp_path_factory.mktemp("models")
    bundles = {
        "a": write_savedmodel_bundle(folder / "a", onnx=True),
        "b": write_savedmodel_bundle(folder / "b", seed=2, onnx=True),
        "two": write_savedmodel_bundle(folder / "two", several=True, onnx=True),
        "torch": write_bundle(folder / "torch"),
    }
    write_evaluations(folder, bundles)
    return folder


def publish(case, out, model="a", task=None, **settings):
    inputs = {"model": case / model, "evaluation": case / f"{model} evaluation"}
    STAGE.execute(
        PublishSettings(**settings),
        inputs | ({"task": task} if task else {}),
        {"published": out},
        out.parent / "state",
    )
    return Publication.load(out)


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def config_of(model):
    return triton.parse_config((model / "config.pbtxt").read_text(), "config")


def changed(case, target, model="a", **changes):
    """A copy of a model and its evaluation in which the index says something else."""
    shutil.copytree(case / model, target / model)
    shutil.copytree(case / f"{model} evaluation", target / f"{model} evaluation")
    ModelBundle.load(target / model).model_copy(update=changes).save(target / model)
    return target


def test_the_layout_is_that_of_savedmodels_in_triton(case, tmp_path):
    before = tree(case)
    repository = tmp_path / "repository"
    published = publish(case, tmp_path / "out", repository=str(repository))
    assert (published.model, published.version) == ("actions", 1)
    made = tree(repository / "actions")
    inside = {f"1/model.savedmodel/{name}" for name in tree(case / "a" / "model.savedmodel")}
    assets = {f"1/model.savedmodel/assets/{name}" for name in ("actions.config", *PLOTS)}
    version = {f"1/{name}" for name in ("model_card.json", "README.md", "actions.config")}
    assert set(made) == {"config.pbtxt", "labels.txt"} | inside | assets | version
    assert "1/model.savedmodel/saved_model.pb" in inside
    for asset, plot in PLOTS.items():
        have = made[f"1/model.savedmodel/assets/{asset}"]
        assert have == (case / "a evaluation" / plot).read_bytes()
    assert made["labels.txt"].decode().splitlines() == CLASSES
    assert made["1/model.savedmodel/assets/actions.config"] == made["1/actions.config"]
    assert tree(case) == before
    batch = {CLIP: np.random.default_rng(1).random((3, FRAMES, SIZE, SIZE, 3), np.float32)}
    served = outputs_of(repository / "actions" / "1" / "model.savedmodel", batch)
    expected = outputs_of(case / "a" / "model.savedmodel", batch)
    np.testing.assert_array_equal(served["dense"], expected["dense"])


def test_the_ini_file_reads_as_its_users_read_it(case, tmp_path):
    publish(case, tmp_path / "out", repository=str(tmp_path / "repository"))
    path = tmp_path / "repository/actions/1/model.savedmodel/assets/actions.config"
    parser = configparser.ConfigParser()
    parser.read(path)
    assert {name: dict(parser[name]) for name in parser.sections()} == {
        "PREDICTION": {
            "num_frames": str(FRAMES),
            "class_list": str(CLASSES),
            "height": str(SIZE),
            "width": str(SIZE),
            "input_name": CLIP,
            "output_name": "dense",
        },
        "TRAINING": {"epochs": "50", "shuffle_size": "300", "batch_size": "4"},
    }
    assert ModelConfigIni.parse(path.read_text()).class_list == CLASSES


@pytest.mark.parametrize("model", ["a", "two"])
def test_the_configuration_is_the_signature(case, tmp_path, model):
    publish(case, tmp_path / "out", model, repository=str(tmp_path / "repository"))
    config = config_of(tmp_path / "repository" / "actions")
    signature = serving_signature(case / model / "model.savedmodel")
    for have, want in ((config.input, signature.inputs), (config.output, signature.outputs)):
        assert {(t.name, t.data_type, tuple(t.dims)) for t in have} == {
            (t.name, {"float32": 11, "int32": 8}[t.dtype], tuple(t.shape[1:])) for t in want
        }
    assert (config.platform, config.backend) == ("tensorflow_savedmodel", "tensorflow")
    assert config.max_batch_size == 8
    assert config.HasField("dynamic_batching")
    labelled = [output.name for output in config.output if output.label_filename]
    assert labelled == ["dense"]
    if model == "two":
        assert [list(output.dims) for output in config.output] == [[FEATURES], [len(CLASSES)]]
        ini = tmp_path / "repository/actions/1/actions.config"
        assert ModelConfigIni.parse(ini.read_text()).output_name == "dense"


@pytest.mark.parametrize("model", ["a", "two"])
def test_the_reference_is_onnx_runtime_and_agrees_with_tensorflow(case, model):
    bundle = ModelBundle.load(case / model)
    place, path = case / model, case / model / "model.savedmodel"
    who, compute = reference(Servable(place, bundle, "savedmodel", path))
    alone = bundle.model_copy(update={"formats": {"savedmodel": "model.savedmodel"}})
    other, check = reference(Servable(place, alone, "savedmodel", path))
    assert (who, other) == ("onnxruntime", "TensorFlow")
    batch = random_batch(bundle, 3)
    assert {name: len(values) for name, values in batch.items()} == dict.fromkeys(batch, 3)
    found, expected = compute(batch), check(batch)
    assert set(found) == set(expected) == {tensor.name for tensor in bundle.outputs}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)


def test_an_onnx_file_with_other_names_is_no_reference(case, tmp_path):
    shutil.copytree(case / "a", tmp_path / "a")
    shutil.copyfile(case / "torch" / "model.onnx", tmp_path / "a" / "model.onnx")
    place, bundle = tmp_path / "a", ModelBundle.load(tmp_path / "a")
    who, _ = reference(Servable(place, bundle, "savedmodel", place / "model.savedmodel"))
    assert who == "TensorFlow"


def test_the_same_model_can_be_served_as_onnx(case, tmp_path):
    publish(case, tmp_path / "out", repository=str(tmp_path / "repository"), serve_as="onnx")
    model = tmp_path / "repository" / "actions"
    assert config_of(model).backend == "onnxruntime"
    assert {p.name for p in (model / "1").iterdir()} == {
        "model.onnx",
        "model_card.json",
        "README.md",
        "actions.config",
    }
    session = onnxruntime.InferenceSession(str(model / "1" / "model.onnx"))
    assert [t.name for t in session.get_inputs()] == [CLIP]


def test_a_format_that_the_model_lacks_is_refused(case, tmp_path):
    with pytest.raises(
        InputError, match=r"serve_as: .*savedmodel \(formats: onnx\).*auto and onnx"
    ):
        publish(case, tmp_path / "out", "torch", serve_as="savedmodel")
    alone = changed(case, tmp_path / "s", formats={"savedmodel": "model.savedmodel"})
    with pytest.raises(InputError, match=r"cannot be served as onnx .*auto and savedmodel"):
        publish(alone, tmp_path / "out", serve_as="onnx")
    none = changed(case, tmp_path / "k", formats={"keras": "model.keras"})
    with pytest.raises(InputError, match=r"no model that Triton serves \(formats: keras; needed"):
        publish(none, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_description_that_differs_from_the_signature_is_refused(case, tmp_path):
    bundle = ModelBundle.load(case / "a")
    wrong = {
        "inputs": [bundle.inputs[0].model_copy(update={"name": "clip"})],
        "outputs": [bundle.outputs[0].model_copy(update={"shape": [-1, 5], "dtype": "float64"})],
    }
    models = changed(case, tmp_path / "models", **wrong)
    repository = tmp_path / "repository"
    with pytest.raises(InputError) as caught:
        publish(models, tmp_path / "out", repository=str(repository))
    for words in (
        f"input {CLIP} is not in model.json",
        "model.json has the input clip",
        "output dense is float32 [-1, 4], in model.json float64 [-1, 5]",
    ):
        assert words in str(caught.value)
    assert not repository.exists()


def test_classes_that_no_output_gives_are_refused(case, tmp_path):
    models = changed(case, tmp_path / "models", classes=[*CLASSES, "still"])
    with pytest.raises(InputError, match="no output has an entry for each of the 5 classes"):
        publish(models, tmp_path / "out")


def test_plots_that_the_evaluation_lacks_are_left_out(case, tmp_path):
    models = changed(case, tmp_path / "models")
    (models / "a evaluation" / "train_confusion.png").unlink()
    publish(models, tmp_path / "out", repository=str(tmp_path / "repository"))
    assets = tmp_path / "repository/actions/1/model.savedmodel/assets"
    assert {path.name for path in assets.iterdir()} == {
        "actions.config",
        "actions_history.png",
        "actions_test_confusion.png",
    }


def test_assets_of_the_model_itself_are_kept_and_never_written_to(case, tmp_path):
    models = changed(case, tmp_path / "models")
    own = models / "a" / "model.savedmodel" / "assets"
    own.mkdir(exist_ok=True)
    for name in ("vocabulary.txt", "actions.config", "actions_history.png"):
        (own / name).write_text("the model's")
    publish(models, tmp_path / "out", repository=str(tmp_path / "repository"))
    assets = tmp_path / "repository/actions/1/model.savedmodel/assets"
    assert (assets / "vocabulary.txt").read_text() == "the model's"
    assert "[PREDICTION]" in (assets / "actions.config").read_text()
    assert {path.read_text() for path in own.iterdir()} == {"the model's"}


def test_versions_are_counted_reused_and_removed_as_of_onnx(case, tmp_path):
    repository = str(tmp_path / "repository")
    first = publish(case, tmp_path / "1", repository=repository)
    second = publish(case, tmp_path / "2", "b", repository=repository)
    again = publish(case, tmp_path / "3", repository=repository)
    assert [p.version for p in (first, second, again)] == [1, 2, 1]
    assert again.reused
    last = publish(case, tmp_path / "4", "b", repository=repository, keep_versions=1)
    assert (last.version, last.removed) == (2, [1])
    names = {path.name for path in Path(repository, "actions").iterdir()}
    assert names == {"2", "config.pbtxt", "labels.txt"}


@pytest.mark.parametrize(("first", "then"), [("onnx", "savedmodel"), ("savedmodel", "onnx")])
def test_another_format_under_a_published_name_is_refused(case, tmp_path, first, then):
    repository = tmp_path / "repository"
    publish(case, tmp_path / "1", repository=str(repository), serve_as=first)
    before = tree(repository)
    with pytest.raises(InputError) as caught:
        publish(case, tmp_path / "2", "b", repository=str(repository), serve_as=then)
    for words in ("backend is", f"serve_as={first}", "another model_name", "nothing was changed"):
        assert words in str(caught.value)
    assert tree(repository) == before
    assert not (tmp_path / "2").exists()


def test_another_kind_of_model_under_a_published_name_is_refused(case, tmp_path):
    repository = tmp_path / "repository"
    publish(case, tmp_path / "1", repository=str(repository))
    before = tree(repository)
    with pytest.raises(InputError) as caught:
        publish(case, tmp_path / "2", "two", repository=str(repository))
    assert "inputs are time_distributed_input TYPE_FP32" in str(caught.value)
    assert "features TYPE_FP32 [7]" in str(caught.value)
    with pytest.raises(InputError, match="backend is tensorflow, this model needs onnxruntime"):
        publish(case, tmp_path / "3", "torch", repository=str(repository), model_name="actions")
    assert tree(repository) == before


def test_a_model_that_others_published_goes_on_with_the_next_version(case, tmp_path):
    """With a platform and no backend, without labels and without model cards."""
    repository = tmp_path / "repository"
    publish(case, tmp_path / "1", repository=str(repository))
    model = repository / "actions"
    path = model / "config.pbtxt"
    path.write_text(path.read_text().replace('backend: "tensorflow"\n', ""))
    assert config_of(model).backend == ""
    (model / "labels.txt").unlink()
    for name in ("model_card.json", "README.md", "actions.config"):
        (model / "1" / name).unlink()
    published = publish(case, tmp_path / "2", repository=str(repository))
    assert published.version == 2
    assert config_of(model).backend == "tensorflow"
    assert (model / "labels.txt").is_file()


def test_instances_are_configured_and_stay_unless_others_are_asked_for(case, tmp_path):
    repository = tmp_path / "repository"
    settings = {"repository": str(repository)}
    asked = {"instances": 2, "instance_kind": "gpu", "instance_gpus": [0, 1]}
    publish(case, tmp_path / "1", **settings, **asked)
    (group,) = config_of(repository / "actions").instance_group
    assert (group.count, group.kind, list(group.gpus)) == (2, group.KIND_GPU, [0, 1])
    publish(case, tmp_path / "2", "b", **settings)
    assert list(config_of(repository / "actions").instance_group) == [group]
    publish(case, tmp_path / "3", "b", **settings, instance_kind="cpu")
    (other,) = config_of(repository / "actions").instance_group
    assert (other.count, other.kind, list(other.gpus)) == (0, other.KIND_CPU, [])


def test_wrong_instances_are_refused():
    with pytest.raises(SettingsError, match="instance_gpus: instances on the CPU take none"):
        build(PublishSettings, {"instance_kind": "cpu", "instance_gpus": [0]})
    with pytest.raises(SettingsError, match="instance_gpus: got \\[-1\\]"):
        build(PublishSettings, {"instance_gpus": [-1]})
    with pytest.raises(SettingsError, match="instances"):
        build(PublishSettings, {"instances": -1})


def test_a_task_names_the_model(case, tmp_path):
    task = tmp_path / "task"
    task.mkdir()
    Task.create("kitchen", {"model_name": "kitchen", "frame_size": 112}).save(task)
    repository = tmp_path / "repository"
    published = publish(case, tmp_path / "out", task=task, repository=str(repository))
    assert published.model == "kitchen"
    assets = repository / "kitchen" / "1" / "model.savedmodel" / "assets"
    assert (assets / "kitchen.config").is_file()
    assert json.loads((repository / "kitchen/1/model_card.json").read_text())["name"] == "kitchen"


@pytest.mark.parametrize(
    ("meaning", "said"), [("probabilities", "its output"), ("logits", "sigmoid of its output")]
)
def test_the_card_says_what_thresholds_are_compared_with(case, tmp_path, meaning, said):
    outputs = [dense_tensor().model_copy(update={"meaning": meaning})]
    models = changed(case, tmp_path / "models", outputs=outputs, multi_label=True)
    path = models / "a evaluation" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"thresholds": [0.5] * 4}))
    publish(models, tmp_path / "out")
    assert f"from the probability ({said}) of:" in (tmp_path / "out" / "README.md").read_text()
