"""Projects: what is read, where files lie, and all that is wrong at once with file and line."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from components.core.errors import InputError, SettingsError
from components.core.tao import key
from components.core.tao.key import VARIABLE, Key
from components.core.tao.project import Project
from pipelines.demo_tao import EXPERIMENTS, write_project

SECRET = "tlt_encode"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("tao"))


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)


def project(folder: Path, experiments: str, **specs: str) -> Path:
    """A project with these experiments; `specs` are files of the experiment `e`."""
    place = folder / "projects" / "p"
    (place / "data" / "d" / "full" / "image_2").mkdir(parents=True)
    (place / "specs" / "e").mkdir(parents=True)
    (place / "experiments.yml").write_text(experiments, encoding="utf-8")
    for name, text in specs.items():
        (place / "specs" / "e" / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return place


def test_the_demo_is_sound_and_its_paths_exist(written: Path) -> None:
    found = Project.load(written)
    assert tuple(found.experiments) == EXPERIMENTS
    for experiment in found.experiments.values():
        tasks = ["train", "evaluate", "export"]
        tasks += [] if experiment.known_head.data == "coco" else ["convert"]
        assert experiment.problems(tasks) == []
    detectnet = found.experiment("detectnetv2_resnet18_01")
    text = detectnet.rendered("train").text
    weights = "pretrained_detectnet_v2/pretrained_detectnet_v2_vresnet18/resnet18.hdf5"
    assert f'pretrained_model_file: "{written.parents[1] / "repositories" / weights}"' in text
    assert "$" not in text
    assert detectnet.gpu_indices == (1,)
    assert detectnet.export_model == "detectnet_v2_resnet18_epoch_080"
    assert (detectnet.head, detectnet.export_type) == ("detectnet_v2", "fp16")


def test_records_lie_as_each_generation_has_them(tmp_path: Path) -> None:
    text = "experiments:\n  new: {head: dssd, dataset: d}\n  old: {head: dssd, dataset: d/full}\n"
    found = Project.load(project(tmp_path, text))
    data = found.folder / "data"
    assert found.experiment("new").records == data / "d" / "tfrecords_new"
    assert found.experiment("old").records == data / "tfrecords_old"


def test_placeholders_of_both_generations_in_one_specification(tmp_path: Path) -> None:
    train = 'a: "$dataset $dataset_raw" b: "$tfrecords $dataset_tfrecord" c: "$project/$experiment"'
    text = "experiments:\n  e: {head: dssd, dataset: d}\n"
    experiment = Project.load(project(tmp_path, text, train_txt=train)).experiment("e")
    root = experiment.rendered("train", records=Path("/records")).tree.root
    data = str(tmp_path / "projects/p/data/d")
    assert root == {"a": f"{data} {data}", "b": "/records /records", "c": "p/e"}


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = """\
tao_config:
  gpus: 2
  gpu_indices: [0]
  gpu_indexes: 3
experiments:
  e:
    head: dsd
    export_typ: fp16
    dataset: ../other
  f/1:
    head: retinanet
    export_type: fp17
    model_key: 12345
    export_model: weights/x.tlt
    release: 5.5.0-pyt
  g:
    color: red
