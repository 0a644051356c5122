"""Tasks by what people call them: a number, or a name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

from components.core.errors import InputError
from components.core.settings import closest


class Named(Protocol):
    """A task, however much of it is known."""

    @property
    def id(self) -> Any:
        """CVAT's number."""

    @property
    def name(self) -> str:
        """Not unique."""


T = TypeVar("T", bound=Named)


def lookup(tasks: Sequence[T], wanted: Iterable[str]) -> list[T]:
    """The tasks of these numbers or exact names, in this order, each once.

    Raises:
        InputError: with every name of which there is no task, or more than one.
    """
    found: dict[str, T] = {}
    problems = []
    for text in wanted:
        matching = [task for task in tasks if str(task.id) == text]
        matching = matching or [task for task in tasks if task.name == text]
        if len(matching) == 1:
            found[str(matching[0].id)] = matching[0]
        elif matching:
            numbers = ", ".join(str(task.id) for task in matching)
            problems.append(f"{text!r} is the name of the tasks {numbers}: give the number")
        else:
            hint = closest(text, [task.name for task in tasks])
            problems.append(
                f"there is no task {text!r}{hint or '; give a number or an exact name'}"
            )
    if problems:
        raise InputError("; ".join(problems))
    return list(found.values())
