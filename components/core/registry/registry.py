"""The registry's methods."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from components.core.errors import (
    InputError,
    ProblemsError,
    ServiceError,
    SettingsError,
    TrainyardError,
)
from components.core.registry.database import Database, Migration
from components.core.registry.records import (
    RegisteredTask,
    Run,
    Status,
    differences,
    folder_problem,
    hint,
)

_TASKS = """
SELECT t.name, t.model_name, t.train, t.validation, t.test, t.other,
    ARRAY(SELECT c.name FROM trainyard.task_classes l JOIN trainyard.classes c ON c.id = l.class_id
        WHERE l.task_id = t.id ORDER BY l.position),
    ARRAY(SELECT s.name FROM trainyard.task_sources l JOIN trainyard.sources s ON s.id = l.source_id
        WHERE l.task_id = t.id ORDER BY l.position)
FROM trainyard.tasks t ORDER BY lower(t.name)
"""
_RUNS = """
SELECT r.key, t.name, r.status, r.started, r.ended, r.stage, r.reason, r.model_name,
    r.model_version, r.location, r.metrics
FROM trainyard.runs r JOIN trainyard.tasks t ON t.id = r.task_id
"""


class Registry:
    """Sources, classes, tasks and runs in the database of TRAINYARD_POSTGRES_DSN.

    It is connected to at the first call. What writes makes the tables where they are missing or
    old; what reads refuses them. Every method raises ServiceError where the database cannot be
    used; no message holds its password.
    """

    def __init__(self, known: Sequence[Migration] | None = None) -> None:
        """`known` is all migrations; by default those of this release."""
        self._database = Database(known)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._database.close()

    def initialise(self) -> list[str]:
        """Makes the tables, or brings them up to date; the names of the steps that this took."""
        return self._database.migrate()

    def add_source(self, *names: str) -> list[str]:
        """Adds sources, all or none; returns those that are new.

        Raises:
            SettingsError: names that no folder has, or that are known in another case.
        """
        problems = [folder_problem("source", name) for name in names]
        problems = [problem for problem in problems if problem]
        try:
            with self._database.writing() as cursor:
                known = _names(cursor, "sources")
                problems += _known_otherwise("source", names, known)
                if problems:
                    raise SettingsError(problems, "the sources")
                new = [name for name in dict.fromkeys(names) if name not in known]
                for name in new:
                    cursor.execute("INSERT INTO trainyard.sources (name) VALUES (%s)", (name,))
                return new
        except ServiceError as error:
            raise _together(problems, error, "the sources") from None

    def add_task(
        self, task: RegisteredTask, replace: bool = False, found: Sequence[str] = ()
    ) -> Literal["added", "unchanged", "replaced"]:
        """Adds a task, and those of its classes that are new; the same once more changes nothing.

        Args:
            task: what is wanted.
            replace: put it in the place of another task of this name; runs of that stay.
            found: problems that are known already; told with the others.

        Raises:
            SettingsError: everything that is wrong with it: values, sources that are not known,
                classes known in another case, another task of this name.
        """
        where = f"task {task.name!r}"
        problems = [*found, *task.problems()]
        try:
            with self._database.writing() as cursor:
                tasks = _tasks(cursor)
                before = tasks.get(task.name)
                problems += _conflicts(cursor, task, list(tasks))
                if before and before != task and not (replace or found):
                    problems.append(
                        f"there is one of this name, and it is different "
                        f"({differences(before, task)}); choose another name, or give --replace"
                    )
                if problems:
                    raise SettingsError(problems, where)
                if before == task:
                    return "unchanged"
                _write_task(cursor, task)
                return "replaced" if before else "added"
        except ServiceError as error:
            raise _together(problems, error, where) from None

    def sources(self) -> list[str]:
        """Names of all sources, sorted."""
        with self._database.reading() as cursor:
            return _names(cursor, "sources")

    def classes(self) -> list[str]:
        """Names of all classes, sorted."""
        with self._database.reading() as cursor:
            return _names(cursor, "classes")

    def tasks(self) -> list[RegisteredTask]:
        """All tasks, sorted by name."""
        with self._database.reading() as cursor:
            return list(_tasks(cursor).values())

    def task(self, name: str) -> RegisteredTask:
        """The task of this name.

        Raises:
            InputError: there is none; tells the closest name.
        """
        with self._database.reading() as cursor:
            tasks = _tasks(cursor)
        if name not in tasks:
            raise _unknown_task(name, tasks)
        return tasks[name]

    def start_run(self, key: str, task: str) -> None:
        """Records that a run works on a task; one that failed or was skipped is started once more.

        A run that is finished stays so: what it published is there.

        Raises:
            InputError: there is no such task, or the run is recorded for another one.
        """
        with self._database.writing() as cursor:
            run = _run(cursor, key)
            if run and run.task != task:
                raise InputError(
                    f"run {key!r} is recorded for the task {run.task!r}, not {task!r}; give this "
                    "run another name"
                )
            cursor.execute(
                """
                INSERT INTO trainyard.runs AS r (key, task_id)
                SELECT %s, id FROM trainyard.tasks WHERE name = %s
                ON CONFLICT (key) DO UPDATE
                SET status = 'started', stage = NULL, reason = NULL, ended = NULL
                WHERE r.status IN ('failed', 'skipped')
                """,
                (key, task),
            )
            if not run and not cursor.rowcount:
                raise _unknown_task(task, _tasks(cursor))

    def fail_run(self, key: str, stage: str, reason: str, stopped: bool = False) -> bool:
        """Marks a run as failed; returns whether it did.

        It does not where no such run is recorded, or where it is finished.

        Args:
            key: of the run.
            stage: the one that failed.
            reason: the error in a line or two, without secrets.
            stopped: it was asked to stop; then a failure that was recorded before stands.
        """
        before: list[Status] = ["started"] if stopped else ["started", "failed"]
        return self._end_run(key, "failed", stage, reason, before)

    def skip_run(self, key: str, stage: str, reason: str) -> bool:
        """Marks a run as ended early, as there was nothing to train; returns whether it did.

        Args:
            key: of the run.
            stage: the one that decided.
            reason: why.
        """
        return self._end_run(key, "skipped", stage, reason, ["started"])

    def _end_run(
        self, key: str, status: Status, stage: str, reason: str, before: list[Status]
    ) -> bool:
        """Ends a run that has one of the statuses `before`; returns whether there is such a one."""
        if not self._database.is_made():
            return False
        with self._database.reading() as cursor:
            cursor.execute(
                """
                UPDATE trainyard.runs
                SET status = %s, stage = %s, reason = %s, ended = greatest(now(), started)
                WHERE key = %s AND status = ANY(%s)
                """,
                (status, stage, reason, key, before),
            )
            return bool(cursor.rowcount)

    def finish_run(
        self, key: str, model: str, version: int, location: str, metrics: Mapping[str, float]
    ) -> None:
        """Records what a run has published; that it failed before is forgotten.

        Args:
            key: of the run.
            model: name of the model in the repository.
            version: its version there, from 1.
            location: of the repository.
            metrics: headline figures; those that are not finite are left out.

        Raises:
            InputError: no such run is recorded.
        """
        figures = {name: value for name, value in metrics.items() if math.isfinite(value)}
        with self._database.writing() as cursor:
            cursor.execute(
                """
                UPDATE trainyard.runs
                SET status = 'finished', stage = NULL, reason = NULL, model_name = %s,
                    model_version = %s, location = %s, metrics = %s,
                    ended = greatest(now(), started)
                WHERE key = %s
                """,
                (model, version, location, json.dumps(figures), key),
            )
            if not cursor.rowcount:
                raise InputError(f"run {key!r} is not recorded; read_task records it")

    def run(self, key: str) -> Run | None:
        """The run of this key, if it is recorded."""
        with self._database.reading() as cursor:
            return _run(cursor, key)

    def runs(self, task: str = "") -> list[Run]:
        """The runs for a task, or for all, newest first."""
        with self._database.reading() as cursor:
            cursor.execute(
                f"{_RUNS} WHERE %s IN ('', t.name) ORDER BY r.started DESC, r.key", (task,)
            )
            return [_as_run(row) for row in cursor.fetchall()]


def _names(cursor: Any, table: Literal["sources", "classes"]) -> list[str]:
    cursor.execute(f"SELECT name FROM trainyard.{table} ORDER BY lower(name)")
    return [row[0] for row in cursor.fetchall()]


def _tasks(cursor: Any) -> dict[str, RegisteredTask]:
    cursor.execute(_TASKS)
    return {
        name: RegisteredTask(
            name, model, tuple(classes), tuple(sources), train, validation, test, other
        )
        for name, model, train, validation, test, other, classes, sources in cursor.fetchall()
    }


def _run(cursor: Any, key: str) -> Run | None:
    cursor.execute(f"{_RUNS} WHERE r.key = %s", (key,))
    row = cursor.fetchone()
    return _as_run(row) if row else None


def _as_run(row: Sequence[Any]) -> Run:
    key, task, status, started, ended, stage, reason, model, version, location, metrics = row
    return Run(
        key, task, status, started, ended, stage or "", reason or "", model or "", version or 0,
        location or "", metrics,
    )  # fmt: skip


def _conflicts(cursor: Any, task: RegisteredTask, names: Sequence[str]) -> list[str]:
    """What stands in the registry against a task."""
    sources = _names(cursor, "sources")
    problems = _known_otherwise("task", [task.name], names)
    cursor.execute(
        """
        SELECT DISTINCT c.name
        FROM trainyard.classes c
        JOIN trainyard.task_classes l ON l.class_id = c.id
        JOIN trainyard.tasks t ON t.id = l.task_id
        WHERE t.name <> %s
        """,
        (task.name,),
    )
    problems += _known_otherwise("class", task.classes, [row[0] for row in cursor.fetchall()])
    return problems + [
        f"source {name!r} is not known{hint(name, sources)} (a new one: `trainyard registry "
        f"add-source {shlex.quote(name)}`)"
        for name in task.sources
        if name not in sources and not folder_problem("source", name)
    ]


def _known_otherwise(kind: str, names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Names that are known, but with other capitals."""
    spelt = {name.lower(): name for name in known}
    return [
        f"{kind} {name!r} is known as {spelt[name.lower()]!r}; write it so, or choose another name"
        for name in names
        if name not in known and name.lower() in spelt
    ]


