"""Search spaces: what they may say, and what is refused by name."""

from typing import Any

import pytest

from components.hpo_sweep.bounds import problems, violations
from components.hpo_sweep.space import Dimension, grid, parse

FIELDS: dict[str, Any] = {
    "rate": {"type": "number", "default": 0.1},
    "depth": {"type": "integer", "default": 2},
    "shape": {"type": "string", "enum": ["round", "square"], "default": "round"},
    "flip": {"type": "boolean", "default": False},
    "steps": {"type": "array", "default": []},
    "workers": {"type": "integer", "default": 0, "runtime": True},
    "seed": {"type": "integer", "default": 0},
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"rate": {"low": "1e-4", "high": 1}}, Dimension("rate", low=1e-4, high=1)),
        ({"rate": {"low": 1e-4, "high": 1, "log": True}}, Dimension("rate", False, 1e-4, 1, True)),
        ({"rate": [1e-4, "1e-1"]}, Dimension("rate", low=1e-4, high=0.1, log=True)),
        ({"rate": [0, 0.5]}, Dimension("rate", low=0, high=0.5)),
        ({"depth": [1, 5]}, Dimension("depth", True, 1, 5)),
        ({"depth": {"low": 1, "high": 5, "step": 2}}, Dimension("depth", True, 1, 5, step=2)),
        ({"depth": [1, 2, 5]}, Dimension("depth", choices=(1, 2, 5))),
        ({"shape": ["round", "square"]}, Dimension("shape", choices=("round", "square"))),
        ({"flip": {"choices": [True, False]}}, Dimension("flip", choices=(True, False))),
        ({"steps": {"choices": [[], [3, 5]]}}, Dimension("steps", choices=([], [3, 5]))),
    ],
)
def test_every_form_is_understood(given: dict[str, Any], expected: Dimension) -> None:
    found, wrong = parse(given, FIELDS)
    assert wrong == []
    assert found == [expected]
    assert all(expected.holds(end) for end in expected.ends())
    again, wrong = parse({expected.name: expected.describe()}, FIELDS)
    assert (again, wrong) == (found, [])


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("rates", [0.1, 1], "no such setting; did you mean 'rate'"),
        ("rate", {"low": 1, "high": 0.1}, "low 1 is above high 0.1"),
        ("rate", [0.5, 0.5], "low 0.5 is equal to high 0.5"),
        ("rate", {"low": 0, "high": 1, "log": True}, "low 0 has no logarithm"),
        ("rate", {"low": -1, "high": 1, "log": True}, "low -1 has no logarithm"),
        ("rate", {"low": 0.1}, "high is missing"),
        ("rate", {"low": "small", "high": 1}, "low 'small' is no number"),
        ("rate", {"low": float("nan"), "high": 1}, "low nan is no number"),
        ("rate", {"low": 0.1, "high": 1, "max": 3}, "'max': unknown"),
        ("rate", {"low": 0.1, "high": 1, "log": "yes"}, "log 'yes': expected true or false"),
        ("rate", {"low": 0.1, "high": 1, "step": 5}, "step 5: expected above 0"),
        ("rate", {"low": 0.1, "high": 1, "step": 0.1, "log": True}, "do not go together"),
        ("rate", {"low": 0.1, "choices": [1]}, "either choices or a range"),
        ("rate", 0.3, "0.3 is no range"),
        ("rate", [], "expected a list of two values"),
        ("depth", [1.5, 3], "low 1.5 is no whole number"),
        ("depth", {"choices": [3]}, "expected a list of two values"),
        ("shape", {"choices": ["round", "round"]}, 'hold "round" more than once'),
        ("shape", {"low": 1, "high": 2}, "have no range"),
        ("workers", [0, 4], "affects speed only"),
        ("seed", [0, 4], "compared by"),
    ],
)
def test_what_is_no_space_is_refused_by_name(name: str, given: Any, text: str) -> None:
    found, wrong = parse({name: given, "depth" if name != "depth" else "rate": [1, 3]}, FIELDS)
    assert len(found) == 1
    assert len(wrong) == 1
    assert wrong[0].startswith(f"search_space.{name}: ")
    assert text in wrong[0]


def test_a_grid_has_every_combination_once() -> None:
    found, _ = parse({"rate": {"low": 0.1, "high": 0.5, "step": 0.2}, "depth": [1, 2]}, FIELDS)
    points = grid(found)
    assert len(points) == 6
    assert {point["depth"] for point in points} == {1, 2}
    assert [round(point["rate"], 6) for point in points[:3]] == [0.1, 0.3, 0.5]
    assert Dimension("rate", low=0.1, high=1).grid() == []


def test_bounds_say_by_how_much_they_are_missed() -> None:
    bounds = ["val_loss <= 0.5", "val_score>=0.8"]
    assert problems(bounds) == []
    missed = violations(bounds, {"val_loss": 0.75, "val_score": 0.9})
    assert list(missed.values()) == [0.25, pytest.approx(-0.1)]
    assert min(violations(bounds, {}).values()) > 1e20
    assert len(problems(["val_loss < 0.5", "val_loss <= much", "0.5"])) == 3
