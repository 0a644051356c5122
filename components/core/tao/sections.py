"""Values of a YAML section, each checked; every problem names file, line, value and the fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from components.core.settings import closest
from components.core.tao.spec_text import SECRET, Lines


@dataclass
class Findings:
    """What is wrong in a file, and what is only worth a word."""

    file: Path
    lines: Lines
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def where(self, path: Sequence[str | int]) -> str:
        """File and line of a value, or of the nearest section that holds it."""
        found = tuple(path)
        while found and found not in self.lines:
            found = found[:-1]
        return f"{self.file}:{self.lines.get(found, 1)}"


def got(value: Any) -> str:
    """A value as an error shows it; one with a model key, or what looks like one, is not shown."""
    told = repr(value)
    return "not shown: a model key" if SECRET.search(told) else f"got {told}"


def named(name: object) -> str:
    """A name as an error shows it: of `model_key:SECRET`, a blank forgotten, the beginning."""
    found = SECRET.search(str(name))
    return str(name)[: found.end()] if found else str(name)


class Section:
    """A mapping in the file."""

    def __init__(self, values: Any, path: tuple[str, ...], findings: Findings) -> None:
        """What is no mapping is told, and taken for an empty one."""
        self.path, self.findings = path, findings
        self.values: Mapping[str, Any] = {}
        if isinstance(values, dict):
            self.values = values
        elif values is not None:
            self.problem((), f"expected `name: value` lines ({got(values)})")

    def problem(self, key: Sequence[str], what: str) -> None:
        """Notes what is wrong with a value, or with the section where `key` is empty."""
        place = (*self.path, *key)
        shown = ".".join(named(part) for part in place)
        name = f"{shown}: " if place else ""
        self.findings.problems.append(f"{self.findings.where(place)}: {name}{what}")

    def only(self, known: Sequence[str]) -> None:
        """Names that are not known: wrong where they look like a known one, else told."""
        for key in self.values:
            if key in known:
                continue
            if hint := closest(key, known):
                self.problem([key], f"unknown name{hint}")
            else:
                place = (*self.path, key)
                name = ".".join(named(part) for part in place)
                told = f"{self.findings.where(place)}: {name} has no effect"
                self.findings.warnings.append(f"{told}; known are {', '.join(known)}")

    def text(
        self, key: str, default: str | None = "", choices: Sequence[str] = (), about: str = ""
    ) -> str:
        """A text; required where `default` is None."""
        value = self.values.get(key)
        if value is None or value == "":
            if default is None:
                meant = f" ({about})" if about else ""
                self.problem([key], f"required but not given{meant}")
            return default or ""
        if not isinstance(value, str):
            shown = got({key: value} if SECRET.search(key) else value)
            self.problem([key], f"expected a text ({shown}); put it in quotes")
            return default or ""
        if choices and value not in choices:
            hint = closest(value, choices)
            self.problem([key], f"{value!r} is none of {', '.join(choices)}{hint}")
        return value

    def place(self, key: str, default: str | None = "", about: str = "") -> str:
        """A path below a folder of the project, which it may not leave."""
        value = self.text(key, default, about=about)
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            self.problem([key], f"{value!r} leads out of the project; give a path {about}")
        return value

    def whole(self, key: str, default: int, least: int) -> int:
        """A whole number, in quotes or not."""
        value = self.values.get(key)
        if value is None:
            return default
        number = _whole(value)
        if number is None or number < least:
            self.problem([key], f"expected a whole number from {least} on ({got(value)})")
            return default
        return number

    def wholes(self, key: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Different whole numbers from 0 on: a list, one number, or a text with commas."""
        value = self.values.get(key)
        if value is None:
            return default
        parts = value.split(",") if isinstance(value, str) else value
        numbers = [_whole(part) for part in (parts if isinstance(parts, list) else [parts])]
        found = tuple(number for number in numbers if number is not None and number >= 0)
        if len(found) != len(numbers) or len(set(found)) != len(found):
            self.problem([key], f"expected different whole numbers, as in [0, 1] ({got(value)})")
            return default
        return found


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
