"""The registry's database: its schema, brought up to date by numbered files of SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import __version__
from components.core import postgres
from components.core.errors import ServiceError

VARIABLE = "TRAINYARD_POSTGRES_DSN"
"""A PostgreSQL URL or key=value pairs; it may hold a password."""

SCHEMA = "trainyard"
FOLDER = Path(__file__).parent / "migrations"

LOCK = 0x747261696E
"""Number of the advisory lock that whoever changes tables, sources or tasks holds."""


@dataclass(frozen=True)
class Migration:
    """One step from an empty database to today's tables."""

    name: str
    sql: str


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """All of them in order; the first has number 1."""
    paths = sorted(folder.glob("[0-9]*.sql"))
    return [Migration(path.stem, path.read_text(encoding="utf-8")) for path in paths]


class Database:
    """A connection to the registry's database, made when it is first needed."""

    def __init__(self, known: Sequence[Migration] | None = None) -> None:
        """`known` is all migrations; by default those of this release."""
        self._known = migrations() if known is None else list(known)
        self._connection: Any = None

    def close(self) -> None:
        """Ends the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A cursor in a transaction.

        Raises:
            ServiceError: the database cannot be used, or its tables are not those of this release.
        """
        with self._transaction() as cursor:
            done = self._done(cursor)
            if done < len(self._known):
                state = "has tables of an earlier release" if done else "holds no registry"
                raise ServiceError(
                    f"{VARIABLE}: the database {state}; run `trainyard registry init`"
                )
            yield cursor

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """A cursor in a transaction, alone among those who write, in tables that are up to date.

        Raises:
            ServiceError: the database cannot be used, or is newer than this release.
        """
        self.migrate()
        with self._transaction() as cursor:
            _lock(cursor)
            yield cursor

    def migrate(self) -> list[str]:
        """Brings the tables up to date; others may do the same at the same time.

        Returns:
            The names of the migrations that this call ran, each in its own transaction.

        Raises:
            ServiceError: the database cannot be used, or is newer than this release.
        """
        names = []
        while name := self._migrate_once():
            names.append(name)
        return names

    def is_made(self) -> bool:
        """Whether the database holds a registry.

        Raises:
            ServiceError: the database cannot be used, or is newer than this release.
        """
        with self._transaction() as cursor:
            return self._done(cursor) > 0

    def _migrate_once(self) -> str:
        """Runs the next migration and returns its name; '' where none is left."""
        with self._transaction() as cursor:
            if self._done(cursor) == len(self._known):
                return ""
            _lock(cursor)
            done = self._done(cursor)  # somebody else may have been faster
            if done == len(self._known):
                return ""
            migration = self._known[done]
            _make_schema(cursor)
            cursor.execute(migration.sql)
            cursor.execute(
                "INSERT INTO trainyard.migrations (number, name, release) VALUES (%s, %s, %s)",
                (done + 1, migration.name, __version__),
            )
            return migration.name

    def _done(self, cursor: Any) -> int:
        """How many migrations have run."""
        # not to_regclass, which after a wait for the lock still knows what was there before
        cursor.execute(
            "SELECT FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = 'migrations'",
            (SCHEMA,),
        )
        if not cursor.rowcount:
            return 0
        cursor.execute("SELECT coalesce(max(number), 0) FROM trainyard.migrations")
        done = int(cursor.fetchone()[0])
        if done > len(self._known):
            raise ServiceError(
                f"{VARIABLE}: the registry is that of a newer release (its tables have version "
                f"{done}; Trainyard {__version__} knows {len(self._known)}); update Trainyard"
            )
        return done

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        if self._connection is None:
            purpose = "the registry of sources, tasks and runs is kept in PostgreSQL"
            self._connection = postgres.connect(VARIABLE, purpose)
        import psycopg2

        try:
            with self._connection as connection, connection.cursor() as cursor:
                yield cursor
        except psycopg2.Error as error:
            raise postgres.explained(VARIABLE, error) from None


def _lock(cursor: Any) -> None:
    """Holds the lock until the transaction ends."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))


def _make_schema(cursor: Any) -> None:
    # IF NOT EXISTS would ask for the right to create schemas even where this one is there
    cursor.execute("SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s", (SCHEMA,))
    if not cursor.rowcount:
        cursor.execute(f"CREATE SCHEMA {SCHEMA}")
        comment = "Trainyard: sources, classes, tasks and runs"
        cursor.execute(f"COMMENT ON SCHEMA {SCHEMA} IS '{comment}'")
