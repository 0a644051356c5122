"""The evaluation of a detector whose findings are known."""

import csv
import inspect
import json
import re

import numpy as np
import pytest
from detector_cases import CLASSES, write_case
from PIL import Image

from components.core.artifacts.detection_evaluation import (
    CONFUSION,
    DetectionEvaluation,
    DetectionMetrics,
)
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split
from components.core.detection.results import Detections
from components.core.errors import InputError
from components.core.metrics.detection import coco_figures
from components.core.metrics.detection_truth import truth_of
from components.core.settings import problems
from components.evaluate_detections.evaluating import run
from components.evaluate_detections.stage import STAGE, EvaluateSettings


def pixels(path):
    return np.asarray(Image.open(path))


def evaluated(case, **settings):
    """Runs the stage's work; (index, metrics, job)."""
    job = case.job()
    run(EvaluateSettings(**settings), job, case.open, pixels)
    place = job.outputs["evaluation"]
    return DetectionEvaluation.load(place), DetectionMetrics.read(place), job


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return write_case(tmp_path_factory.mktemp("case"))


@pytest.fixture(scope="module")
def done(case):
    return evaluated(case, bootstrap=50)


def rows_of(job, name):
    with open(job.outputs["evaluation"] / name, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_figures_are_cocos_of_the_evaluated_part(case, done):
    evaluation, metrics, _ = done
    images = [i for i in case.dataset.images(case.inputs["dataset"]) if i.name[:4] == "test"]
    coco = coco_figures(
        [truth_of(image, CLASSES) for image in images],
        [case.found[image.name] for image in images],
        CLASSES,
    )
    assert evaluation.part == "test"
    assert evaluation.images == len(images) == 18
    for name, value in coco.values.items():
        assert evaluation.figures.get(name) == value
    assert [own.ap for own in metrics.classes] == [own.ap for own in coco.classes]
    assert evaluation.figures == metrics.figures
    for name in ("map", "map50", "ar100", "macro_f1"):
        low, high = metrics.intervals[name]
        assert low < metrics.figures[name] < high
    assert {own.name: own.annotations for own in metrics.sizes}["large"] == 0
    assert metrics.negatives == 3
    assert metrics.groups == 9


def test_precision_and_recall_are_those_of_the_confusion(done):
    _, metrics, job = done
    table = np.load(job.outputs["evaluation"] / CONFUSION)
    assert table.shape == (4, 4)
    for number, own in enumerate(metrics.classes):
        assert own.right == table[number, number]
        assert own.precision == pytest.approx(table[number, number] / table[:, number].sum())
        assert own.recall == pytest.approx(table[number, number] / table[number].sum())
        assert own.f1 == pytest.approx(
            2 * own.precision * own.recall / (own.precision + own.recall)
        )
    f1 = [own.f1 for own in metrics.classes]
    assert metrics.figures["macro_f1"] == pytest.approx(np.mean(f1))
    shown = job.metadata["confusion"]["confusionMatrix"]
    assert [row["row"] for row in shown["rows"]] == table.tolist()
    assert shown["annotationSpecs"][-1] == {"displayName": "background"}
    wrong = metrics.errors
    assert table[:3, :3].sum() - np.trace(table[:3, :3]) == wrong["wrong_class"]
    assert table[3, :3].sum() == wrong["background"] + wrong["duplicate"] + wrong["poor_box"]
    assert metrics.annotations - np.trace(table) == wrong["missed"]
    assert min(wrong["missed"], wrong["background"], wrong["wrong_class"]) > 0


def test_thresholds_come_from_the_validation_part_alone(tmp_path, case, done):
    other = write_case(tmp_path)
    for name in other.found:
        if name.startswith("test/"):
            other.found[name] = Detections.none()
    evaluation, metrics, _ = evaluated(other)
    assert evaluation.thresholds == done[0].thresholds
    assert metrics.figures["map"] == metrics.figures["macro_recall"] == 0
    assert any("finds nothing at these thresholds" in line for line in metrics.notes)
    for name in other.found:
        if name.startswith("val/"):
            scores = other.found[name].scores / 2
            other.found[name] = Detections(
                other.found[name].boxes, scores, other.found[name].classes
            )
    halved, _, _ = evaluated(write_again(other))
    for name in CLASSES:
        assert halved.thresholds[name] != evaluation.thresholds[name]


def write_again(case):
    """Forgets what the case's job has kept and written."""
    import shutil

    shutil.rmtree(case.folder / "work")
    shutil.rmtree(case.folder / "out")
    return case


def test_a_given_threshold_is_that_of_every_class(tmp_path):
    evaluation, metrics, _ = evaluated(write_case(tmp_path), threshold=0.35)
    assert evaluation.thresholds == dict.fromkeys(CLASSES, 0.35)
    assert metrics.thresholds_from == "setting"


def test_every_file_is_there_and_listed(case, done):
    evaluation, metrics, job = done
    place = job.outputs["evaluation"]
    there = {p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()}
    assert there == {*evaluation.files, "index.json"}
    assert {"plots/calibration.svg", "plots/training_loss.svg", "confusion.png"} <= there
    assert evaluation.models == {"resnet18": "f" * 64}
    assert evaluation.dataset == case.dataset.fingerprint
    assert evaluation.splits == [case.split.fingerprint]
    assert evaluation.epochs == {"resnet18": 2}
    results = json.loads((place / "predictions.json").read_text())
    assert len(results) == metrics.predictions
    document = case.dataset.document(case.inputs["dataset"])
    names = {entry["id"]: entry["file_name"] for entry in document["images"]}
    first = results[0]
    found = case.found[first["file_name"]]
    assert names[first["image_id"]] == first["file_name"]
    assert first["category_id"] == found.classes[0] + 1
    left, top, right, bottom = found.boxes[0]
    assert first["bbox"] == pytest.approx([left, top, right - left, bottom - top], abs=1e-3)
    table = rows_of(job, "class_figures.csv")
    by_name = {own.name: own for own in metrics.classes}
    assert [float(row["ap"]) for row in table] == sorted(
        (pytest.approx(own.ap, abs=1e-5) for own in metrics.classes),
        key=lambda value: -value.expected,
    )
    assert all(
        float(row["threshold"]) == pytest.approx(by_name[row["class"]].threshold, abs=1e-5)
        for row in table
    )
    curves = rows_of(job, "pr_curves.csv")
    assert len(curves) == 3 * 101
    for own in metrics.classes:
        ys = [float(row["precision"]) for row in curves if row["class"] == own.name]
        assert np.mean(ys) == pytest.approx(own.ap50, abs=1e-4)


def test_suspects_are_sure_boxes_that_the_annotations_deny(tmp_path):
    """A forgotten label and one of another class come first in the list."""

    def spoil(image):
        if image.name == "test/000.png":
            forgotten.append(image.shapes.pop(0))
        if image.name == "test/001.png":
            from dataclasses import replace

            other = next(name for name in CLASSES if name != image.shapes[0].label)
            mistaken.append(image.shapes[0].label)
            image.shapes[0] = replace(image.shapes[0], label=other)
        return image

    forgotten, mistaken = [], []
    case = write_case(tmp_path, edit=spoil)
    for name, shape, label, score in (
        ("test/000.png", forgotten[0], forgotten[0].label, 0.999),
        ("test/001.png", None, mistaken[0], 0.998),
    ):
        image = next(i for i in case.dataset.images(case.inputs["dataset"]) if i.name == name)
        points = (shape or image.shapes[0]).points
        case.found[name] = Detections(
            np.array([points], np.float32),
            np.array([score], np.float32),
            np.array([CLASSES.index(label)]),
        )
    _, _, job = evaluated(case)
    first, second, *_ = rows_of(job, "suspects.csv")
    assert (first["kind"], first["image"], first["annotated_class"]) == (
        "missing_label", "test/000.png", "",
    )  # fmt: skip
    assert (second["kind"], second["image"], second["found_class"]) == (
        "wrong_class", "test/001.png", mistaken[0],
    )  # fmt: skip
    assert second["annotated_class"] not in ("", mistaken[0])
    assert float(second["overlap"]) == 1
    assert [float(first[end]) for end in ("left", "top", "right", "bottom")] == list(
        forgotten[0].points
    )


def test_the_report_is_one_file_with_pictures(done):
    _, metrics, job = done
    text = job.outputs["report"].read_text(encoding="utf-8")
    assert text == (job.outputs["evaluation"] / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:)', text)
    for title in (
        "Class by class", "By size", "Precision and recall", "What is taken for what",
        "What goes wrong", "Can scores be trusted?", "Missed objects", "False boxes",
        "Wrong classes", "Found, but barely", "Annotations to look at", "Training",
    ):  # fmt: skip
        assert f"<h2>{title}</h2>" in text
    assert f"{metrics.figures['map']:.3f}" in text
    assert text.count("data:image/jpeg;base64,") >= 12
    assert "Every image holds an object" not in text
    assert "Only 18 images" in text


def test_without_a_gallery_no_image_is_read(tmp_path):
    case, job = write_case(tmp_path), None
    job = case.job()

    def read(path):
        raise AssertionError(path)

    run(EvaluateSettings(gallery=0), job, case.open, read)
    assert "data:image" not in job.outputs["report"].read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_bytes(tmp_path, done):
    again, _, job = evaluated(write_case(tmp_path), bootstrap=50)
    assert again == done[0]
    assert job.outputs["report"].read_bytes() == done[2].outputs["report"].read_bytes()


def test_a_restart_does_not_search_again(tmp_path, monkeypatch):
    monkeypatch.setattr("components.evaluate_detections.running.CHUNK", 5)
    case = write_case(tmp_path)
    stop = "test/012.png"

    class Killed(BaseException):
        pass

    class Stops:
        def predict(self, images):
            for path in images:
                if path.as_posix().endswith(stop):
                    raise Killed
                yield from case.open(path, "", 0, 0).predict([path])

    with pytest.raises(Killed):
        run(EvaluateSettings(), case.job(), lambda *_: Stops(), pixels)
    before = list(case.searched)
    assert before == [f"test/{number:03}.png" for number in range(12)]
    case.searched.clear()
    evaluation, _, _ = evaluated(case)
    assert case.searched[0] == "test/010.png"
    assert len(case.searched) == 8 + 12
    assert evaluation.images == 18


def test_variants_are_shown_with_their_validation_figures(tmp_path):
    case = write_case(tmp_path)
    bundle = ModelBundle.load(case.inputs["model"])
    for name, value in (("resnet18", 0.7), ("fcos:resnet50", 0.6)):
        place = case.inputs["model"] / "variants" / name
        place.mkdir(parents=True)
        bundle.model_copy(update={"metrics": {"val_map": value}, "name": name}).save(place)
    _, metrics, job = evaluated(case)
    assert [(row["name"], row["val_map"]) for row in metrics.variants] == [
        ("fcos:resnet50", 0.6),
        ("resnet18", 0.7),
    ]
    text = job.outputs["report"].read_text(encoding="utf-8")
    assert "Networks compared" in text
    assert "resnet18 ✓</td>" in text
    assert "fcos:resnet50</td>" in text
    assert "0.600" in text


def test_classes_without_annotations_are_left_out_and_told(tmp_path):
    evaluation, metrics, _ = evaluated(write_case(tmp_path, classes=[*CLASSES, "rape"]))
    assert metrics.undefined["map"] == ["rape"]
    assert metrics.classes[3].ap is None
    assert evaluation.thresholds["rape"] == 0.5
    assert any("Nothing of rape is annotated here" in line for line in metrics.notes)
    assert any("holds nothing of rape: the threshold is 0.5" in line for line in metrics.notes)


def test_a_part_without_annotations_counts_false_alarms(tmp_path):
    def emptied(image):
        if image.name.startswith("test/"):
            image.shapes.clear()
        return image

    _, metrics, job = evaluated(write_case(tmp_path, edit=emptied))
    assert "map" not in metrics.figures
    assert metrics.figures["macro_precision"] == 0
    assert metrics.errors["background"] > 0
    assert any("only false alarms" in line for line in metrics.notes)
    assert "Nothing is annotated" in job.outputs["report"].read_text(encoding="utf-8")


def test_figures_of_the_validation_part_are_said_to_flatter(tmp_path):
    _, metrics, _ = evaluated(write_case(tmp_path), part="val", bootstrap=0)
    assert any("flatters precision, recall and F1" in line for line in metrics.notes)
    assert metrics.intervals == {}


def test_recordings_on_both_sides_are_told(tmp_path):
    def filmed(image):
        image.group = "video 1"
        return image

    _, metrics, _ = evaluated(write_case(tmp_path, edit=filmed))
    assert any(line.startswith("18 images from recordings that are") for line in metrics.notes)
    assert any("No intervals are given: 1 recording" in line for line in metrics.notes)


def test_a_model_that_may_not_find_all_objects_is_told(tmp_path):
    case = write_case(tmp_path)
    for limit, told in ((2, True), (3, False)):
        case.change(architecture={"name": "fcos", "arguments": {"detections": limit}})
        _, metrics, _ = evaluated(case)
        text = f"15 images with more objects than the {limit} boxes"
        assert any(line.startswith(text) for line in metrics.notes) is told
        write_again(case)


def test_what_does_not_belong_together_is_refused_at_once(tmp_path):
    case = write_case(tmp_path)
    case.change(classes=["weed"])
    moved = dict.fromkeys(case.split.parts, "val")
    Split.create("0" * 64, moved, {}).save(case.inputs["split"])
    with pytest.raises(InputError) as told:
        evaluated(case)
    lines = str(told.value).splitlines()
    assert len(lines) == 4
    assert "the model knows the classes weed, but the data set has cleavers, thistle" in lines[1]
    assert "the split is of 000000000000…" in lines[2]
    assert "the test part holds no image" in lines[3]
    assert not case.searched


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "clip_classification"}, "'clip_classification'; a detector"),
        ({"dataset": "1" * 64}, "was trained on the data set 111111111111…"),
        ({"split": "2" * 64}, "was trained with the split 222222222222…"),
    ],
)
def test_other_models_are_refused(tmp_path, fields, message):
    case = write_case(tmp_path)
    case.change(**fields)
    with pytest.raises(InputError, match=re.escape(message)):
        evaluated(case)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"dataset": "1" * 64}, "trained on another data set"),
        ({"split": "2" * 64}, "trained with another split"),
    ],
)
def test_other_data_is_accepted_on_demand_and_told(tmp_path, done, fields, told):
    _, own, job = done
    assert all(one.training for one in own.classes)
    assert ">in training<" in job.outputs["report"].read_text()
    case = write_case(tmp_path / "other")
    case.change(**fields)
    _, metrics, job = evaluated(case, other_data=True)
    assert any(told in line for line in metrics.notes)
    assert not any("training part" in line for line in metrics.notes if told not in line)
    # what this split trains with says nothing about the model
    assert {one.training for one in metrics.classes} == {None}
    assert "in training<" not in job.outputs["report"].read_text()


def test_boxes_that_are_no_numbers_are_refused(tmp_path):
    case = write_case(tmp_path)
    boxes = np.array([[0, 0, np.nan, 9]], np.float32)
    case.found["test/003.png"] = Detections(boxes, np.float32([0.5]), np.int64([0]))
    with pytest.raises(InputError, match=r"no finite numbers on image 'test/003\.png'"):
        evaluated(case)


def test_settings_are_checked_together():
    (found,) = problems(EvaluateSettings, {"part": "all", "threshold": "2", "device": "tpu"})
    assert "part: got 'all'" in found
    assert "threshold: got '2'" in found
    assert "device: got 'tpu'" in found
    assert EvaluateSettings(threshold=0.25).fixed_threshold == 0.25


def test_the_component_has_the_settings():
    from components.evaluate_detections.component import evaluate_detections

    given = inspect.signature(evaluate_detections.python_func).parameters
    own = {name: field.default for name, field in EvaluateSettings.model_fields.items()}
    settings = {n: p.default for n, p in given.items() if n not in {*STAGE.inputs, *STAGE.outputs}}
    assert settings == own
    assert list(settings) == list(own)
    assert set(given) - set(own) == {*STAGE.inputs, *STAGE.outputs}
