"""Placeholders: both generations, whole identifiers, unknown ones by name and line."""

from __future__ import annotations

import pytest

from components.core.errors import SettingsError
from components.core.tao import specs

VALUES = {
    "experiment": "E", "project": "P", "dataset": "/d", "dataset_raw": "/d", "tfrecords": "/t",
    "dataset_tfrecord": "/t", "pretrained_model": "/w.hdf5", "specs": "/s",
}  # fmt: skip


def test_the_values_are_those_of_every_placeholder() -> None:
    assert set(VALUES) == set(specs.PLACEHOLDERS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"$dataset/full"', '"/d/full"'),
        ('"$dataset_raw/x" "$dataset_tfrecord/tfrecord*"', '"/d/x" "/t/tfrecord*"'),
        ("$experiment-$project.$pretrained_model", "E-P./w.hdf5"),
        ("$tfrecords$tfrecords", "/t/t"),
        (
            "c: ${results_dir}/train ${eval: '2 * ${x}'}",
            "c: ${results_dir}/train ${eval: '2 * ${x}'}",
        ),
        ("price: 5$ # of $nobody, see $experiment", "price: 5$ # of $nobody, see E"),
    ],
)
def test_placeholders_are_replaced_as_whole_words(text: str, expected: str) -> None:
    assert specs.render(text, VALUES) == expected


def test_all_unknown_placeholders_are_named_at_once() -> None:
    text = 'a: "$dataset"\nb: "$datasets/x"\nc: "$DATA_DIR # no comment" # $comment\nd: a#$e\n'
    with pytest.raises(SettingsError) as caught:
        specs.render(text, VALUES, "train.txt")
    assert len(caught.value.problems) == 3
    first, second, third = caught.value.problems
    assert first == "train.txt:2: unknown placeholder $datasets; did you mean '$dataset'?"
    assert second.startswith("train.txt:3: unknown placeholder $DATA_DIR; known are $experiment, ")
    assert third.startswith("train.txt:4: unknown placeholder $e")


def test_a_value_that_looks_like_a_placeholder_is_not_replaced_again() -> None:
    assert specs.render("$dataset", {**VALUES, "dataset": "/$experiment"}) == "/$experiment"
