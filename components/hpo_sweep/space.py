"""The search space: which settings of a trainer are searched, and over which values."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.core.settings import closest, restore_integers

if TYPE_CHECKING:
    import optuna

ACCEPTED = (
    "accepted are {low: 1e-4, high: 1e-1, log: true}, {low: 1, high: 5, step: 1}, [low, high], "
    "{choices: [a, b]} or a list of texts"
)
_KEYS = {"low", "high", "log", "step", "choices"}


@dataclass(frozen=True)
class Dimension:
    """One setting that is searched: a range, or a list of values."""

    name: str
    whole: bool = False
    """Only whole numbers."""
    low: float = 0
    high: float = 0
    log: bool = False
    step: float = 0
    """Distance of the values tried; 0 for any (1 for whole numbers)."""
    choices: tuple[Any, ...] = ()

    def suggest(self, trial: optuna.Trial) -> Any:
        """The value that a trial has for it."""
        if self.choices:
            return json.loads(trial.suggest_categorical(self.name, self._texts()))
        if self.whole:
            step = int(self.step) or 1
            return trial.suggest_int(
                self.name, int(self.low), int(self.high), step=step, log=self.log
            )
        return trial.suggest_float(
            self.name, self.low, self.high, step=self.step or None, log=self.log
        )

    def stored(self, value: Any) -> Any:
        """A value in the form that Optuna keeps."""
        return json.dumps(self._chosen(value)) if self.choices else value

    def read(self, value: Any) -> Any:
        """A number that YAML takes for a text, such as 1e-4, as a number."""
        number = None if self.choices or not isinstance(value, str) else _number(value)
        return value if number is None else number

    def restored(self, value: Any) -> Any:
        """The opposite of `stored`."""
        return json.loads(value) if self.choices else value

    def holds(self, value: Any) -> bool:
        """Whether a value is one that may be tried."""
        if self.choices:
            return self._chosen(value) is not None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (not self.whole or value == int(value))

    def ends(self) -> list[Any]:
        """The extreme values of a range, or all choices: what the trainer has to accept."""
        if self.choices:
            return list(self.choices)
        return [int(self.low), int(self.high)] if self.whole else [self.low, self.high]

    def grid(self) -> list[Any]:
        """Every value, where there are finitely many; else an empty list."""
        if self.choices:
            return list(self.choices)
        step = self.step or (1 if self.whole else 0)
        if not step or self.log:
            return []
        count = int((self.high - self.low) / step + 1e-9) + 1
        values = [self.low + number * step for number in range(count)]
        return [int(value) for value in values] if self.whole else values

    def describe(self) -> dict[str, Any]:
        """The same as a search space says it."""
        if self.choices:
            return {"choices": list(self.choices)}
        low, high = self.ends()
        step = {"step": self.step} if self.step else {}
        return {"low": low, "high": high, **({"log": True} if self.log else {}), **step}

    def _chosen(self, value: Any) -> Any:
        """The choice that a value is, None where it is none; 1 is 1.0, but not true."""
        equal = [choice for choice in self.choices if choice == value]
        return next((c for c in equal if isinstance(c, bool) == isinstance(value, bool)), None)

    def _texts(self) -> list[str]:
        return [json.dumps(choice) for choice in self.choices]


def parse(space: Mapping[str, Any], fields: Mapping[str, Any]) -> tuple[list[Dimension], list[str]]:
    """The dimensions of a search space, and everything that is wrong with it.

    Args:
        space: setting → `{low, high}` with `log` or `step`, `{choices}`, or a list: two numbers
            are a range (logarithmic for fractions above 0, as weed trainers write it).
        fields: the trainer's settings as JSON schema, by name.
    """
    found, problems = [], []
    for name, given in sorted(space.items()):  # Kubeflow's mappings have no order
        try:
            found.append(_dimension(name, given, fields))
        except ValueError as error:
            problems.append(f"search_space.{name}: {error}")
    return found, problems


def grid(dimensions: Iterable[Dimension]) -> list[dict[str, Any]]:
    """Every combination of values, each as setting → value."""
    dimensions = list(dimensions)
    names = [dimension.name for dimension in dimensions]
    values = itertools.product(*(dimension.grid() for dimension in dimensions))
    return [dict(zip(names, combination, strict=True)) for combination in values]


def _dimension(name: str, given: Any, fields: Mapping[str, Any]) -> Dimension:
    if name not in fields:
        raise ValueError(f"the trainer has no such setting{closest(name, fields)}")
    field = fields[name]
    if field.get("runtime"):
        raise ValueError("it affects speed only, never the result; leave it out")
    if name in ("seed", "monitor"):
        raise ValueError("it is what trials are compared by; leave it out")
    numeric = field.get("type") in ("integer", "number")
    if isinstance(given, list):
        numbers = [_number(value) for value in given]
        if numeric and len(given) == 2 and None not in numbers:
            log = field["type"] == "number" and (_number(given[0]) or 0) > 0
            given = {"low": given[0], "high": given[1], "log": log}
        else:
            given = {"choices": given}
    if not isinstance(given, dict) or not given:
        raise ValueError(f"{given!r} is no range; {ACCEPTED}")
    if unknown := [key for key in given if key not in _KEYS]:
        hint = closest(str(unknown[0]), _KEYS)
        raise ValueError(f"{', '.join(map(repr, unknown))}: unknown{hint}; {ACCEPTED}")
    if "choices" in given:
        return _categorical(name, given, numeric)
    if not numeric:
        kind = field.get("type", "of several types")
        raise ValueError(f"its values are {kind}, which have no range; give {{choices: [...]}}")
    return _range(name, given, field["type"] == "integer")


def _categorical(name: str, given: Mapping[str, Any], numeric: bool) -> Dimension:
    if len(given) > 1:
        raise ValueError(f"give either choices or a range, not both; {ACCEPTED}")
    choices = given["choices"]
    if not isinstance(choices, list) or len(choices) < 2:
        raise ValueError(f"choices {choices!r}: expected a list of two values or more")
    if numeric:
        choices = [value if (n := _number(value)) is None else n for value in choices]
    texts = [json.dumps(value) for value in restore_integers(choices)]
    if twice := sorted({text for text in texts if texts.count(text) > 1}):
        raise ValueError(f"choices hold {', '.join(twice)} more than once")
    return Dimension(name, choices=tuple(choices))


def _range(name: str, given: Mapping[str, Any], whole: bool) -> Dimension:
    low, high = (_bound(given, key, whole) for key in ("low", "high"))
    log = given.get("log", False)
    if not isinstance(log, bool):
        raise ValueError(f"log {log!r}: expected true or false")
    if low >= high:
        relation = "above" if low > high else "equal to"
        raise ValueError(f"low {low:g} is {relation} high {high:g}; exchange or widen them")
    if log and low <= 0:
        raise ValueError(f"low {low:g} has no logarithm; give a low above 0, or log: false")
    step = 0.0
    if "step" in given:
        step = _bound(given, "step", whole)
        if step <= 0 or step > high - low:
            raise ValueError(f"step {step:g}: expected above 0 and at most {high - low:g}")
        if log:
            raise ValueError("step and log do not go together; leave one of them out")
    return Dimension(name, whole, low, high, log, step)


def _bound(given: Mapping[str, Any], key: str, whole: bool) -> float:
    if key not in given:
        raise ValueError(f"{key} is missing; {ACCEPTED}")
    number = _number(given[key])
    if number is None or not math.isfinite(number):
        raise ValueError(f"{key} {given[key]!r} is no number")
    if whole and number != int(number):
        raise ValueError(f"{key} {number:g} is no whole number, as this setting is")
    return number


def _number(value: Any) -> float | int | None:
    """A number, also one that YAML takes for a text, such as 1e-4."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None
