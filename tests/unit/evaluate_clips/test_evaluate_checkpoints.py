"""Comparing kept checkpoints: on validation only, one of them evaluated, resumable."""

import csv
import json
import re

import numpy as np
import pytest
from checkpoint_bundles import STEPS, registered, write_checkpoint, write_series
from clip_bundles import TRAITS, write_bundle, write_clips, write_split
from sklearn import metrics as reference

from components.core.artifacts.evaluation import ClipMetrics, Evaluation
from components.core.errors import InputError, SettingsError, StoppedError
from components.core.events import Reporter
from components.core.settings import build
from components.evaluate_clips.stage import STAGE, EvaluateSettings

COUNT = 60
SCALES = {1: -0.3, 2: 0.01, 3: 0.3, 4: 0.02, 5: -0.3001}
"""Epoch → scale: 3 gives down and right as they are, 1 and 5 the other way round, 2 and 4 never."""


@pytest.fixture(scope="module", autouse=True)
def _networks():
    with registered():
        yield


def turned(labels):
    """What the network says when its scale is negative."""
    kept = [name for name in labels if name == "bright"]
    return kept + [name for name in ("down", "right") if name not in labels]


def write_case(folder):
    """Validation labels are true, test labels turned: on them the worst checkpoint is best."""
    rng = np.random.default_rng(3)
    shown = [
        [t for t, p in zip(TRAITS, (0.5, 0.5, 0.3), strict=True) if rng.random() < p]
        for _ in range(COUNT)
    ]
    parts = [("train", "val", "test")[row % 3] for row in range(COUNT)]
    labels = [
        turned(own) if part == "test" else own for own, part in zip(shown, parts, strict=True)
    ]
    frames = write_clips(folder / "frames", labels, TRAITS, shown=shown)
    write_split(folder / "split", frames, parts)
    write_series(folder / "model", SCALES, best=2, multi_label=True)


def evaluate(folder, name="a", model="model", report=None, **settings):
    out = folder / name
    defaults = {"bootstrap": 50, "baseline": False, "threshold": "0.6", "checkpoints": "all"}
    metadata = STAGE.execute(
        EvaluateSettings(**{**defaults, "workers": 1, "batch_size": 16, **settings}),
        {"model": folder / model, "frames": folder / "frames", "split": folder / "split"},
        {"evaluation": out / "evaluation", "report": out / "report.html"},
        folder / "state" / name,
        report,
    )
    return out / "evaluation", metadata


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_case(folder)
    return folder


@pytest.fixture(scope="module")
def compared(case):
    return evaluate(case)[0]


def rows_of(out):
    with open(out / "checkpoints.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_best_on_validation_is_evaluated_though_another_is_better_on_test(case, compared):
    rows = rows_of(compared)
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5]
    assert [int(row["step"]) for row in rows] == [e * STEPS for e in range(1, 6)]
    (chosen,) = [row for row in rows if row["chosen"] == "1"]
    assert chosen["epoch"] == "3"
    assert Evaluation.load(compared).models == {"motion": chosen["fingerprint"]}
    other, _ = evaluate(case, "worst", model="model/checkpoints/0001", checkpoints="")
    assert (
        Evaluation.load(other).figures["macro_f1"] > Evaluation.load(compared).figures["macro_f1"]
    )


def test_the_figures_are_scikit_learns_on_the_validation_part(case, compared):
    for row in rows_of(compared):
        place = case / "model" / "checkpoints" / f"{int(row['epoch']):04d}"
        out, _ = evaluate(
            case, f"val {row['epoch']}", model=place.relative_to(case), part="val", checkpoints=""
        )
        actual, predicted = np.load(out / "actuals.npy"), np.load(out / "predictions.npy")
        assert len(actual) == COUNT // 3
        for average in ("macro", "micro", "samples"):
            theirs = reference.f1_score(actual, predicted, average=average, zero_division=0)
            assert float(row[f"{average}_f1"]) == pytest.approx(theirs, abs=1e-5)
        whole = reference.accuracy_score(actual, predicted)
        assert float(row["accuracy"]) == pytest.approx(whole, abs=1e-5)


def test_every_checkpoint_is_printed_and_the_test_part_is_run_once(case, capsys):
    evaluate(case, "printed", report=Reporter("evaluate_clips", "log"))
    text = capsys.readouterr().err
    assert re.findall(r"epoch (\d): macro F1 [\d.]+  micro F1", text) == list("12345")
    assert len(re.findall(r"^\s+\d\s+\d+\s+\S+\s+\S+\s+\S+\s+\S+", text, re.MULTILINE)) == 5
    assert "<- best macro F1" in text
    assert len(re.findall(r"test: 20 clips on", text)) == 1
    assert not re.search(r"test, epoch", text)


def test_another_figure_may_choose(case, compared):
    assert [row["epoch"] for row in rows_of(compared) if row["chosen"] == "1"] == ["3"]
    for select_by in ("micro_f1", "samples_f1", "accuracy"):
        out, _ = evaluate(case, select_by, select_by=select_by, checkpoints="1-2,4")
        rows = rows_of(out)
        best = max(float(row[select_by]) for row in rows)
        chosen = next(row for row in rows if row["chosen"] == "1")
        assert float(chosen[select_by]) == best


def test_epochs_and_steps_select(case):
    out, _ = evaluate(case, "some", checkpoints="1-3:2,5,40")
    assert [row["epoch"] for row in rows_of(out)] == ["1", "3", "5"]
    assert any("epoch 40 was kept" in note for note in ClipMetrics.read(out).notes)
    out, _ = evaluate(case, "steps", checkpoints=f"step {STEPS}-{2 * STEPS}")
    assert [row["epoch"] for row in rows_of(out)] == ["1", "2"]


