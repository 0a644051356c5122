"""Tuned thresholds maximise F1 on the clips they are tuned on."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from components.core.metrics.classification import predict_multi
from components.core.metrics.thresholds import tune_thresholds


def test_no_other_threshold_is_better_on_the_tuning_clips():
    rng = np.random.default_rng(0)
    actual = rng.random((300, 4)) < [0.5, 0.2, 0.1, 0.03]
    scores = rng.random((300, 4)) * 0.5 + 0.3 * actual
    thresholds = tune_thresholds(actual, scores)
    reached = f1_score(actual, predict_multi(scores, thresholds), average=None)
    for column in range(4):
        every = [
            f1_score(actual[:, column], scores[:, column] >= cut)
            for cut in np.unique(scores[:, column])
        ]
        assert reached[column] == pytest.approx(max(every))


def test_a_half_stays_where_it_is_already_best():
    actual = np.array([[True], [True], [False], [False]])
    assert tune_thresholds(actual, np.array([[0.9], [0.8], [0.1], [0.2]])) == [0.5]


def test_the_threshold_lies_between_clips_not_on_one():
    actual = np.array([[True], [True], [False]])
    assert tune_thresholds(actual, np.array([[0.3], [0.2], [0.1]]))[0] == pytest.approx(0.15)


def test_a_class_without_positives_keeps_a_half():
    actual = np.zeros((5, 2), dtype=bool)
    actual[0, 0] = True
    thresholds = tune_thresholds(actual, np.linspace(0.1, 0.3, 10).reshape(5, 2))
    assert thresholds[1] == 0.5
