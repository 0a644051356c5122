"""Publishing into a folder: layout, versions, refusals, killed and repeated publications."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import onnxruntime
import pytest
from clip_bundles import CLASSES, FRAMES, SIZE, write_bundle, write_clips, write_split

from components.core.artifacts.publication import Publication
from components.core.errors import InputError, ProblemsError, SettingsError
from components.core.formats import triton
from components.core.formats.model_config_ini import ModelConfigIni
from components.core.settings import build
from components.evaluate_clips.stage import STAGE as EVALUATE
from components.evaluate_clips.stage import EvaluateSettings
from components.triton_publish.stage import STAGE, PublishSettings


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Three models of one kind, one with other classes, and their evaluations."""
    folder = tmp_path_factory.mktemp("models")
    frames = write_clips(folder / "frames", [CLASSES[row % 4] for row in range(24)])
    write_split(folder / "split", frames, ["train", "test"] * 12)
    for name, scale in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        write_bundle(folder / name, scale=scale)
        evaluate(folder, name, "frames", "split")
    traits = write_clips(folder / "traits", [["down"], ["right"]] * 6, ["bright", "down", "right"])
    write_split(folder / "traits split", traits, ["train", "test"] * 6)
    write_bundle(folder / "multi", multi_label=True)
    evaluate(folder, "multi", "traits", "traits split", threshold="0.5")
    return folder


def evaluate(folder, model, frames, split, **settings):
    EVALUATE.execute(
        EvaluateSettings(bootstrap=50, baseline=False, **settings),
        {"model": folder / model, "frames": folder / frames, "split": folder / split},
        {"evaluation": folder / f"{model} evaluation"},
        folder / "state",
    )


def publish(case, out, model="a", evaluation="", **settings):
    STAGE.execute(
        PublishSettings(**settings),
        {"model": case / model, "evaluation": case / f"{evaluation or model} evaluation"},
        {"published": out},
        out.parent / "state",
    )
    return Publication.load(out)


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_repository_is_what_triton_and_its_users_expect(case, tmp_path):
    published = publish(case, tmp_path / "out", repository=str(tmp_path / "repository"))
    assert (published.version, published.reused) == (1, False)
    model = tmp_path / "repository" / "motion"
    assert set(tree(model)) == {
        "config.pbtxt",
        "labels.txt",
        "1/model.onnx",
        "1/model_card.json",
        "1/README.md",
        "1/motion.config",
    }
    assert (model / "labels.txt").read_text().splitlines() == CLASSES
    config = triton.parse_config((model / "config.pbtxt").read_text(), "config")
    session = onnxruntime.InferenceSession(str(model / "1" / "model.onnx"))
    assert config.input[0].name == session.get_inputs()[0].name
    assert list(config.input[0].dims) == session.get_inputs()[0].shape[1:]
    assert config.output[0].name == session.get_outputs()[0].name
    answer = session.run(None, {"clip": np.zeros((2, 3, FRAMES, SIZE, SIZE), np.float32)})
    assert answer[0].shape == (2, *config.output[0].dims)
    ini = ModelConfigIni.parse((model / "1" / "motion.config").read_text())
    assert ini == ModelConfigIni(FRAMES, CLASSES, SIZE, SIZE, "clip", "logits", 3, 0, 4)
    card = json.loads((model / "1" / "model_card.json").read_text())
    evaluated = json.loads((case / "a evaluation" / "metrics.json").read_text())
    assert card["evaluation"]["figures"] == evaluated["overall"]["model"]["figures"]
    assert card["classes"] == CLASSES
    text = (model / "1" / "README.md").read_text()
    assert "macro f1" in text
    assert "epochs: 3" in text
    assert (tmp_path / "out" / "README.md").read_text() == text


def test_without_a_repository_the_output_holds_one(case, tmp_path):
    published = publish(case, tmp_path / "out", model_name="other")
    folder = tmp_path / "out" / published.repository / "other"
    assert (folder / "1" / "model.onnx").is_file()
    assert 'name: "other"' in (folder / "config.pbtxt").read_text()


def test_another_model_takes_the_next_version_and_the_first_stays(case, tmp_path):
    repository = tmp_path / "repository"
    publish(case, tmp_path / "1", repository=str(repository))
    before = tree(repository)
    published = publish(case, tmp_path / "2", "b", repository=str(repository))
    assert published.version == 2
    after = tree(repository)
    assert {name: after[name] for name in before} == before
    assert after["motion/2/model.onnx"] == (case / "b" / "model.onnx").read_bytes()


def test_the_same_model_is_never_published_twice(case, tmp_path):
    repository = tmp_path / "repository"
    publish(case, tmp_path / "1", repository=str(repository))
    publish(case, tmp_path / "2", "b", repository=str(repository))
    before = tree(repository)
    again = publish(case, tmp_path / "3", repository=str(repository))
    assert (again.version, again.reused) == (1, True)
    assert tree(repository) == before


def test_keep_versions_removes_only_the_oldest_beyond_the_number(case, tmp_path):
    repository = tmp_path / "repository"
    for number, model in enumerate("abc"):
        published = publish(
            case, tmp_path / str(number), model, repository=str(repository), keep_versions=2
        )
    assert published.removed == [1]
    assert sorted(p.name for p in (repository / "motion").iterdir() if p.is_dir()) == ["2", "3"]
    # A version in use again is spared even when it is the oldest.
    spared = publish(case, tmp_path / "d", "b", repository=str(repository), keep_versions=1)
    assert (spared.version, spared.removed) == (2, [])