_FORGET_CLASSES = """
    DELETE FROM trainyard.classes
    WHERE id NOT IN (SELECT class_id FROM trainyard.task_classes)
"""
"""Those that no task has any more, so that one may come again in another spelling."""


def _write_task(cursor: Any, task: RegisteredTask) -> None:
    cursor.execute(
        """
        INSERT INTO trainyard.tasks (name, model_name, train, validation, test, other)
        VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (lower(name)) DO UPDATE
        SET model_name = excluded.model_name, train = excluded.train,
            validation = excluded.validation, test = excluded.test, other = excluded.other,
            changed = now()
        RETURNING id
        """,
        (task.name, task.model_name, task.train, task.validation, task.test, task.other),
    )
    number = cursor.fetchone()[0]
    cursor.execute("DELETE FROM trainyard.task_classes WHERE task_id = %s", (number,))
    cursor.execute(_FORGET_CLASSES)
    for name in task.classes:
        cursor.execute(
            "INSERT INTO trainyard.classes (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,)
        )
    linked = (("classes", "class", task.classes), ("sources", "source", task.sources))
    for table, kind, names in linked:
        cursor.execute(f"DELETE FROM trainyard.task_{table} WHERE task_id = %s", (number,))
        for position, name in enumerate(names, 1):
            cursor.execute(
                f"INSERT INTO trainyard.task_{table} (task_id, {kind}_id, position) "
                f"SELECT %s, id, %s FROM trainyard.{table} WHERE name = %s",
                (number, position, name),
            )


def _unknown_task(name: str, known: Mapping[str, Any]) -> InputError:
    names = f"known are {', '.join(map(repr, known))}" if known else "the registry holds none"
    return InputError(
        f"task {name!r} is not in the registry{hint(name, known) or f'; {names}'} "
        "(`trainyard registry add-task` adds one)"
    )


def _together(problems: Sequence[str], error: ServiceError, where: str) -> TrainyardError:
    """What was found before the database failed is told with it."""
    return ProblemsError([*problems, error], where) if problems else error
