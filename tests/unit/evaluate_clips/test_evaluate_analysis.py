"""What an evaluation says about classes and clips, and the names of its arrays."""

import csv
import itertools
import re

import numpy as np
import pytest
from clip_bundles import CLASSES, TRAITS, write_bundle, write_clips, write_split
from sklearn import metrics as reference

from components.core.artifacts.evaluation import ARRAYS, ClipMetrics, Evaluation
from components.core.errors import SettingsError
from components.core.settings import build
from components.evaluate_clips.pool import pool_evaluations
from components.evaluate_clips.predictions import Predictions
from components.evaluate_clips.stage import STAGE, EvaluateSettings

EXTRA = [*TRAITS, "rare", "absent"]


def evaluate(folder, name="a", **settings):
    out = folder / name
    STAGE.execute(
        EvaluateSettings(**{"bootstrap": 50, "workers": 1, "threshold": "0.5", **settings}),
        {key: folder / key for key in ("model", "frames", "split")},
        {"evaluation": out / "evaluation"},
        folder / "state" / name,
    )
    return out / "evaluation"


@pytest.fixture(scope="module")
def multi(tmp_path_factory):
    """Clips of up to three labels; some are shown otherwise than labelled."""
    folder = tmp_path_factory.mktemp("analysis")
    sets = [list(s) for n in range(4) for s in itertools.combinations(TRAITS, n)]
    labels = [sets[row // 3 % len(sets)] for row in range(72)]
    shown = [sets[(row // 3 + (row % 12 == 11)) % len(sets)] for row in range(72)]
    frames = write_clips(folder / "frames", labels, TRAITS, shown=shown)
    write_split(folder / "split", frames, [("train", "val", "test")[row % 3] for row in range(72)])
    write_bundle(folder / "model", multi_label=True)
    return folder, labels, evaluate(folder)


def table(out, name):
    with open(out / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_label_of_a_clip_counts(multi):
    _, labels, out = multi
    rows = {row["class"]: row for row in table(out, "class_figures.csv")}
    for trait in TRAITS:
        assert int(rows[trait]["training_clips"]) == sum(trait in own for own in labels[0::3])
        assert int(rows[trait]["clips"]) == sum(trait in own for own in labels[2::3])


def test_class_figures_are_scikit_learns_best_first(multi):
    _, _, out = multi
    actual, predicted = np.load(out / "actuals.npy"), np.load(out / "predictions.npy")
    theirs = reference.f1_score(actual, predicted, average=None)
    rows = table(out, "class_figures.csv")
    for row in rows:
        column = TRAITS.index(row["class"])
        assert float(row["f1"]) == pytest.approx(theirs[column], abs=1e-5)
        assert float(row["f1_low"]) <= theirs[column] <= float(row["f1_high"])
        assert int(row["predicted"]) == predicted[:, column].sum()
    order = [(-float(row["f1"]), -int(row["training_clips"])) for row in rows]
    assert order == sorted(order)


def test_clips_are_right_wrong_or_without_prediction(multi):
    _, _, out = multi
    actual, predicted = np.load(out / "actuals.npy"), np.load(out / "predictions.npy")
    right = (actual == predicted).all(axis=1)
    nothing = ~right & ~predicted.any(axis=1)
    found = ClipMetrics.read(out).outcomes
    assert (found.right, found.no_prediction) == (right.sum(), nothing.sum())
    assert found.wrong == len(actual) - right.sum() - nothing.sum()
    assert min(found.right, found.wrong, found.no_prediction) > 0
    named = [row["outcome"] for row in table(out, "predictions.csv")]
    wanted = np.where(right, "right", np.where(nothing, "no prediction", "wrong"))
    assert named == wanted.tolist()
    text = (out / "report.html").read_text()
    assert "<h2>Clip by clip</h2>" in text
    assert f"{right.mean():.1%}" in text


def test_classes_that_are_never_right_are_named_with_their_training_clips(tmp_path):
    """`rare` is never said, `absent` neither shown nor said."""
    labels = [["down", "rare"] if row % 6 < 3 else ["right"] for row in range(36)]
    shown = [[name for name in own if name != "rare"] for own in labels]
    frames = write_clips(tmp_path / "frames", labels, EXTRA, shown=shown)
    write_split(tmp_path / "split", frames, [("train", "val", "test")[r % 3] for r in range(36)])
    write_five_classes(tmp_path / "model")
    out = evaluate(tmp_path)
    text = (out / "report.html").read_text()
    assert re.search(r"of 5 classes ha\w+ an F1 of 0: .*rare \(6 to train\)", text)
    assert "without any clip here, and never predicted: " in text
    assert "absent (0 to train)" in text
    last = table(out, "class_figures.csv")[-1]
    assert (last["f1"], last["training_clips"]) == ("", "0")


def write_five_classes(folder):
    """The three traits, and two classes that this graph never gives."""
    import torch
    from clip_bundles import FRAMES, SIZE, Motion

    from components.core.models.export import export_onnx

    class Five(Motion):
        def forward(self, clip):
            three = super().forward(clip)
            return torch.cat([three, torch.full_like(three[:, :2], -9)], dim=1)

    write_bundle(folder, multi_label=True, classes=EXTRA, outputs=[])
    (folder / "model.onnx").unlink()
    example = torch.rand(2, 3, FRAMES, SIZE, SIZE)
    export_onnx(Five(True), example, folder / "model.onnx", "clip", "logits")


def test_one_label_per_clip_has_the_same_tables(tmp_path):
    labels = [CLASSES[row % 4] for row in range(48)]
    shown = [CLASSES[(row + (row % 7 == 0)) % 4] for row in range(48)]
    frames = write_clips(tmp_path / "frames", labels, shown=shown)
    write_split(tmp_path / "split", frames, [("train", "val", "test")[r % 3] for r in range(48)])
    write_bundle(tmp_path / "model", training={"epoch": 2})
    out = evaluate(tmp_path)
    found = ClipMetrics.read(out)
    actual, predicted = np.load(out / "actuals.npy"), np.load(out / "predictions.npy")
    assert found.outcomes.right == (actual == predicted).sum()
    assert found.outcomes.no_prediction == 0
    assert {row["training_clips"] for row in table(out, "class_figures.csv")} == {"4"}
    text = (out / "report.html").read_text()
    assert "the epoch whose network is evaluated here" in text
    assert "no prediction" not in text.partition("<h2>Clip by clip</h2>")[2][:600]


def test_loss_curves_show_both_parts_and_mark_the_evaluated_epoch(multi, tmp_path):
    folder, _, _ = multi
    for name in ("frames", "split"):
        (tmp_path / name).symlink_to(folder / name)
    curves = [
        {"epoch": e, "train_loss": 1 / e, "val_loss": 2 / e, "val_macro_f1": 0.5, "val_micro_f1": 1}
        for e in (1, 2, 3)
    ]
    write_bundle(tmp_path / "model", multi_label=True, training={"epoch": 2}, curves=curves)
    out = evaluate(tmp_path)
    losses = (out / "plots" / "training_loss.svg").read_text()
    assert "train loss" in losses
    assert "val loss" in losses
    assert losses.count("<polyline") == 2
    # Epochs 1 to 3 span the axis, so the line of epoch 2 is in its middle.
    (line,) = re.findall(r'class="dashed" x1="([\d.]+)"', losses)
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', losses)[1])
    assert float(line) == pytest.approx((46 + width - 14) / 2, abs=0.1)
    assert "val micro f1" in (out / "plots" / "training_figures.svg").read_text()


def test_arrays_can_have_other_names_and_pooling_finds_them(multi, tmp_path):
    folder, _, plain = multi
    pairs = [f"{array}=resizer_{array}.npy" for array in ARRAYS]
    out = evaluate(folder, "named", array_names=pairs)
    index = Evaluation.load(out)
    for array in ARRAYS:
        assert index.array_file(array) == f"resizer_{array}.npy"
        assert not (out / f"{array}.npy").exists()
        np.testing.assert_array_equal(
            np.load(out / f"resizer_{array}.npy"), np.load(plain / f"{array}.npy")
        )
    assert set(index.files) >= {f"resizer_{array}.npy" for array in ARRAYS}
    loaded = Predictions.load(out, index)
    np.testing.assert_array_equal(loaded.logits, np.load(plain / "logits.npy"))
    # The val part as a second fold: pooling reads both, whatever the arrays are called.
    frames = [clip.id for clip in clips_of(folder)]
    other = tmp_path / "split"
    from components.core.artifacts.split import Split

    first = Split.load(folder / "split")
    parts = {name: {"test": "train", "val": "test"}.get(p, p) for name, p in first.parts.items()}
    swapped = Split.create(first.parent, parts, {})
    other.mkdir()
    swapped.save(other)
    STAGE.execute(
        EvaluateSettings(bootstrap=50, workers=1, threshold="0.5", array_names=["logits=l.npy"]),
        {"model": folder / "model", "frames": folder / "frames", "split": other},
        {"evaluation": tmp_path / "second"},
        tmp_path / "state",
    )
    pooled = pool_evaluations([out, tmp_path / "second"], tmp_path / "pooled", replicates=20)
    assert pooled.clips == len([name for name in frames if first.parts[name] != "train"])
    found = ClipMetrics.read(tmp_path / "pooled")
    assert "samples_f1" in found.overall.model.intervals
    assert found.outcomes.right > 0


def clips_of(folder):
    from components.core.artifacts.frames import FrameDataset

    return FrameDataset.load(folder / "frames").clips


def test_logits_are_logits_and_probabilities_are_probabilities(multi):
    _, _, out = multi
    logits, scores = np.load(out / "logits.npy"), np.load(out / "probabilities.npy")
    assert logits.min() < 0
    assert logits.max() > 1
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits.astype(float))), atol=1e-6)


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        (["confusion"], ["'confusion'"]),
        (["confusions=a.npy"], ["'confusions=a.npy'", "predictions, actuals"]),
        (["logits=folder/a.npy", "actuals=..\\b.npy"], ["folder/a.npy", "..\\\\b.npy"]),
        (["logits=a.csv", "actuals=.npy"], ["a.csv", "'actuals=.npy'"]),
        (["logits=a.npy", "logits=b.npy"], ["logits a second time"]),
        (["logits=a.npy", "actuals=a.npy"], ["'a.npy'", "logits", "actuals"]),
        (["logits=actuals.npy"], ["'actuals.npy'"]),
        (["logits=baseline_probabilities.npy"], ["the baseline"]),
    ],
)
def test_names_that_cannot_be_used_are_all_named(names, wrong):
    with pytest.raises(SettingsError) as caught:
        build(EvaluateSettings, {"array_names": names})
    assert [text for text in wrong if text not in str(caught.value)] == []
    assert "confusion=resizer_confusion.npy" in str(caught.value)