"""
    (tmp_path / ".tao_mounts.json").write_text('{"Mounts": [{"source": "/x"}]}', encoding="utf-8")
    folder = project(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        Project.load(folder)
    file = folder / "experiments.yml"
    told = [problem.removeprefix(f"{file}:") for problem in caught.value.problems]
    expected = [
        (tmp_path / ".tao_mounts.json", "entry 1: expected source and destination"),
        (3, "tao_config.gpu_indices: [0] are not as many as gpus, which is 2"),
        (4, "tao_config.gpu_indexes: unknown name; did you mean 'gpu_indices'?"),
        (7, "experiments.e.head: got 'dsd', accepted are detectnet_v2, "),
        (8, "experiments.e.export_typ: unknown name; did you mean 'export_type'?"),
        (9, "experiments.e.dataset: '../other' leads out of the project"),
        (10, "experiments.f/1: the name becomes that of folders"),
        (12, "experiments.f/1.export_type: 'fp17' is none of fp32, fp16, int8"),
        (
            13,
            "experiments.f/1.model_key: expected a text (not shown: a model key); put it in quotes",
        ),
        (14, "experiments.f/1.export_model: 'weights/x.tlt': give the file's name"),
        (15, "experiments.f/1.release: retinanet runs with TensorFlow 1"),
        (10, "experiments.f/1.dataset: required but not given"),
        (16, "experiments.g.head: required but not given"),
        (16, "experiments.g.dataset: required but not given"),
    ]
    for line, words in expected:
        assert any(one.startswith(f"{line}:") and words in one for one in told), (line, words, told)
    assert len(told) == len(expected)


def test_what_has_no_effect_is_told_but_goes(tmp_path: Path) -> None:
    text = "experiments:\n  e:\n    head: dssd\n    dataset: d\n    comment: mine\n"
    found = Project.load(project(tmp_path, text))
    assert len(found.warnings) == 1
    assert "experiments.yml:5: experiments.e.comment has no effect" in found.warnings[0]


def test_gpus_of_an_experiment_go_before_those_of_all(tmp_path: Path) -> None:
    text = (
        "tao_config: {gpus: '2', gpu_indices: '0,1'}\n"
        "experiments:\n  a: {head: ssd, dataset: d}\n  b: {head: ssd, dataset: d, gpus: 4}\n"
    )
    found = Project.load(project(tmp_path, text)).experiments
    assert (found["a"].gpus, found["a"].gpu_indices) == (2, (0, 1))
    assert (found["b"].gpus, found["b"].gpu_indices) == (4, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("experiments: [a]\n", "expected `name: value` lines"),
        ("experiments:\n", "there are no experiments"),
        ("", "there are no experiments"),
        ("experiments:\n  e: {head: dssd\n", "experiments.yml:3: not valid YAML"),
        ("experiments:\n  e: 1\n  e: 2\n", "experiments.yml:3: .*e is there twice"),
    ],
)
def test_files_of_another_form(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Project.load(project(tmp_path, text))


def test_no_project_and_no_experiment(written: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no experiments\.yml"):
        Project.load(tmp_path)
    with pytest.raises(InputError, match="no experiment 'dssd_resnet18_1'; did you mean"):
        Project.load(written).experiment("dssd_resnet18_1")


def test_templates_placeholders_and_syntax_are_checked_together(tmp_path: Path) -> None:
    text = "experiments:\n  e: {head: dssd, dataset: d}\n"
    folder = project(tmp_path, text, train_txt='a: "$dataset_rw"\n$b')
    found = Project.load(folder).experiment("e").problems(["convert", "train"])
    assert len(found) == 3
    assert "holds no convert.txt or convert.yaml" in found[0]
    assert "train.txt:1: unknown placeholder $dataset_rw; did you mean '$dataset_raw'?" in found[1]
    assert "train.txt:2: unknown placeholder $b" in found[2]
    (folder / "specs/e/train.txt").write_text("a {\n", encoding="utf-8")
    found = Project.load(folder).experiment("e").problems(["train"])
    assert found == [
        f"{folder}/specs/e/train.txt:1: not valid protobuf text: the {{ of a is never closed"
    ]


def test_pretrained_weights_are_looked_for_only_where_they_are_used(tmp_path: Path) -> None:
    text = "experiments:\n  e: {head: retinanet, dataset: d, repository: r, backbone: resnet18}\n"
    folder = project(tmp_path, text, convert_txt="a: 1", train_txt='m: "$pretrained_model"')
    assert Project.load(folder).experiment("e").problems(["convert"]) == []
    (problem,) = Project.load(folder).experiment("e").problems(["train"])
    place = tmp_path / "repositories/r/r_vresnet18"
    assert f"{place} holds no pretrained weights" in problem
    assert "nvidia/tao/r:resnet18" in problem
    place.mkdir(parents=True)
    for name in ("b.hdf5", "a.hdf5", "c.tlt"):
        (place / name).touch()
    (problem,) = Project.load(folder).experiment("e").problems(["train"])
    assert "holds a.hdf5, b.hdf5: which one is meant cannot be told" in problem
    chosen = text.replace("resnet18}", "resnet18, pretrained_model: b.hdf5}")
    (folder / "experiments.yml").write_text(chosen, encoding="utf-8")
    assert Project.load(folder).experiment("e").pretrained() == place / "b.hdf5"


def test_paths_of_the_container_become_those_of_this_machine(tmp_path: Path) -> None:
    mounts = {
        "Mounts": [
            {"source": "~/elsewhere/projects", "destination": "/nowhere/projects"},
            {"source": str(tmp_path / "more"), "destination": "/nowhere/more/"},
        ],
        "Envs": [
            {"variable": "CUDA_VISIBLE_DEVICES", "value": "0"},
            {"variable": "DALI_DISABLE_NVML", "value": 1},
        ],
        "DockerOptions": {"shm_size": "16G"},
    }
    before = json.dumps(mounts)
    (tmp_path / ".tao_mounts.json").write_text(before, encoding="utf-8")
    (tmp_path / "more").mkdir()
    train = 'a: "/nowhere/projects/p/data/d" b: "/nowhere/more" c: "/nowhere/projects2/x"'
    text = "experiments:\n  e: {head: dssd, dataset: d}\n"
    found = Project.load(project(tmp_path, text, train_txt=train))
    root = found.experiment("e").rendered("train").tree.root
    assert root["a"] == str(found.folder / "data/d")
    assert root["b"] == str(tmp_path / "more")
    assert root["c"] == "/nowhere/projects2/x"
    assert found.layout.mounts.environment == {"DALI_DISABLE_NVML": "1"}
    assert "CUDA_VISIBLE_DEVICES=0 chooses GPUs of the host" in found.warnings[0]
    assert (tmp_path / ".tao_mounts.json").read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    "written",
    [
        "model_key: 987654321",
        "model_key: [s987654321]",
        "model_key: {a: s987654321}",
        "model_key: !!int s987654321",
        "model_key: !!int\n      s987654321",
        "model_key: !s987654321 x",
        "model_key: *s987654321",
        'model_key: "s987654321',
        "model_key: 2024-13-45 # 987654321",
        "model_key:s987654321",
        "model_key:s987654321: x",
        "model_key:s987654321: x\n    model_key:s987654321: y",
        "- model_key: s987654321",
    ],
)
@pytest.mark.parametrize("more", ["", "head: dssd\n    dataset: d\n    "])
def test_no_error_shows_a_model_key(tmp_path: Path, written: str, more: str) -> None:
    text = f"experiments:\n  e:\n    {more}{written}\n"
    with pytest.raises(SettingsError) as caught:
        found = Project.load(project(tmp_path, text))
        raise SettingsError(list(found.warnings), "warnings")
    told = str(caught.value)
    assert "experiments.yml:" in told
    for value in ("987654321", "2024", "month"):
        assert value not in told.replace(str(tmp_path), "")


def test_a_path_that_no_specification_could_hold(tmp_path: Path) -> None:
    text = "experiments:\n  e: {head: dssd, dataset: d}\n"
    with pytest.raises(SettingsError, match="a specification cannot hold #"):
        Project.load(project(tmp_path / "a#b", text))


def test_the_key_is_that_of_the_environment_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "experiments:\n  e:\n    head: dssd\n    dataset: d\n    model_key: other_word\n"
    folder = project(tmp_path, text)
    found = Project.load(folder)
    assert found.experiment("e").model_key.reveal() == SECRET
    assert f"experiments.yml:5: model_key is not that of {VARIABLE}" in found.warnings[0]
    monkeypatch.delenv(VARIABLE)
    found = Project.load(folder)
    model_key = found.experiment("e").model_key
    assert model_key.reveal() == "other_word"
    assert "experiments.yml:5: model_key is in plain text" in found.warnings[0]
    shown = f"{found!r} {model_key} {model_key!r} {found.warnings}"
    assert "other_word" not in shown
    assert model_key.hidden("-k other_word an_other_word_2") == f"-k ${VARIABLE} an_${VARIABLE}_2"
    with pytest.raises(TypeError, match="not written anywhere"):
        pickle.dumps(model_key)


def test_a_key_that_is_missing_matters_to_heads_that_encrypt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    text = (
        "experiments:\n  e: {head: dssd, dataset: d, model_key: $OF_GROUP}\n"
        "  f: {head: dssd, dataset: d}\n  g: {head: dino, dataset: d}\n"
    )
    found = Project.load(project(tmp_path, text))
    assert found.warnings == ()
    (first,) = found.experiment("e").problems([])
    (second,) = found.experiment("f").problems([])
    assert "experiments.yml:2: the environment variable OF_GROUP is not set" in first
    assert f"experiments.yml:3: f has no model key: set {VARIABLE}" in second
    assert found.experiment("g").problems([]) == []
    assert key.found("${OF_GROUP}", "x", {"OF_GROUP": "v"})[0] == Key("v")


def test_the_model_to_export_needs_no_suffix(tmp_path: Path) -> None:
    text = "experiments:\n  e: {head: dssd, dataset: d, export_model: x_epoch_080.tlt}\n"
    experiment = Project.load(project(tmp_path, text)).experiment("e")
    assert experiment.export_model == "x_epoch_080"
    assert experiment.with_model("y_epoch_001.hdf5").export_model == "y_epoch_001"
