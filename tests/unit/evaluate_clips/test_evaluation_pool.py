"""Pooling the folds of a cross-validation."""

import numpy as np
import pytest
from clip_bundles import CLASSES, write_bundle, write_clips, write_split

from components.core.artifacts.evaluation import ClipMetrics, Evaluation
from components.core.errors import InputError
from components.evaluate_clips import pool
from components.evaluate_clips.stage import STAGE, EvaluateSettings

COUNT, FOLDS = 60, 3


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    rng = np.random.default_rng(1)
    labels = [CLASSES[row % 4] for row in range(COUNT)]
    shown = [str(rng.choice(CLASSES)) if rng.random() < 0.3 else label for label in labels]
    groups = [f"recording {row // 4}" for row in range(COUNT)]
    frames = write_clips(folder / "frames", labels, groups=groups, shown=shown)
    results = []
    for fold in range(FOLDS):
        parts = ["test" if row // 4 % FOLDS == fold else "train" for row in range(COUNT)]
        write_split(folder / f"split {fold}", frames, parts)
        write_bundle(folder / f"model {fold}", scale=2.0 + fold)
        inputs = {
            "model": folder / f"model {fold}",
            "frames": folder / "frames",
            "split": folder / f"split {fold}",
        }
        result = folder / f"evaluation {fold}"
        STAGE.execute(
            EvaluateSettings(bootstrap=100), inputs, {"evaluation": result}, folder / "state"
        )
        results.append(result)
    return folder, results


def test_every_clip_counts_once(folds, tmp_path, capsys):
    folder, results = folds
    out = tmp_path / "pooled"
    arguments = [*map(str, results), "--output", str(out), "--frames", str(folder / "frames")]
    assert pool.main([*arguments, "--bootstrap", "200"]) == 0
    assert str(out / "report.html") in capsys.readouterr().out
    index = Evaluation.load(out)
    assert index.part == "pooled"
    assert index.clips == COUNT
    assert len(index.models) == FOLDS
    right = sum(
        (np.load(r / "predictions.npy") == np.load(r / "actuals.npy")).sum() for r in results
    )
    found = ClipMetrics.read(out)
    assert found.overall.model.figures["accuracy"] == pytest.approx(right / COUNT)
    assert found.overall.model.groups == COUNT // 4
    assert found.overall.baseline is not None
    assert "data:image/jpeg" in (out / "report.html").read_text()


def test_folds_that_overlap_or_differ_are_refused(folds, tmp_path):
    _, results = folds
    with pytest.raises(InputError, match="same split"):
        pool.pool_evaluations([results[0], results[0]], tmp_path / "out")
    with pytest.raises(InputError, match="at least two"):
        pool.pool_evaluations(results[:1], tmp_path / "out")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="exists already"):
        pool.pool_evaluations(results, tmp_path / "there")
    other = tmp_path / "other"
    other.mkdir()
    index = Evaluation.load(results[1]).model_copy(update={"splits": ["x"], "parent": "y"})
    index.save(other)
    with pytest.raises(InputError, match="parent 'y'"):
        pool.pool_evaluations([results[0], other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_line_ends_in_a_message_and_a_code(folds, tmp_path, capsys):
    _, results = folds
    assert pool.main([str(results[0]), "--output", str(tmp_path / "out")]) == InputError.exit_code
    assert "at least two" in capsys.readouterr().err


def test_few_recordings_get_no_interval_until_folds_make_them_enough(tmp_path):
    """Two recordings per fold are too few for an interval, the six of all folds are not."""
    labels = [CLASSES[row % 4] for row in range(48)]
    groups = [f"recording {row // 8}" for row in range(48)]
    frames = write_clips(tmp_path / "frames", labels, groups=groups)
    write_bundle(tmp_path / "model")
    results = []
    for fold in range(3):
        parts = ["test" if row // 8 % 3 == fold else "train" for row in range(48)]
        write_split(tmp_path / f"split {fold}", frames, parts)
        inputs = {name: tmp_path / name for name in ("model", "frames")}
        results.append(tmp_path / f"evaluation {fold}")
        STAGE.execute(
            EvaluateSettings(bootstrap=50, baseline=False),
            {**inputs, "split": tmp_path / f"split {fold}"},
            {"evaluation": results[-1]},
            tmp_path / "state",
        )
    one = ClipMetrics.read(results[0])
    assert one.overall.model.intervals == {}
    assert any("No intervals are given: 2 recordings at hand" in note for note in one.notes)
    for count, given in ((2, False), (3, True)):
        pool.pool_evaluations(results[:count], tmp_path / f"pooled {count}", replicates=50)
        found = ClipMetrics.read(tmp_path / f"pooled {count}")
        assert ("macro_f1" in found.overall.model.intervals) == given
        assert any("No intervals are given" in note for note in found.notes) != given
