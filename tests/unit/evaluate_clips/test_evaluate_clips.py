"""The evaluation stage on real bundles: what it writes, what it refuses, what it says."""

import csv
import itertools
import json
import math
import re

import numpy as np
import onnxruntime
import pytest
from clip_bundles import CLASSES, FRAMES, SIZE, TRAITS, write_bundle, write_clips, write_split
from sklearn import metrics as reference

from components.core.artifacts.evaluation import ClipMetrics, Evaluation
from components.core.artifacts.frames import FrameReader, write_frames
from components.core.errors import InputError, SettingsError
from components.core.settings import build
from components.evaluate_clips.stage import STAGE, EvaluateSettings

COUNT = 96


def thirds(count):
    return [("train", "val", "test")[row % 3] for row in range(count)]


def single_case(folder, **bundle):
    rng = np.random.default_rng(4)
    labels = [CLASSES[row % 4] for row in rng.permutation(COUNT)]
    shown = [str(rng.choice(CLASSES)) if rng.random() < 0.25 else label for label in labels]
    groups = [f"recording {row // 6}" for row in range(COUNT)]
    frames = write_clips(folder / "frames", labels, groups=groups, shown=shown)
    # Whole recordings per part.
    parts = [("train", "val", "test")[row // 6 % 3] for row in range(COUNT)]
    split = write_split(folder / "split", frames, parts)
    write_bundle(folder / "model", dataset=frames.fingerprint, split=split.fingerprint, **bundle)


def multi_case(folder):
    rng = np.random.default_rng(5)
    labels = [
        [t for t, p in zip(TRAITS, (0.4, 0.5, 0.3), strict=True) if rng.random() < p]
        for _ in range(COUNT)
    ]
    shown = [labels[row - 1] if rng.random() < 0.2 else own for row, own in enumerate(labels)]
    frames = write_clips(folder / "frames", labels, TRAITS, shown=shown)
    write_split(folder / "split", frames, thirds(COUNT))
    write_bundle(folder / "model", multi_label=True, scale=0.2)


def evaluate(folder, name="a", **settings):
    out = folder / name
    metadata = STAGE.execute(
        EvaluateSettings(**{"bootstrap": 200, "batch_size": 5, "workers": 2, **settings}),
        {key: folder / key for key in ("model", "frames", "split")},
        {"evaluation": out / "evaluation", "report": out / "report.html"},
        folder / "state" / name,
    )
    return out / "evaluation", metadata


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    single_case(folder)
    return folder, *evaluate(folder)


@pytest.fixture(scope="module")
def multi(tmp_path_factory):
    folder = tmp_path_factory.mktemp("multi")
    multi_case(folder)
    return folder, *evaluate(folder)


def test_logits_are_those_of_the_graph_on_centred_windows(single):
    folder, out, _ = single
    session = onnxruntime.InferenceSession(str(folder / "model" / "model.onnx"))
    reader = FrameReader(folder / "frames")
    with open(out / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    places = {clip.id: number for number, clip in enumerate(reader.index.clips)}
    logits = np.load(out / "logits.npy")
    assert len(rows) == len(logits) == 30
    for row, found in list(zip(rows, logits, strict=True))[::7]:
        pixels = reader.read(places[row["clip"]], range(FRAMES), (2, 2, SIZE, SIZE))
        batch = (pixels.astype(np.float64) / 127.5 - 1).transpose(3, 0, 1, 2)[None]
        expected = session.run(None, {"clip": batch.astype(np.float32)})[0][0]
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (logits < 0).any()
    assert (logits > 1).any()


def test_the_single_label_contract(single):
    _, out, _ = single
    logits, scores = np.load(out / "logits.npy"), np.load(out / "probabilities.npy")
    predictions, actuals = np.load(out / "predictions.npy"), np.load(out / "actuals.npy")
    powers = np.exp(logits.astype(float))
    np.testing.assert_allclose(scores, powers / powers.sum(axis=1, keepdims=True), rtol=1e-4)
    assert predictions.dtype == actuals.dtype == np.int64
    np.testing.assert_array_equal(predictions, scores.argmax(axis=1))
    np.testing.assert_array_equal(
        np.load(out / "confusion.npy"), reference.confusion_matrix(actuals, predictions)
    )
    figures = json.loads((out / "metrics.json").read_text())["overall"]["model"]["figures"]
    assert figures["macro_f1"] == pytest.approx(
        reference.f1_score(actuals, predictions, average="macro")
    )
    assert figures["accuracy"] == pytest.approx((predictions == actuals).mean())
    index = Evaluation.load(out)
    assert index.clips == len(actuals)
    assert all((out / name).is_file() for name in index.files)
    written = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert written == {*index.files, "index.json"}


def test_the_multi_label_contract(multi):
    _, out, _ = multi
    logits, scores = np.load(out / "logits.npy"), np.load(out / "probabilities.npy")
    predictions, actuals = np.load(out / "predictions.npy"), np.load(out / "actuals.npy")
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits.astype(float))), atol=1e-6)
    found = ClipMetrics.read(out)
    np.testing.assert_array_equal(predictions, scores >= found.thresholds)
    np.testing.assert_array_equal(
        np.load(out / "confusion.npy"),
        reference.multilabel_confusion_matrix(actuals, predictions),
    )
    half = reference.f1_score(actuals, scores >= 0.5, average="macro")
    assert found.at_half.figures["macro_f1"] == pytest.approx(half)
    exact = (predictions == actuals).all(axis=1).mean()
    assert found.overall.model.figures["exact_match"] == pytest.approx(exact)