def test_versions_of_other_tools_are_counted_and_left_alone(case, tmp_path):
    other = tmp_path / "repository" / "motion" / "7"
    other.mkdir(parents=True)
    (other / "model.plan").write_text("engine")
    with pytest.raises(InputError, match=r"versions but no config\.pbtxt"):
        publish(case, tmp_path / "1", repository=str(tmp_path / "repository"))
    publish(case, tmp_path / "2", model_name="fresh", repository=str(tmp_path / "repository"))
    shutil.copy(tmp_path / "repository" / "fresh" / "labels.txt", other.parent)
    text = (tmp_path / "repository" / "fresh" / "config.pbtxt").read_text()
    (other.parent / "config.pbtxt").write_text(text.replace("fresh", "motion"))
    published = publish(case, tmp_path / "3", repository=str(tmp_path / "repository"))
    assert published.version == 8
    assert (other / "model.plan").read_text() == "engine"


def test_a_model_of_other_classes_is_refused_and_nothing_changes(case, tmp_path):
    repository = tmp_path / "repository"
    publish(case, tmp_path / "1", repository=str(repository))
    before = tree(repository)
    with pytest.raises(InputError) as caught:
        publish(case, tmp_path / "2", "multi", repository=str(repository), model_name="motion")
    for words in ("outputs are logits TYPE_FP32 [4]", "labels are others", "another model_name"):
        assert words in str(caught.value)
    assert tree(repository) == before
    assert not (tmp_path / "2").exists()


def test_labels_in_another_order_are_refused(case, tmp_path):
    repository = tmp_path / "repository"
    publish(case, tmp_path / "1", repository=str(repository))
    (repository / "motion" / "labels.txt").write_text("".join(f"{c}\n" for c in CLASSES[::-1]))
    with pytest.raises(InputError, match="in another order"):
        publish(case, tmp_path / "2", "b", repository=str(repository))


def test_hand_made_configuration_survives(case, tmp_path):
    repository = tmp_path / "repository"
    publish(case, tmp_path / "1", repository=str(repository))
    path = repository / "motion" / "config.pbtxt"
    path.write_text(path.read_text() + "instance_group [ { count: 3 kind: KIND_CPU } ]\n")
    publish(case, tmp_path / "2", "b", repository=str(repository), max_batch_size=4)
    config = triton.parse_config(path.read_text(), "config")
    assert (config.instance_group[0].count, config.max_batch_size) == (3, 4)


def test_the_evaluation_must_be_this_models(case, tmp_path):
    with pytest.raises(InputError, match="that of another model"):
        publish(case, tmp_path / "out", "a", "b")


def test_a_model_whose_own_name_cannot_be_used_asks_for_one(case, tmp_path):
    (tmp_path / "models").mkdir()
    shutil.copytree(case / "a evaluation", tmp_path / "models" / "odd evaluation")
    shutil.copytree(case / "a", tmp_path / "models" / "odd")
    path = tmp_path / "models" / "odd" / "model.json"
    path.write_text(path.read_text().replace('"name": "motion"', '"name": "my model"', 1))
    with pytest.raises(InputError, match="set model_name"):
        publish(tmp_path / "models", tmp_path / "out", "odd")


def test_wrong_settings_are_named_together():
    wrong = {"model_name": "a/b", "triton_url": "localhost:8000", "repository": "/models"}
    with pytest.raises(SettingsError) as caught:
        build(PublishSettings, wrong)
    assert "model_name: got 'a/b'" in str(caught.value)
    assert "http://host:port" in str(caught.value)
    with pytest.raises(SettingsError, match="set repository"):
        build(PublishSettings, {"triton_url": "http://triton:8000"})


def test_a_password_in_the_servers_address_is_refused_and_not_repeated():
    for given in ("http://me:hidden-word@triton:8000", "ftp://me:hidden-word@triton"):
        with pytest.raises(SettingsError, match="triton_url: it holds credentials") as caught:
            build(PublishSettings, {"triton_url": given, "repository": "/models"})
        assert "hidden-word" not in str(caught.value)
    build(PublishSettings, {"triton_url": "http://triton:8000/a@b", "repository": "/models"})


def test_a_repository_that_cannot_be_is_said_before_work(case, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ProblemsError, match="file is a file"):
        publish(case, tmp_path / "out", repository=str(tmp_path / "file" / "models"))


def test_a_killed_publication_leaves_no_half_version_and_is_not_repeated(case, tmp_path):
    """SIGKILL at many moments, then once more in peace: one whole version."""
    repository = tmp_path / "repository"
    command = [sys.executable, "-m", "components.triton_publish"]
    command += ["--model", str(case / "a"), "--evaluation", str(case / "a evaluation")]
    command += ["--repository", str(repository), "--state-dir", str(tmp_path / "state")]
    environment = {**os.environ, "TRAINYARD_RUN_ID": "one", "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    whole = [*command, "--published", str(tmp_path / "warm"), "--model-name", "warm"]
    subprocess.run(whole, env=environment, check=True, capture_output=True)
    usual = time.monotonic() - began
    for step in range(6):
        out = ["--published", str(tmp_path / "out")]
        process = subprocess.Popen(
            [*command, *out], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(usual * (0.4 + 0.12 * step))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for version in (repository / "motion").glob("[0-9]*"):
            assert {p.name for p in version.iterdir()} == {
                "model.onnx",
                "model_card.json",
                "README.md",
                "motion.config",
            }
    subprocess.run([*command, *out], env=environment, check=True, capture_output=True)
    assert [p.name for p in (repository / "motion").glob("[0-9]*")] == ["1"]
    assert Publication.load(tmp_path / "out").version == 1