def test_a_selection_of_nothing_says_what_there_is(case):
    with pytest.raises(InputError, match=r"'epoch 10-20' selects none.*epoch 5 \(step 200\)"):
        evaluate(case, "none", checkpoints="10-20")
    with pytest.raises(InputError, match="'step 7' selects none"):
        evaluate(case, "none", checkpoints="step 7")


@pytest.mark.parametrize("text", ["5-", "five", "1,,2", "9-3", "1-5:0", "step", "step all"])
def test_a_selection_that_cannot_be_read_is_refused_before_any_work(text):
    with pytest.raises(SettingsError) as caught:
        build(EvaluateSettings, {"checkpoints": text})
    assert "5-30:5,40" in str(caught.value)
    assert repr(text) in str(caught.value)


def test_all_problems_of_the_settings_are_told_together():
    with pytest.raises(SettingsError) as caught:
        build(
            EvaluateSettings,
            {
                "part": "tests",
                "threshold": "2",
                "checkpoints": "x",
                "device": "gpu",
                "array_names": ["confusions=a.npy", "logits=b/c.npy", "actuals=d.csv"],
                "sample_clips": ["a", "a"],
            },
        )
    message = str(caught.value)
    for part in (
        "'tests'",
        "'2'",
        "'x'",
        "'gpu'",
        "confusions",
        "b/c.npy",
        "d.csv",
        "sample_clips",
    ):
        assert part in message


def test_the_report_and_the_files_show_the_comparison(compared):
    text = (compared / "report.html").read_text()
    assert "<h2>Checkpoints</h2>" in text
    assert "epoch 3 has the best macro F1 of 5" in text
    assert "The test part took no part in that choice." in text
    svg = (compared / "plots" / "checkpoints.svg").read_text()
    assert all(name in svg for name in ("macro F1", "micro F1", "F1 per clip", "exact match"))
    assert "dashed" in svg
    index = Evaluation.load(compared)
    assert {"checkpoints.csv", "plots/checkpoints.svg"} <= set(index.files)
    assert index.epochs == {"motion": 3}
    assert [row.epoch for row in ClipMetrics.read(compared).checkpoints if row.chosen] == [3]


def test_evaluating_on_the_validation_part_warns(case):
    out, _ = evaluate(case, "on val", part="val")
    assert any("validation part chose the checkpoint" in n for n in ClipMetrics.read(out).notes)
    assert "took no part" not in (out / "report.html").read_text()


class Stopping(Reporter):
    """Stops the stage after the second checkpoint."""

    def message(self, text):
        super().message(text)
        if text.startswith("epoch 2: "):
            raise StoppedError("stopped")


def test_a_stopped_comparison_goes_on_with_the_checkpoint_it_was_at(case, compared, capsys):
    with pytest.raises(StoppedError):
        evaluate(case, "again", report=Stopping("evaluate_clips", "log"))
    capsys.readouterr()
    out, _ = evaluate(case, "again", report=Reporter("evaluate_clips", "log"))
    run = re.findall(r"val, epoch (\d): 20 clips", capsys.readouterr().err)
    assert run == ["3", "4", "5"]
    assert rows_of(out) == rows_of(compared)
    assert json.loads((out / "metrics.json").read_text()) == json.loads(
        (compared / "metrics.json").read_text()
    )


def test_a_single_checkpoint_is_a_model(case):
    out, metadata = evaluate(case, "last", model="model/last", checkpoints="")
    assert Evaluation.load(out).epochs == {"motion": 5}
    assert "samples_f1" in metadata["metrics"]
    assert not (out / "checkpoints.csv").exists()


def test_pytorch_and_onnx_give_the_same_logits(case, tmp_path):
    for name in ("frames", "split"):
        (tmp_path / name).symlink_to(case / name)
    write_bundle(tmp_path / "graph", multi_label=True, scale=0.2)
    write_checkpoint(tmp_path / "network", 0.2, 1, multi_label=True)
    graph, _ = evaluate(tmp_path, "graph out", model="graph", checkpoints="")
    network, _ = evaluate(tmp_path, "network out", model="network", checkpoints="")
    np.testing.assert_allclose(
        np.load(graph / "logits.npy"), np.load(network / "logits.npy"), atol=1e-4
    )


def test_a_model_without_weights_or_without_validation_clips_is_refused(case, tmp_path):
    for name in ("frames", "split"):
        (tmp_path / name).symlink_to(case / name)
    write_bundle(tmp_path / "model", multi_label=True)
    with pytest.raises(InputError, match="holds no safetensors weights"):
        evaluate(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    frames = write_clips(other / "frames", [["down"], ["right"]] * 4, TRAITS)
    write_split(other / "split", frames, ["train", "test"] * 4)
    write_series(other / "model", {1: 0.1}, best=1, multi_label=True)
    with pytest.raises(InputError, match=r"compared on the val part, which holds no usable clip"):
        evaluate(other)


def test_a_gpu_that_is_not_there_is_refused(case, tmp_path):
    for name in ("frames", "split"):
        (tmp_path / name).symlink_to(case / name)
    write_bundle(tmp_path / "graph", multi_label=True)
    with pytest.raises(InputError, match=r"device: 'cuda:97' is not here"):
        evaluate(tmp_path, model="graph", checkpoints="", device="cuda:97")
    with pytest.raises(InputError, match=r"device: 'cuda:97' is not here"):
        evaluate(case, "no such gpu", device="cuda:97")