def test_thresholds_come_from_the_validation_part_alone(multi, tmp_path):
    """Other labels of the test clips change no threshold."""
    folder, out, _ = multi
    tampered = tmp_path / "other"
    tampered.mkdir()
    for name in ("model", "split"):
        (tampered / name).symlink_to(folder / name)
    index = json.loads((folder / "frames" / "index.json").read_text())
    for row, clip in enumerate(index["clips"]):
        if row % 3 == 2:
            clip["labels"] = ["bright"] if row % 2 else []
    (tampered / "frames").mkdir()
    for entry in (folder / "frames").iterdir():
        if entry.name != "index.json":
            (tampered / "frames" / entry.name).symlink_to(entry)
    (tampered / "frames" / "index.json").write_text(json.dumps(index))
    again, _ = evaluate(tampered)
    first, second = ClipMetrics.read(out), ClipMetrics.read(again)
    assert first.thresholds == second.thresholds
    assert first.overall.model.figures != second.overall.model.figures


def test_a_fixed_threshold_is_used_as_given(multi):
    folder, *_ = multi
    out, _ = evaluate(folder, "fixed", threshold="0.7")
    scores = np.load(out / "probabilities.npy")
    np.testing.assert_array_equal(np.load(out / "predictions.npy"), scores >= 0.7)
    assert ClipMetrics.read(out).at_half is None


def test_kubeflow_gets_finite_floats_and_its_own_confusion_format(single, multi):
    from kfp.dsl import ClassificationMetrics

    _, out, metadata = single
    assert all(type(v) is float and math.isfinite(v) for v in metadata["metrics"].values())
    theirs = ClassificationMetrics()
    theirs.log_confusion_matrix(CLASSES, np.load(out / "confusion.npy").tolist())
    assert metadata["confusion"] == theirs.metadata
    _, out, metadata = multi
    pooled = np.load(out / "confusion.npy").sum(axis=0).tolist()
    theirs = ClassificationMetrics()
    theirs.log_confusion_matrix(["absent", "present"], pooled)
    assert metadata["confusion"]["confusionMatrix"] == theirs.metadata["confusionMatrix"]
    points = metadata["confusion"]["confidenceMetrics"]
    assert len(points) > 5
    assert all(math.isfinite(value) for point in points for value in point.values())
    json.dumps(metadata, allow_nan=False)


def test_motion_beats_the_still_frame_and_the_report_says_so(single):
    _, out, _ = single
    found = ClipMetrics.read(out)
    assert found.overall.model.figures["macro_f1"] > 0.6
    assert found.overall.baseline.figures["macro_f1"] < 0.5
    assert found.overall.difference_intervals["macro_f1"][0] > 0
    assert (out / "baseline_probabilities.npy").exists()


