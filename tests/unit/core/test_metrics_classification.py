"""Every figure equals scikit-learn's, on tables with absent and never-predicted classes."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

from components.core.metrics.classification import (
    chance_macro_f1,
    confusion_multi,
    confusion_single,
    figures,
    one_hot,
    predict_multi,
    predict_single,
    samples_f1,
)
from components.core.metrics.ranking import micro_roc, precision_recall

CLASSES = [f"class {number}" for number in range(7)]
ABSENT, NEVER_PREDICTED, NEITHER = 6, 5, 4


@pytest.fixture(scope="module")
def multi():
    rng = np.random.default_rng(1)
    actual = rng.random((400, 7)) < [0.5, 0.3, 0.2, 0.1, 0.0, 0.05, 0.0]
    scores = np.round(0.6 * actual + rng.random((400, 7)) * 0.8, 2) / 1.4  # rounded: many ties
    scores[:, NEVER_PREDICTED] *= 0.3
    scores[:, NEITHER] = 0.1
    return actual, scores


@pytest.fixture(scope="module")
def single():
    rng = np.random.default_rng(2)
    labels = rng.choice([0, 1, 2, 3, 5], size=300, p=[0.4, 0.3, 0.2, 0.05, 0.05])
    scores = rng.random((300, 7))
    scores[np.arange(300), labels] += 0.5
    scores[:, [NEITHER, NEVER_PREDICTED]] -= 2
    return labels, scores


@pytest.fixture(autouse=True)
def _quiet_scikit_learn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_multi_label_figures_equal_scikit_learn(multi):
    actual, scores = multi
    predicted = predict_multi(scores, 0.5)
    ours = figures(actual, predicted, CLASSES, scores, multi_label=True)
    for average in ("macro", "micro"):
        theirs = reference.f1_score(actual, predicted, average=average, zero_division=np.nan)
        assert ours.scalars[f"{average}_f1"] == pytest.approx(theirs, abs=1e-12)
    assert (~(actual | predicted).any(axis=1)).any()  # 0/0 occurs
    theirs = reference.f1_score(actual, predicted, average="samples", zero_division=0)
    assert ours.scalars["samples_f1"] == pytest.approx(theirs, abs=1e-12)
    assert ours.scalars["exact_match"] == reference.accuracy_score(actual, predicted)
    zero = reference.f1_score(actual, predicted, average="macro", zero_division=0)
    assert ours.scalars["macro_f1_all_classes"] == pytest.approx(zero, abs=1e-12)
    columns = reference.precision_recall_fscore_support(actual, predicted, zero_division=np.nan)
    for name, theirs in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        np.testing.assert_allclose(ours.per_class[name], theirs, atol=1e-12)
    np.testing.assert_array_equal(
        confusion_multi(actual, predicted),
        reference.multilabel_confusion_matrix(actual, predicted),
    )


def test_average_precision_equals_scikit_learn_and_names_classes_without_positives(multi):
    actual, scores = multi
    ours = figures(actual, predict_multi(scores), CLASSES, scores, multi_label=True)
    present = actual.any(axis=0)
    theirs = reference.average_precision_score(actual[:, present], scores[:, present], average=None)
    np.testing.assert_allclose(ours.per_class["average_precision"][present], theirs, atol=1e-12)
    assert ours.scalars["mean_average_precision"] == pytest.approx(theirs.mean())
    assert ours.undefined["average_precision"] == [CLASSES[NEITHER], CLASSES[ABSENT]]
    assert CLASSES[NEVER_PREDICTED] in ours.undefined["precision"]
    assert CLASSES[NEITHER] in ours.undefined["f1"]
    assert all(np.isfinite(list(ours.scalars.values())))


def test_single_label_figures_equal_scikit_learn(single):
    labels, scores = single
    actual, predicted = one_hot(labels, 7), predict_single(scores)
    chosen = predicted.argmax(axis=1)
    ours = figures(actual, predicted, CLASSES, scores, multi_label=False, top_k=3)
    everything = {"labels": range(7), "zero_division": np.nan}
    assert ours.scalars["accuracy"] == reference.accuracy_score(labels, chosen)
    for average in ("macro", "micro"):
        theirs = reference.f1_score(labels, chosen, average=average, **everything)
        assert ours.scalars[f"{average}_f1"] == pytest.approx(theirs, abs=1e-12)
    # scikit-learn's default macro average leaves out classes that neither occur nor are predicted.
    theirs = reference.f1_score(labels, chosen, average="macro")
    assert ours.scalars["macro_f1"] == pytest.approx(theirs, abs=1e-12)
    top = reference.top_k_accuracy_score(labels, scores, k=3, labels=range(7))
    assert ours.scalars["top_3_accuracy"] == top
    columns = reference.precision_recall_fscore_support(labels, chosen, **everything)
    for name, theirs in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        np.testing.assert_allclose(ours.per_class[name], theirs, atol=1e-12)
    np.testing.assert_array_equal(
        confusion_single(actual, predicted),
        reference.confusion_matrix(labels, chosen, labels=range(7)),
    )


def test_top_k_breaks_ties_as_scikit_learn():
    labels = np.array([0, 1, 2, 3])
    scores = np.zeros((4, 4))
    ours = figures(
        one_hot(labels, 4), predict_single(scores), list("abcd"), scores, multi_label=False, top_k=2
    )
    assert ours.scalars["top_2_accuracy"] == reference.top_k_accuracy_score(labels, scores, k=2)


def test_precision_recall_curve_equals_scikit_learn(multi):
    actual, scores = multi
    precision, recall, cuts = precision_recall(actual[:, 0], scores[:, 0])
    theirs = reference.precision_recall_curve(actual[:, 0], scores[:, 0])
    np.testing.assert_allclose(precision[::-1], theirs[0][:-1])
    np.testing.assert_allclose(recall[::-1], theirs[1][:-1])
    np.testing.assert_allclose(cuts[::-1], theirs[2])


def test_micro_roc_lies_on_scikit_learns_and_is_finite(multi):
    actual, scores = multi
    points = np.array(micro_roc(actual, scores, points=20))
    assert len(points) <= 20
    assert np.isfinite(points).all()
    false, true, cuts = reference.roc_curve(actual.ravel(), scores.ravel(), drop_intermediate=False)
    rows = np.searchsorted(-cuts, -points[:, 2])
    np.testing.assert_allclose(points[:, :2], np.stack([false, true], axis=1)[rows])
    assert micro_roc(np.zeros((3, 2), bool), np.zeros((3, 2))) == []


def test_a_row_where_nothing_is_true_or_chosen_counts_as_scikit_learn_counts_it():
    actual = np.array([[True, False], [False, False], [True, True]])
    predicted = np.array([[True, True], [False, False], [False, False]])
    np.testing.assert_allclose(samples_f1(actual, predicted), [2 / 3, 0, 0])
    theirs = reference.f1_score(actual, predicted, average="samples")
    assert samples_f1(actual, predicted).mean() == pytest.approx(theirs)


def test_no_rows_give_no_figures_instead_of_nan():
    empty = np.zeros((0, 2), dtype=bool)
    result = figures(empty, empty, ["a", "b"], np.zeros((0, 2)), multi_label=False)
    assert "accuracy" not in result.scalars
    assert set(result.undefined) >= {"accuracy", "macro_f1", "micro_f1"}


def test_chance_is_what_guessing_by_frequency_reaches():
    rng = np.random.default_rng(3)
    shares = [0.6, 0.3, 0.1]
    labels, guesses = (rng.choice(3, size=200_000, p=shares) for _ in range(2))
    reached = reference.f1_score(labels, guesses, average="macro")
    assert chance_macro_f1(one_hot(labels, 3)) == pytest.approx(reached, abs=0.01)
