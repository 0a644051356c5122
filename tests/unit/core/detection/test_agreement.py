"""Two runtimes agree where only rounding and its consequences differ."""

import numpy as np

from components.core.detection.agreement import agreement

LIMITS = {"box": 0.01, "score": 0.001}


def tables(rows=20, found=20, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 100, (2, rows, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 50, (2, rows, 2))], 2)
    scores = -np.sort(-rng.uniform(0.2, 1, (2, rows)), axis=1)
    labels = rng.integers(0, 3, (2, rows))
    labels[:, found:], scores[:, found:], boxes[:, found:] = -1, 0, 0
    return boxes, scores, labels


def test_rounding_and_the_order_of_rows_do_not_matter():
    one = tables()
    other = [table[:, ::-1].copy() for table in one]
    other[0] += 1e-3
    other[1] += 1e-4
    found = agreement(one, other, **LIMITS)
    assert found.good
    assert found.alone == 0
    assert found.detections == 80
    assert abs(found.difference - 1e-4) < 1e-9


def test_a_single_flipped_detection_is_accepted_and_several_are_not():
    one = tables()
    few, many = ([table.copy() for table in one] for _ in range(2))
    few[2][0, 3] += 1
    many[2][:, :6] += 1
    assert agreement(one, few, **LIMITS).alone == 2
    assert agreement(one, few, **LIMITS).good
    assert not agreement(one, many, **LIMITS).good


def test_other_boxes_scores_or_labels_are_no_agreement():
    one = tables()
    for index, change in ((0, 5.0), (1, 0.05), (2, 1)):
        other = [table.copy() for table in one]
        other[index] = other[index] + change
        assert not agreement(one, other, **LIMITS).good, index


def test_the_end_of_a_full_table_may_differ_but_not_that_of_another():
    one, other = tables(), tables()
    for table in (one, other):
        table[1][:, 10:] = table[1][:, 10:11]  # ties at the cut
    other[0][:, 10:] += 40
    assert agreement(one, other, **LIMITS).alone == 0
    short, shorter = tables(found=15), tables(found=5)
    assert not agreement(short, shorter, **LIMITS).good


def test_nothing_against_something_is_no_agreement():
    assert not agreement(tables(), tables(found=0), **LIMITS).good
    assert agreement(tables(found=0), tables(found=0), **LIMITS).good