def test_the_report_shows_everything_in_one_file(single, multi):
    for _, out, _ in (single, multi):
        text = (out / "report.html").read_text()
        titles = re.findall("<h2>(.*?)</h2>", text)
        wanted = ["Training", "Class by class", "Precision and recall", "The worst mistakes"]
        assert set(wanted) < set(titles)
        assert ("What is taken for what" in titles) == (out == single[1])
        assert text.count("data:image/jpeg;base64,") == len(re.findall("<figure>", text)) > 0
        assert not re.search(r"""(src|href)=["'](?!data:)""", text)
        assert len(text) < 2_000_000
        index = Evaluation.load(out)
        assert index.dataset in text
        assert all(mark in text for mark in index.models.values())
        shown = ClipMetrics.read(out).overall.model.figures["macro_f1"]
        assert f"{shown:.3f}" in text


def test_the_mistakes_shown_are_the_surest(single):
    _, out, _ = single
    text = (out / "report.html").read_text()
    with open(out / "predictions.csv", newline="", encoding="utf-8") as file:
        wrong = [row for row in csv.DictReader(file) if row["right"] == "0"]
    wrong.sort(key=lambda row: -float(row[f"p({row['predicted']})"]))
    shown = re.findall(r'alt="frames of (.*?)"', text)
    assert len(shown) == min(12, len(wrong)) > 1
    sure = {row["clip"]: float(row[f"p({row['predicted']})"]) for row in wrong}
    assert [sure[clip] for clip in shown] == pytest.approx(
        sorted(sure.values())[::-1][:12], abs=1e-5
    )


def test_the_baseline_can_be_left_out(single):
    folder, *_ = single
    out, _ = evaluate(folder, "bare", baseline=False, bootstrap=0)
    found = ClipMetrics.read(out)
    assert found.overall.baseline is None
    assert found.overall.model.intervals == {}


def test_two_evaluations_are_the_same_bytes(single):
    folder, out, _ = single
    again, _ = evaluate(folder, "again", batch_size=7, workers=1)
    for name in sorted(Evaluation.load(out).files):
        if name == "logits.npy":
            np.testing.assert_allclose(np.load(out / name), np.load(again / name), atol=1e-5)
        elif name.startswith("plots") or name == "metrics.json":
            assert (out / name).read_bytes() == (again / name).read_bytes()
    assert (out.parent / "report.html").read_bytes() == (out / "report.html").read_bytes()


def test_the_logits_of_several_views_are_their_mean(tmp_path):
    rng = np.random.default_rng(8)
    pixels = rng.integers(0, 255, size=(10, SIZE, SIZE, 3), dtype=np.uint8)
    frames = write_frames(
        tmp_path / "frames", [("a", ["up"], "", pixels, range(10))], CLASSES, storage="raw"
    )
    write_split(tmp_path / "split", frames, ["test"])
    write_bundle(tmp_path / "model")
    session = onnxruntime.InferenceSession(str(tmp_path / "model" / "model.onnx"))
    batch = np.stack([pixels[start : start + FRAMES] for start in (0, 2, 4)])
    inputs = (batch.astype(np.float32) / 127.5 - 1).transpose(0, 4, 1, 2, 3)
    expected = session.run(None, {"clip": inputs})[0]
    three, _ = evaluate(tmp_path, "three", views=3, baseline=False)
    np.testing.assert_allclose(np.load(three / "logits.npy")[0], expected.mean(axis=0), atol=1e-4)
    one, _ = evaluate(tmp_path, "one", baseline=False)
    np.testing.assert_allclose(np.load(one / "logits.npy")[0], expected[1], atol=1e-4)


def test_a_graph_of_another_shape_than_model_json_says_is_refused(tmp_path):
    frames = write_clips(tmp_path / "frames", CLASSES)
    write_split(tmp_path / "split", frames, ["test"] * 4)
    write_bundle(tmp_path / "model", preprocessing={"frames": 2, "stride": 1, "size": SIZE})
    with pytest.raises(InputError, match="fails on an input of shape"):
        evaluate(tmp_path)


def test_windows_of_one_and_of_several_views():
    from components.evaluate_clips.windows import Window

    window = Window(frames=4, stride=2, size=8)
    assert window.starts(11, 1) == [2]
    assert window.starts(11, 3) == [0, 2, 4]
    assert window.starts(5, 1) == [0]  # shorter than the window: the reader repeats its last frame
    assert window.numbers(3) == [3, 5, 7, 9]


