"""Verified tasks are paired with those of the ground truth, and brought into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from components.core.detection.task_lookup import lookup
from components.core.detection.verified import Plan, plan
from components.core.errors import InputError, ProblemsError
from components.core.wording import counted

if TYPE_CHECKING:
    from components.core.cvat import Cvat, TaskInfo

Pair = tuple["TaskInfo", "TaskInfo"]
"""Verified task, and that of the ground truth."""


@dataclass
class Push:
    """One verified task and what it changes."""

    server: Cvat
    verified: TaskInfo
    truth: TaskInfo
    iou: float
    remove_missing: bool
    plan: Plan

    def __str__(self) -> str:
        head = f"{self.verified.name} ({self.verified.id}) → {self.truth.name} ({self.truth.id})"
        return "\n".join([f"{head}: {self.plan}", *(f"  {note}" for note in self.plan.notes)])

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.plan.create or self.plan.update or self.plan.delete)

    def carry_out(self) -> str:
        """Sends what is new, changed and removed, one request each; says so.

        The ground truth is read again first: another task may have gone into it meanwhile, and
        changed boxes have new ids.
        """
        verified, truth = self.server.task(self.verified.id), self.server.task(self.truth.id)
        self.plan, problems = plan(verified, truth, self.iou, self.remove_missing)
        if problems:
            raise ProblemsError([InputError(line) for line in problems], "the ground truth")
        if self.plan.create:
            self.server.upload(truth.id, self.plan.create)
        if self.plan.update:
            self.server.update(truth.id, self.plan.update)
        if self.plan.delete:
            self.server.remove(truth.id, self.plan.delete)
        return f"task {truth.id} {truth.name}: {self.plan}"


def plans(server: Cvat, pairs: Sequence[Pair], iou: float, remove_missing: bool) -> list[Push]:
    """What each pair changes.

    Raises:
        ProblemsError: with every frame and label that a task of the ground truth lacks.
    """
    made, problems = [], []
    for verified, truth in pairs:
        changes, wrong = plan(server.task(verified.id), server.task(truth.id), iou, remove_missing)
        problems += wrong
        made.append(Push(server, verified, truth, iou, remove_missing, changes))
    if problems:
        errors = [InputError(line) for line in problems]
        raise ProblemsError(errors, "the verified tasks; nothing was changed")
    return made


def paired(
    server: Cvat, source: str, target: str, pairs: Sequence[str], key: str
) -> tuple[list[Pair], list[str]]:
    """The pairs, and lines about tasks that are left out.

    Args:
        server: with the tasks.
        source: pattern of the verified tasks; only completed ones are taken.
        target: pattern of those of the ground truth.
        pairs: `verified=truth` by numbers or names, in place of both.
        key: two names that are equal from this text on belong together (blanks and underscores are
            the same); where the name of a verified task does not hold it, the task belongs to that
            whose whole name is its end.

    Raises:
        InputError: with every task that is not there, not completed, or has no single counterpart.
    """
    tasks = server.tasks()
    if pairs:
        return _given(tasks, pairs), []
    verified = [task for task in tasks if fnmatchcase(task.name, source)]
    truth = [task for task in tasks if fnmatchcase(task.name, target)]
    left = [
        f"task {task.id} {task.name} is not completed: left out"
        for task in verified
        if not task.completed
    ]
    found, problems = [], []
    for task in verified:
        if not task.completed:
            continue
        others = [other for other in truth if other.id != task.id and _belong(task, other, key)]
        if len(others) == 1:
            found.append((task, others[0]))
        else:
            names = ", ".join(f"{other.id} {other.name}" for other in others)
            what = f"belongs to several tasks ({names})" if others else "belongs to no task"
            problems.append(f"{task.id} {task.name!r} {what}: give --pair {task.id}=<number>")
    if not verified:
        problems.append(f"--from: no task is called {source!r}")
    if not truth:
        problems.append(f"--to: no task is called {target!r}")
    if not found and not problems:
        problems.append(f"--from: {counted(len(verified), 'task')}, but none is completed")
    if problems:
        raise ProblemsError([InputError(line) for line in problems], "the pairs of tasks")
    return found, left


def _given(tasks: Sequence[TaskInfo], pairs: Sequence[str]) -> list[Pair]:
    found: list[Pair] = []
    problems = []
    for text in pairs:
        first, sign, second = (part.strip() for part in text.partition("="))
        if not sign or not first or not second:
            problems.append(f"--pair: got {text!r}, accepted is verified=truth")
            continue
        try:
            one, other = (lookup(tasks, [name])[0] for name in (first, second))
        except InputError as error:
            problems.append(f"--pair {text}: {error}")
            continue
        if one.id == other.id:
            problems.append(f"--pair {text}: both are task {one.id}")
        elif not one.completed:
            problems.append(f"--pair {text}: {one.name!r} is not completed: verify it first")
        else:
            found.append((one, other))
    if problems:
        raise ProblemsError([InputError(line) for line in problems], "the pairs of tasks")
    return found


def _belong(verified: TaskInfo, truth: TaskInfo, key: str) -> bool:
    one, other, text = (name.replace(" ", "_") for name in (verified.name, truth.name, key))
    if text and text in one:
        return text in other and _rest(one, text) == _rest(other, text)
    return one == other or one.endswith(f"_{other}")


def _rest(name: str, key: str) -> str:
    return name.partition(key)[2]
