"""Task: what a group of people wants classified, as settings of the stages that work on it."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from components.core.artifacts.base import Index
from components.core.state import digest


class Task(Index):
    """Index of a Task directory: one `index.json`."""

    SCHEMA: ClassVar[str] = "trainyard/task"

    name: str
    """In the registry; '' where no task was asked for."""
    settings: dict[str, Any]
    """Setting, by the name that all stages share → the value that the task gives it."""

    @classmethod
    def create(cls, name: str, settings: dict[str, Any]) -> Self:
        """Builds the index."""
        return cls(fingerprint=digest([name, settings]), name=name, settings=settings)
