"""What the registry holds, as values: tasks and runs; and what is wrong with a wanted task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from components.core.settings import closest

OTHER = "Other"
"""Class of the clips of every other folder, in a task that wants it."""

LONGEST_NAME = 200

Status = Literal["started", "failed", "skipped", "finished"]


@dataclass(frozen=True)
class RegisteredTask:
    """What somebody wants a model for."""

    name: str
    model_name: str
    """That the model is published under."""
    classes: tuple[str, ...]
    """In the order in which they were named, without OTHER."""
    sources: tuple[str, ...]
    """Names of their folders."""
    train: float
    """Clips of each class: a whole number from 1, or a fraction below 1; 0 for all the rest."""
    validation: float
    """In the same form, above 0."""
    test: float
    """In the same form, above 0."""
    other: bool = False
    """Whether clips of every other folder are the class OTHER."""

    def settings(self) -> dict[str, Any]:
        """The same as settings of the stages that work on it; see `core.artifacts.task`."""
        return {
            "sources": list(self.sources),
            "classes": list(self.classes),
            "other_class": OTHER if self.other else "",
            "train_size": plain(self.train),
            "val_size": plain(self.validation),
            "test_size": plain(self.test),
            "model_name": self.model_name,
        }

    def problems(self) -> list[str]:
        """What is wrong with it whatever the registry holds."""
        # not at the top: who only tells of an ending needs nothing of it
        from components.core.formats.triton import name_problem

        found = [task_name_problem(self.name), name_problem(self.model_name)]
        found += [folder_problem("class", name) for name in self.classes]
        found += [folder_problem("source", name) for name in self.sources]
        found += [_repeated("class", self.classes), _repeated("source", self.sources)]
        if not self.sources:
            found.append("no source is named; give at least one")
        if len(self.classes) + self.other < 2:
            found.append(
                f"{len(self.classes)} class is nothing to tell apart; name two, or one and "
                f"{OTHER!r} for every other folder"
                if self.classes
                else "no class is named; give at least one"
            )
        if self.other and OTHER.lower() in map(str.lower, self.classes):
            found.append(f"class {OTHER!r} is that of every other folder; leave it out")
        return [problem for problem in [*found, *self._size_problems()] if problem]

    def _size_problems(self) -> list[str]:
        sizes = {"train": self.train, "validation": self.validation, "test": self.test}
        found = [size_problem(name, size) for name, size in sizes.items()]
        found += [
            f"{name}: 0 leaves nothing to {use}; give some clips"
            for name, use in (("validation", "choose the best epoch with"), ("test", "evaluate on"))
            if not sizes[name]
        ]
        fractions = sum(size for size in sizes.values() if 0 < size < 1)
        if fractions > 1 or (fractions == 1 and not 0 < self.train < 1):
            found.append(
                f"train, validation, test: fractions add up to {fractions:g}"
                + (", over 1" if fractions > 1 else ", which leaves nothing to train on")
            )
        return found


@dataclass(frozen=True)
class Run:
    """One run of a pipeline for a task."""

    key: str
    """Its id; trying it again keeps it."""
    task: str
    status: Status
    started: datetime
    ended: datetime | None = None
    stage: str = ""
    """Of a failed or skipped run: the stage that ended it."""
    reason: str = ""
    """Of a failed or skipped run: why, in one line."""
    model: str = ""
    version: int = 0
    location: str = ""
    """Of the model repository: a path or `s3://bucket/prefix`."""
    metrics: Mapping[str, float] = field(default_factory=dict)


def plain(size: float) -> int | float:
    """A number of clips as a whole number, a fraction as it is."""
    return int(size) if size == int(size) else size


def size_problem(name: str, size: float) -> str:
    """Why a part cannot have this size; '' when it can."""
    if math.isfinite(size) and (0 <= size < 1 or (size >= 1 and size == int(size))):
        return ""
    return (
        f"{name}: got {size:g}, accepted are clips per class as a whole number, or a fraction "
        "from 0 to below 1"
    )


def folder_problem(kind: str, name: str) -> str:
    """Why a source or class cannot have this name, which is that of folders; '' when it can."""
    if _sound(name) and "/" not in name and not name.startswith("."):
        return ""
    return (
        f"{kind} {name!r}: accepted are names of folders, up to {LONGEST_NAME} visible characters "
        "without '/', not beginning with '.', without spaces at the ends"
    )


def task_name_problem(name: str) -> str:
    """Why a task cannot have this name; '' when it can."""
    if _sound(name):
        return ""
    return (
        f"task {name!r}: accepted are names of up to {LONGEST_NAME} visible characters, without "
        "spaces at the ends"
    )


def hint(name: str, known: Iterable[str]) -> str:
    """A `did you mean` for a name that is not known; '' where none is close."""
    names = list(known)
    same = [other for other in names if other.lower() == name.lower()]
    return f"; did you mean {same[0]!r}?" if same else closest(name, names)


def differences(before: RegisteredTask, after: RegisteredTask) -> str:
    """What one task wants differently, in words."""
    old, new = before.settings(), after.settings()
    return ", ".join(f"{key} {old[key]!r} → {new[key]!r}" for key in old if old[key] != new[key])


def _sound(name: str) -> bool:
    return 0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip()


def _repeated(kind: str, names: Sequence[str]) -> str:
    lower = [name.lower() for name in names]
    twice = [name for place, name in enumerate(names) if name.lower() in lower[:place]]
    return f"{kind} named twice: {', '.join(map(repr, twice))}" if twice else ""
