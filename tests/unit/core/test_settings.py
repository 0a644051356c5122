"""Settings: typed, strict, every problem at once."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from pydantic import Field, model_validator

from components.core.errors import SettingsError
from components.core.settings import (
    RUNTIME,
    Settings,
    build,
    parse_assignments,
    read_file,
    restore_integers,
)


class Example(Settings):
    source: str = Field(description="Where the clips are")
    epochs: int = Field(3, ge=1, description="How often")
    rate: float = Field(0.1, description="How fast")
    sizes: list[int] = Field([], description="Some sizes")
    names: list[str] = Field([], description="Some names")
    workers: int = Field(0, description="Processes", json_schema_extra=RUNTIME)


def test_every_problem_is_reported_at_once_with_hints() -> None:
    with pytest.raises(SettingsError) as caught:
        build(Example, {"epoch": 3, "rate": "fast", "epochs": 0})
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "did you mean 'epochs'?" in text
    assert "rate: " in text
    assert "'fast'" in text
    assert "epochs: Input should be greater than or equal to 1 (got 0)" in text
    assert "source: required but not given (Where the clips are)" in text


class Beside(Settings):
    low: int = Field(1, ge=0, description="Least")
    high: int = Field(5, ge=0, description="Most")
    name: str = Field("a", description="One of a and b")
    count: int = Field(0, ge=0, description="How many")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        found = []
        if self.low > self.high:
            found.append(f"low: {self.low} is more than high {self.high}; exchange them")
        if self.name not in ("a", "b"):
            found.append(f"name: got {self.name!r}; use a, or b")
        if self.count == 13:
            found.append("count: 13 is unlucky")
        if found:
            raise ValueError("; ".join(found))
        return self


def test_what_concerns_other_fields_is_told_beside_wrong_ones() -> None:
    with pytest.raises(SettingsError) as caught:
        build(Beside, {"high": -1, "name": "c", "count": 13, "hihg": 3})
    assert sorted(caught.value.problems) == [
        "count: 13 is unlucky",
        "high: Input should be greater than or equal to 0 (got -1)",
        "hihg: unknown parameter; did you mean 'high'?",
        "name: got 'c'; use a, or b",
    ]
    with pytest.raises(SettingsError) as caught:
        build(Beside, {"high": -1, "low": 9})  # high's default is no value that was given
    assert caught.value.problems == ["high: Input should be greater than or equal to 0 (got -1)"]


@pytest.mark.parametrize("given", ["3", "a,b", "confusion=x.npy", ""])
def test_a_bare_value_for_a_list_is_told_how_to_be_written(given: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build(Example, {"source": "x", **parse_assignments([f"names={given}"])})
    assert f"write names=[{given}]" in str(caught.value)
    # What it tells is accepted.
    values = parse_assignments([f"names=[{given}]"])
    expected = [name for name in given.split(",") if name]
    assert [str(name) for name in values["names"]] == expected


def test_numbers_that_travelled_as_floats_are_integers_again() -> None:
    assert build(Example, {"source": "x", "sizes": [1.0, 2.0], "epochs": 4.0}).sizes == [1, 2]
    assert restore_integers({"a": [1.0, {"b": 2.5}]}) == {"a": [1, {"b": 2.5}]}


def test_identity_ignores_what_only_affects_speed() -> None:
    one, two = (build(Example, {"source": "x", "workers": n}) for n in (1, 8))
    assert one.identity() == two.identity()
    assert one.identity() != build(Example, {"source": "y"}).identity()


def test_assignments_are_yaml_except_for_text() -> None:
    values = parse_assignments(["epochs=3", "source=007", "sizes=[1, 2]", "rate="], {"source"})
    assert values == {"epochs": 3, "source": "007", "sizes": [1, 2], "rate": ""}


def test_every_malformed_assignment_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_assignments(["epochs", "=3", "sizes=[1"])
    assert len(caught.value.problems) == 3


@pytest.fixture
def usual_depth() -> Iterator[None]:
    """Python's usual limit of recursion, which libraries of other tests raise."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "mapping"),
        ("a: [1", "not valid YAML"),
        ("1: 2", "mapping"),
        ("a: 2026-13-45", "not valid YAML: month"),
        ("a: !!int abc", "not valid YAML"),
        ("{a: " * 900 + "}" * 900, "nested too deeply"),
    ],
)
@pytest.mark.usefixtures("usual_depth")
def test_files_that_hold_no_parameters_are_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=message):
        read_file(path)
    with pytest.raises(SettingsError, match="cannot read"):
        read_file(tmp_path / "absent.yaml")


def test_json_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text('{"epochs": 2}')
    assert read_file(tmp_path / "params.json") == {"epochs": 2}


def test_broken_json_is_called_json_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "params.json"
    path.write_text('{"epochs": 2,\n "rate": [1}')
    with pytest.raises(SettingsError, match=r"it is not valid JSON: .*line 2 column") as caught:
        read_file(path)
    assert "YAML" not in str(caught.value)
    path.write_text("rate = 2")
    with pytest.raises(SettingsError, match=r"it is not valid JSON: .*line 1 column"):
        read_file(path)
    path.write_text('{"epochs": 2,}')
    assert read_file(path) == {"epochs": 2}
