"""The data set is looked through before anything is started: every kind of problem, all at once."""

import json
import shutil

import pytest
import tao_fakes

from components.core.tao.dataset import clean_copy, content
from components.tao_convert.converting import look
from components.tao_convert.stage import STAGE, ConvertSettings
from pipelines.demo_tao import write_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("TAO_PATH", f"{tao_fakes.install(tmp_path / 'bin')}:/usr/bin:/bin")
    monkeypatch.setenv("TRAINYARD_TAO_KEY", "tlt_encode")
    return write_project(tmp_path / "work")


def told(project, experiment):
    settings = ConvertSettings(project=str(project), experiment=experiment)
    return [str(problem) for problem in STAGE.check(settings)]


def test_a_sound_project_has_no_problems(project):
    for experiment in ("dssd_resnet18_01", "detectnetv2_resnet18_01", "dino_fan_01"):
        assert told(project, experiment) == []


def test_an_image_of_the_conversion_without_labels_is_told(project):
    labels = sorted((project / "data" / "kitti_detection" / "full" / "label_2").glob("*.txt"))
    labels[3].unlink()
    (problem,) = told(project, "dssd_resnet18_01")
    assert "1 images have no label file" in problem
    assert f"{labels[3].stem}.png" in problem


def test_folders_that_a_conversion_names_must_be_there(project):
    spec = project / "specs" / "dssd_resnet18_01" / "convert.txt"
    spec.write_text(spec.read_text().replace('"image_2"', '"images"'))
    (problem,) = told(project, "dssd_resnet18_01")
    assert f"{spec}:4: kitti_config.image_dir_name" in problem


def test_folders_without_labels_are_left_out(project, tmp_path):
    folder = project / "data" / "kitti_detection"
    before = content(folder)
    full = folder / "full"
    for name in ("notes", ".cache", "__MACOSX/full/label_2", "..split.partial-1/train/label_2"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.txt").write_text("no label")
    (folder / ".cache" / "label_2").mkdir()
    (folder / "empty").mkdir()
    assert told(project, "dssd_resnet18_01") == []
    shutil.rmtree(folder / "notes")
    assert content(folder) == before

    shutil.copytree(full / "image_2", folder / "test" / "image_2")
    (folder / "test" / "readme.txt").write_text("images of the test")
    settings = ConvertSettings(project=str(project), experiment="dssd_resnet18_01")
    found = look(settings)
    assert found.problems == []
    images = len(list((full / "image_2").iterdir()))
    assert f"{folder / 'test'}: {images} images without labels: left out" in found.notes

    spec = project / "specs" / "dssd_resnet18_01" / "convert.txt"
    spec.write_text(spec.read_text().replace("$dataset/full", "$dataset/test"))
    (folder / "test" / "label_2").mkdir()
    (problem,) = told(project, "dssd_resnet18_01")
    assert f"{folder / 'test'} holds no label files" in problem


def test_coco_documents_are_looked_through(project):
    document = project / "data" / "coco_detection" / "val" / "annotations.json"
    content = json.loads(document.read_text())
    content["annotations"][0]["category_id"] = 99
    document.write_text(json.dumps(content))
    spec = project / "specs" / "dino_fan_01" / "train.yaml"
    spec.write_text(spec.read_text().replace("train/annotations.json", "train/labels.json"))
    problems = told(project, "dino_fan_01")
    assert any("dataset.train_data_sources" in problem for problem in problems)
    assert any(str(document) in problem for problem in problems)


def test_content_changes_with_images_and_labels_but_not_with_records(project):
    folder = project / "data" / "kitti_detection"
    before = content(folder)
    records = folder / "tfrecords_one"
    records.mkdir()
    (records / "tfrecord-0").write_text("records")
    assert content(folder) == before
    label = next((folder / "full" / "label_2").glob("*.txt"))
    label.write_text(label.read_text() + "\n")
    assert content(folder) != before


def test_a_byte_order_mark_needs_a_copy(project):
    labels = sorted((project / "data" / "kitti_detection" / "full" / "label_2").glob("*.txt"))
    settings = ConvertSettings(project=str(project), experiment="dssd_resnet18_01")
    before = look(settings)
    assert before.marked == 0
    label = max(labels, key=lambda path: path.stat().st_size)
    label.write_text(label.read_text(), encoding="utf-8-sig")
    found = look(settings)
    assert (found.marked, found.scores, found.problems) == (1, 0, [])
    assert found.classes == before.classes
    assert any(f"{label}: a byte order mark" in note for note in found.notes)


def test_a_copy_keeps_every_line_and_cuts_only_the_score(project, tmp_path):
    folder = project / "data" / "kitti_detection"
    label = max((folder / "full" / "label_2").glob("*.txt"), key=lambda p: p.stat().st_size)
    lines = label.read_text().splitlines()
    text = "\n".join(f"{line} 0.5" for line in lines) + "\n"
    label.write_text(text, encoding="utf-8-sig")
    clean_copy(folder, tmp_path / "copy")
    copied = tmp_path / "copy" / label.relative_to(folder)
    assert copied.read_text(encoding="utf-8").splitlines() == lines
    assert len(lines) > 1
    names = {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()}
    assert {p.relative_to(tmp_path / "copy") for p in (tmp_path / "copy").rglob("*.*")} == names
