"""The single-frame baseline learns what a frame shows, and nothing where a frame shows nothing."""

import numpy as np

from components.core.metrics.baseline import fit_still_classifier, still_features
from components.core.metrics.classification import one_hot


def frames_and_labels(count, seed, informative=True):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, size=count)
    frames = rng.integers(0, 120, size=(count, 40, 60, 3), dtype=np.uint8)
    if informative:
        for frame, label in zip(frames, labels, strict=True):
            frame[:, 20 * label : 20 * label + 20] += 60
    return still_features(frames), one_hot(labels, 3)


def accuracy(informative):
    train, val, test = (
        frames_and_labels(n, s, informative) for n, s in ((120, 0), (40, 1), (90, 2))
    )
    model = fit_still_classifier(train, val, multi_label=False)
    return (model(test[0]).argmax(axis=1) == test[1].argmax(axis=1)).mean()


def test_it_reads_what_the_frame_shows():
    assert accuracy(informative=True) > 0.95


def test_it_stays_at_chance_where_the_frame_shows_nothing():
    assert accuracy(informative=False) < 0.5


def test_multi_label_and_classes_without_training_clips():
    features, labels = frames_and_labels(90, 3)
    table = np.concatenate([labels, np.zeros((90, 1), bool)], axis=1)
    table[:, 1] |= table[:, 0]
    model = fit_still_classifier((features, table), (features[:0], table[:0]), multi_label=True)
    probabilities = model(features)
    assert ((probabilities > 0.5)[:, :3] == table[:, :3]).mean() > 0.95
    assert (probabilities[:, 3] == 0).all()


def test_a_single_class_in_training_is_always_predicted():
    features, labels = frames_and_labels(20, 4)
    only = one_hot(np.full(20, 2), 3)
    model = fit_still_classifier((features, only), (features[:0], labels[:0]), multi_label=False)
    assert (model(features).argmax(axis=1) == 2).all()


def test_features_are_small_rgb_rows():
    frames = [np.full((48, 64, 3), (255, 0, 51), np.uint8)]
    rows = still_features(frames)
    assert rows.shape == (1, 32 * 32 * 3)
    np.testing.assert_allclose(rows[0, :3], [1, 0, 0.2])