def test_the_centred_window_is_the_one_that_validation_saw():
    from components.core.artifacts.frame_shards import FrameClip
    from components.core.training.views import Window as Trained
    from components.evaluate_clips.windows import Window

    for frames, stride, stored, height, width in itertools.product(
        (1, 8), (1, 3), (1, 7, 8, 9, 40), (16, 17), (16, 25)
    ):
        ours, theirs = Window(frames, stride, 16), Trained(frames, stride, 16)
        seen = theirs.centred(stored, height, width)
        clip = FrameClip(
            id="a",
            labels=[],
            frames=stored,
            height=height,
            width=width,
            shard=0,
            first=0,
            checksum="",
        )
        assert ours.crop(clip) == (seen.top, seen.left, 16, 16)
        assert ours.starts(stored, 1) == [seen.start]
        assert ours.numbers(seen.start) == theirs.numbers(seen.start)


def test_clips_of_several_labels_need_a_multi_label_model(tmp_path):
    labels = [["down"], ["down", "left"], ["left"], []]
    frames = write_clips(tmp_path / "frames", labels, CLASSES)
    write_split(tmp_path / "split", frames, ["test"] * 4)
    write_bundle(tmp_path / "model")
    with pytest.raises(InputError, match=r"2 clips .* have none or several"):
        evaluate(tmp_path)


def test_everything_that_does_not_fit_is_said_at_once(tmp_path):
    frames = write_clips(tmp_path / "frames", ["up", "down"] * 3, ["down", "up"], side=12)
    write_split(tmp_path / "split", frames.model_copy(update={"parent": "others"}), ["train"] * 6)
    write_bundle(tmp_path / "model")
    with pytest.raises(InputError) as caught:
        evaluate(tmp_path)
    message = str(caught.value)
    assert "knows 4 classes" in message
    assert "different data sets" in message
    assert "test part holds no usable clip" in message
    assert not (tmp_path / "a" / "evaluation").exists()


def test_frames_smaller_than_the_input_are_refused(tmp_path):
    frames = write_clips(tmp_path / "frames", CLASSES, side=12)
    write_split(tmp_path / "split", frames, ["test"] * 4)
    write_bundle(tmp_path / "model")
    with pytest.raises(InputError, match=r"4 clips .* smaller than the model's input of 16 x 16"):
        evaluate(tmp_path)


def test_a_tuned_threshold_needs_validation_clips(tmp_path):
    frames = write_clips(tmp_path / "frames", [["down"], ["right"]] * 4, TRAITS)
    write_split(tmp_path / "split", frames, ["train", "test"] * 4)
    write_bundle(tmp_path / "model", multi_label=True)
    with pytest.raises(InputError, match=r"threshold=0\.5"):
        evaluate(tmp_path)


def test_wrong_settings_are_named_together():
    with pytest.raises(SettingsError) as caught:
        build(EvaluateSettings, {"part": "tset", "threshold": "high", "views": 0, "colour": 1})
    message = str(caught.value)
    for word in ("views", "colour"):
        assert word in message
    with pytest.raises(SettingsError) as caught:
        build(EvaluateSettings, {"part": "tset", "threshold": "1.5"})
    assert "train, val, test" in str(caught.value)
    assert "between 0 and 1" in str(caught.value)
    assert build(EvaluateSettings, {"threshold": 0.25}).fixed_threshold == 0.25


def remarks(folder):
    return "\n".join(ClipMetrics.read(evaluate(folder)[0]).notes)


def test_a_model_at_chance_is_called_so(tmp_path):
    rng = np.random.default_rng(0)
    labels = [str(label) for label in rng.choice(CLASSES, 60)]
    shown = [str(label) for label in rng.choice(CLASSES, 60)]
    frames = write_clips(tmp_path / "frames", labels, shown=shown)
    write_split(tmp_path / "split", frames, thirds(60))
    write_bundle(tmp_path / "model")
    text = remarks(tmp_path)
    assert "includes 0.25, which guessing would reach" in text
    assert "No recordings are known" in text


