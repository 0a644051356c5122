"""Intervals resample groups, agree with theory, and cost little."""

import numpy as np
import pytest
from sklearn import metrics as reference

from components.core.metrics.bootstrap import (
    GroupTables,
    bootstrap,
    bootstrap_average_precision,
    bootstrap_difference,
    group_numbers,
    interval,
)
from components.core.metrics.classification import one_hot
from components.core.metrics.ranking import weighted_average_precision


@pytest.fixture(scope="module")
def labels():
    rng = np.random.default_rng(5)
    actual = rng.choice(4, size=600, p=[0.4, 0.3, 0.2, 0.1])
    wrong = rng.random(600) < 0.3
    predicted = np.where(wrong, rng.choice(4, size=600), actual)
    return one_hot(actual, 4), one_hot(predicted, 4)


def test_group_numbers_keep_recordings_together_and_unnamed_clips_apart():
    assert group_numbers(["b", "", "a", "b", ""]).tolist() == [0, 1, 2, 0, 3]


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_weighted_sum_of_group_tables_gives_scikit_learns_weighted_figures(labels, multi_label):
    actual, predicted = labels
    if multi_label:
        rng = np.random.default_rng(6)
        actual, predicted = actual | (rng.random(actual.shape) < 0.2), predicted.copy()
        actual[::40] = predicted[::40] = False  # rows without any label
    groups = np.arange(600) // 20
    tables = GroupTables.of(actual, predicted, groups, multi_label=multi_label)
    weights = np.random.default_rng(0).integers(0, 4, size=30)
    ours = tables.figures((weights.astype(np.float32) @ tables.sums)[None])
    rows = weights[groups]
    for average in ("macro", "micro"):
        theirs = reference.f1_score(actual, predicted, average=average, sample_weight=rows)
        assert ours[f"{average}_f1"][0] == pytest.approx(theirs)
    each = reference.f1_score(actual, predicted, average=None, sample_weight=rows)
    np.testing.assert_allclose(ours["class_f1"][0], each)
    whole = reference.accuracy_score(actual, predicted, sample_weight=rows)
    assert ours["exact_match" if multi_label else "accuracy"][0] == pytest.approx(whole)
    if multi_label:
        theirs = reference.f1_score(actual, predicted, average="samples", sample_weight=rows)
        assert ours["samples_f1"][0] == pytest.approx(theirs)


def test_the_interval_of_accuracy_agrees_with_the_binomial(labels):
    tables = GroupTables.of(*labels, np.arange(600), multi_label=False)
    low, high = interval(bootstrap(tables, replicates=4000, seed=1)["accuracy"], 0.95)
    accuracy = (labels[0] == labels[1]).all(axis=1).mean()
    half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / 600)
    assert low == pytest.approx(accuracy - half, abs=0.004)
    assert high == pytest.approx(accuracy + half, abs=0.004)


def test_copies_of_a_clip_in_its_group_do_not_narrow_the_interval(labels):
    actual, predicted = (np.repeat(table[:60], 10, axis=0) for table in labels)
    together = GroupTables.of(actual, predicted, np.arange(600) // 10, multi_label=False)
    apart = GroupTables.of(actual, predicted, np.arange(600), multi_label=False)
    once = GroupTables.of(labels[0][:60], labels[1][:60], np.arange(60), multi_label=False)
    widths = [
        np.subtract(*interval(bootstrap(t, replicates=4000, seed=2)["macro_f1"], 0.95)[::-1])
        for t in (together, apart, once)
    ]
    assert widths[0] == pytest.approx(widths[2], rel=0.1)
    assert widths[0] > 2 * widths[1]


def test_merging_equal_groups_changes_nothing_but_the_cost(labels):
    """600 single clips have few distinct tables; 60 of them too many to be worth merging."""
    merged = GroupTables.of(*labels, np.arange(600), multi_label=False)
    noisy = GroupTables(
        np.concatenate([merged.sums, np.arange(600, dtype=np.float32)[:, None]], axis=1),
        4,
        False,
        0,
    )
    for figure in ("macro_f1", "accuracy"):
        first, second = (
            interval(bootstrap(t, replicates=4000, seed=3)[figure], 0.9) for t in (merged, noisy)
        )
        assert first == pytest.approx(second, abs=0.006)


def test_the_same_seed_gives_the_same_interval(labels):
    tables = GroupTables.of(*labels, np.arange(600) // 30, multi_label=False)
    runs = [bootstrap(tables, replicates=200, seed=seed)["macro_f1"] for seed in (7, 7, 8)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_a_difference_is_paired(labels):
    """Of two classifiers that err on the same clips the difference is far surer than either."""
    actual, predicted = labels
    better = predicted.copy()
    better[:30] = actual[:30]
    ours, theirs = (
        GroupTables.of(actual, p, np.arange(600), multi_label=False) for p in (better, predicted)
    )
    low, high = interval(
        bootstrap_difference(ours, theirs, replicates=2000, seed=4)["accuracy"], 0.95
    )
    gain = (better == actual).all(axis=1).mean() - (predicted == actual).all(axis=1).mean()
    assert 0 < low < gain < high
    alone = interval(bootstrap(ours, replicates=2000, seed=4)["accuracy"], 0.95)
    assert high - low < 0.5 * (alone[1] - alone[0])


def test_weighted_average_precision_equals_scikit_learns():
    rng = np.random.default_rng(9)
    actual = rng.random(200) < 0.3
    scores = np.round(rng.random(200) + 0.4 * actual, 2)
    weights = rng.integers(0, 3, size=(5, 200))
    ours = weighted_average_precision(actual, scores, weights)
    theirs = [
        reference.average_precision_score(actual, scores, sample_weight=row) for row in weights
    ]
    np.testing.assert_allclose(ours, theirs)
    assert np.isnan(weighted_average_precision(actual, scores, np.zeros((1, 200)))[0])


def test_average_precision_is_resampled_by_group_within_a_budget():
    rng = np.random.default_rng(10)
    actual = rng.random((120, 3)) < 0.4
    scores = rng.random((120, 3)) + 0.5 * actual
    values = bootstrap_average_precision(
        actual, scores, np.arange(120) // 4, replicates=300, seed=0
    )
    point = reference.average_precision_score(actual, scores)
    low, high = interval(values, 0.95)
    assert low < point < high
    big = np.zeros((100_000, 26), dtype=bool)
    big[0] = True
    assert (
        bootstrap_average_precision(
            big, big.astype(float), np.arange(100_000), replicates=1000, seed=0
        )
        is None
    )


def test_undefined_replicates_are_left_out_of_the_interval():
    assert interval(np.array([0.5, np.nan, 0.5]), 0.95) == (0.5, 0.5)
    assert interval(np.array([np.nan]), 0.95) is None
