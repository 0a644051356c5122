"""Tasks and images as settings name them: exactly, by the end of a path, or by a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from components.core.errors import InputError
from components.core.formats.image_files import normal_name
from components.core.formats.shapes import AnnotatedImage

SHOWN = 10
"""Names that a message lists."""


def pattern(text: str) -> re.Pattern[str]:
    """A text in which `*` stands for anything; every other character for itself."""
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


@dataclass(frozen=True)
class TaskNames:
    """Which tasks are wanted: exact names or ids, or patterns; none for all."""

    wanted: Sequence[str]

    def takes(self, number: str, name: str) -> bool:
        """Whether the task of this id and name is wanted."""
        return not self.wanted or any(_means(text, number, name) for text in self.wanted)

    def refuse_absent(self, tasks: Iterable[tuple[str, str]], where: str) -> None:
        """Refuses names that mean no task.

        Args:
            tasks: id and name of all that are there.
            where: that is, for the message.

        Raises:
            InputError: with all that mean none.
        """
        there = list(tasks)
        absent = [t for t in self.wanted if not any(_means(t, *task) for task in there)]
        if not absent:
            return
        names = sorted({name for _, name in there})
        lines = []
        for text in absent:
            close = get_close_matches(text, names, n=1)
            lines.append(f"{text!r}" + (f" (did you mean {close[0]!r}?)" if close else ""))
        raise InputError(
            f"tasks: {', '.join(lines)}: no such task in {where}; there are {shown(names)}"
        )


def _means(text: str, number: str, name: str) -> bool:
    if text in (number, name):
        return True
    return "*" in text and pattern(text).fullmatch(name) is not None


@dataclass
class ImageNames:
    """Images that are named: by names, ends of paths, or patterns."""

    given: Sequence[str]
    met: set[str] = field(default_factory=set)
    """Those of `given` that meant an image."""

    def __post_init__(self) -> None:
        self._patterns = [(text, pattern(text)) for text in self.given if "*" in text]
        self._by_file: dict[str, list[tuple[str, str]]] = {}
        for text in self.given:
            name = normal_name(text)
            if "*" not in text and name:
                self._by_file.setdefault(name.rpartition("/")[2], []).append((text, name))

    def mean(self, image: AnnotatedImage) -> bool:
        """Whether an image is among them."""
        named = self._by_file.get(image.name.rpartition("/")[2], [])
        found = {text for text, name in named if _one_ends(image.name, name)}
        found |= {text for text, one in self._patterns if one.fullmatch(image.name)}
        self.met |= found
        return bool(found)

    def unmet(self) -> list[str]:
        """Those that meant no image."""
        return [text for text in self.given if text not in self.met]


def shown(names: Sequence[str]) -> str:
    """Names for a message, cut short when there are many."""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest if names else "none"


def _one_ends(first: str, second: str) -> bool:
    """Whether one path is the other, or its end."""
    return f"/{first}".endswith(f"/{second}") or f"/{second}".endswith(f"/{first}")