def test_recordings_that_leak_or_tell_the_class_are_called_so(tmp_path):
    labels = [CLASSES[row % 4] for row in range(48)]
    groups = [f"camera {label}" for label in labels]
    frames = write_clips(tmp_path / "frames", labels, groups=groups)
    write_split(tmp_path / "split", frames, thirds(48))
    write_bundle(tmp_path / "model", dataset=frames.fingerprint, split="another split")
    text = remarks(tmp_path)
    assert "16 clips from recordings that are also in the training part" in text
    assert "Every recording holds clips of one class only" in text
    assert "trained with another split" in text
    assert "No intervals are given: 4 recordings at hand" in text
    found = ClipMetrics.read(tmp_path / "a" / "evaluation").overall
    for summary in (found.model, found.baseline):
        assert summary.intervals == {}
        assert all(row.f1_interval is None for row in summary.classes)
    assert found.difference
    assert found.difference_intervals == {}
    report = (tmp_path / "a" / "report.html").read_text()
    assert "bootstrap over recordings" not in report


def test_classes_that_are_never_predicted_are_named_beside_the_macro_precision(tmp_path):
    labels = [CLASSES[row % 4] for row in range(48)]
    shown = ["down" if label == "up" else label for label in labels]  # nothing looks like up
    frames = write_clips(tmp_path / "frames", labels, shown=shown)
    write_split(tmp_path / "split", frames, thirds(48))
    write_bundle(tmp_path / "model")
    out, metadata = evaluate(tmp_path)
    found = ClipMetrics.read(out)
    actual, predicted = np.load(out / "actuals.npy"), np.load(out / "predictions.npy")
    silent = [name for row, name in enumerate(CLASSES) if row not in predicted]
    assert silent == ["up"]
    known = reference.precision_score(actual, predicted, average="macro", zero_division=np.nan)
    everything = reference.precision_score(actual, predicted, average="macro", zero_division=0)
    assert found.overall.model.figures["macro_precision"] == pytest.approx(known)
    assert metadata["metrics"]["macro_precision_all_classes"] == pytest.approx(everything)
    [note] = [line for line in found.notes if line.startswith("Macro precision")]
    assert f"({known:.3f}) leaves out 1 of 4 classes" in note
    assert "a precision: up." in note
    assert f"{everything:.3f}" in note
    particulars = (out / "report.html").read_text().partition("<h2>Particulars</h2>")[2]
    assert re.search(r"<td[^>]*>Macro precision</td>.*?<td[^>]*>1: up</td></tr>", particulars)


def test_figures_over_the_groups_that_hold_more_than_one_class(tmp_path):
    labels = [CLASSES[row % 4] for row in range(72)]
    groups = [f"mixed {row // 8}" if row < 48 else f"only {labels[row]}" for row in range(72)]
    frames = write_clips(tmp_path / "frames", labels, groups=groups)
    write_split(tmp_path / "split", frames, thirds(72))
    write_bundle(tmp_path / "model")
    out, _ = evaluate(tmp_path)
    found = ClipMetrics.read(out)
    with open(out / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["group"].startswith("mixed")]
    assert found.mixed_groups.model.clips == len(rows) == 16
    expected = reference.f1_score(
        [row["actual"] for row in rows], [row["predicted"] for row in rows], average="macro"
    )
    assert found.mixed_groups.model.figures["macro_f1"] == pytest.approx(expected)
    assert "macro_f1" in found.mixed_groups.baseline.intervals


def test_a_class_absent_from_the_part_is_undefined_not_nan(tmp_path):
    labels = ["down", "left", "right"] * 12
    frames = write_clips(tmp_path / "frames", labels)
    write_split(
        tmp_path / "split", frames, [("train", "test", "val")[r // 3 % 3] for r in range(36)]
    )
    write_bundle(tmp_path / "model")
    out, _ = evaluate(tmp_path)
    assert "NaN" not in (out / "metrics.json").read_text()
    found = ClipMetrics.read(out)
    assert found.overall.model.undefined["average_precision"] == ["up"]
    assert any("No clip shows up" in line for line in found.notes)
    head = (out / "report.html").read_text().partition('<div class="cards">')[2]
    head = head.partition("<h2>")[0]
    assert "Mean average precision" in head
    assert "without 1 class of 4: up" in head
