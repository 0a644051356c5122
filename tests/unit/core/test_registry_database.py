"""The registry's tables: made and changed by whoever comes first, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest
from postgres_server import execute
from registered import fill, meals
from trainyard_process import REPOSITORY

from components.core import postgres
from components.core.errors import ServiceError
from components.core.registry import VARIABLE, Registry
from components.core.registry.database import LOCK, Database, Migration, migrations

KNOWN = migrations()
SECOND = Migration("0002_more", "CREATE TABLE trainyard.more (number integer); SELECT pg_sleep(0)")
BROKEN = Migration("0003_broken", "CREATE TABLE trainyard.half (x int); SELECT no_such_function()")


@pytest.fixture(autouse=True)
def _environment(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, database)


@pytest.fixture
def made(database: str) -> Iterator[Database]:
    """A database with the tables of this release."""
    opened = Database()
    opened.migrate()
    yield opened
    opened.close()


def tables(database: str) -> set[str]:
    rows = execute(database, "SELECT table_name FROM information_schema.tables "
                             "WHERE table_schema = 'trainyard'")  # fmt: skip
    return {row[0] for row in rows}


def test_the_files_of_this_release_are_numbered_from_one() -> None:
    assert [int(known.name[:4]) for known in KNOWN] == list(range(1, len(KNOWN) + 1))


def test_every_table_is_documented(made: Database, database: str) -> None:
    assert tables(database) == {
        "migrations", "sources", "classes", "tasks", "task_classes", "task_sources", "runs",
    }  # fmt: skip
    undocumented = execute(
        database,
        "SELECT relname FROM pg_class WHERE relnamespace = 'trainyard'::regnamespace "
        "AND relkind = 'r' AND obj_description(oid) IS NULL",
    )
    assert undocumented == []


def test_what_reads_makes_no_tables_and_what_writes_does(database: str) -> None:
    with Registry() as registry:
        for read in (registry.sources, registry.classes, registry.tasks, registry.runs):
            with pytest.raises(ServiceError, match="no registry; run `trainyard registry init`"):
                read()
        assert not registry.fail_run("one", "train_video", "broken")
        assert tables(database) == set()
        registry.add_source("kitchen")
        assert registry.sources() == ["kitchen"]
        assert registry.initialise() == []


def test_processes_that_start_together_make_the_tables_once(database: str) -> None:
    script = (
        "import sys; from components.core.registry import Registry; sys.stdin.read(); "
        "registry = Registry(); registry.add_source(sys.argv[1], 'shared'); "
        "print(len(registry.sources()))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, f"source{number}"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    time.sleep(0.5)  # all are there
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 6, said
    assert execute(database, "SELECT count(*) FROM trainyard.migrations") == [(len(KNOWN),)]
    assert execute(database, "SELECT count(*) FROM trainyard.sources") == [(7,)]


def test_many_threads_make_each_step_once(database: str) -> None:
    slow = [*KNOWN, Migration("0002_slow", "SELECT pg_sleep(0.1); CREATE TABLE trainyard.slow ()")]
    together = threading.Barrier(8)

    def migrate(number: int) -> list[str]:
        opened = Database(slow)
        together.wait()
        try:
            return opened.migrate()
        finally:
            opened.close()

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(migrate, range(8)))
    assert sorted(name for names in done for name in names) == [step.name for step in slow]


def test_an_older_database_is_read_only_once_it_is_brought_up_to_date(
    made: Database, database: str
) -> None:
    fill()
    newer = Registry([*KNOWN, SECOND])
    with pytest.raises(ServiceError, match=r"tables of an earlier release; run `trainyard reg"):
        newer.sources()
    assert newer.initialise() == ["0002_more"]
    assert newer.task("meals") == meals()
    newer.close()
    assert "more" in tables(database)


def test_a_newer_database_is_refused_by_what_reads_and_what_writes(made: Database) -> None:
    newer = Database([*KNOWN, SECOND])
    newer.migrate()
    newer.close()
    with Registry() as registry:
        calls = (
            registry.sources,
            registry.initialise,
            lambda: registry.add_source("x"),
            lambda: registry.fail_run("one", "train_video", "broken"),
        )
        for call in calls:
            with pytest.raises(ServiceError, match=r"that of a newer release .* update Trainyard"):
                call()


def test_a_step_that_fails_leaves_nothing_and_keeps_those_before(database: str) -> None:
    opened = Database([*KNOWN, SECOND, BROKEN])
    with pytest.raises(ServiceError, match="the database failed: function no_such_function"):
        opened.migrate()
    opened.close()
    assert "more" in tables(database)
    assert "half" not in tables(database)
    assert execute(database, "SELECT max(number) FROM trainyard.migrations") == [(2,)]


def test_whoever_waits_too_long_for_others_says_so(
    made: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_TIMEOUT", "200ms")
    holder = psycopg2.connect(database)
    holder.cursor().execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    try:
        with Registry() as registry, pytest.raises(ServiceError, match="somebody else has kept"):
            registry.add_source("kitchen")
    finally:
        holder.close()


def test_a_connection_that_breaks_is_a_failure_of_the_service(database: str) -> None:
    with Registry() as registry:
        registry.add_source("kitchen")
        execute(
            database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        with pytest.raises(ServiceError, match="the database failed: "):
            registry.sources()


def test_a_user_who_may_not_is_told_what_to_do(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"reader_{urlsplit(database).path[1:]}"
    execute(database, f"CREATE ROLE {role} LOGIN PASSWORD 'hunter2'")
    parts = urlsplit(database)
    place = f"{parts.hostname}:{parts.port}"
    try:
        monkeypatch.setenv(VARIABLE, parts._replace(netloc=f"{role}:hunter2@{place}").geturl())
        with Registry() as registry, pytest.raises(ServiceError) as caught:
            registry.add_source("kitchen")
        assert "may not do this" in str(caught.value)
        assert "name one that may create a schema" in str(caught.value)
        assert "hunter2" not in str(caught.value)
        execute(database, f"CREATE SCHEMA trainyard AUTHORIZATION {role}")
        with Registry() as registry:  # a schema of its own is enough
            assert registry.add_source("kitchen") == ["kitchen"]
    finally:
        execute(database, f"DROP OWNED BY {role}")
        execute(database, f"DROP ROLE {role}")


TASK = "INSERT INTO trainyard.tasks (name, model_name, train, validation, test) VALUES "
RUN = "INSERT INTO trainyard.runs (key, task_id, status, stage, reason, ended, metrics) VALUES "


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("INSERT INTO trainyard.sources (name) VALUES ('KITCHEN')", "UniqueViolation"),
        ("INSERT INTO trainyard.sources (name) VALUES ('a/b')", "CheckViolation"),
        ("INSERT INTO trainyard.sources (name) VALUES (' x')", "CheckViolation"),
        ("INSERT INTO trainyard.classes (name) VALUES ('Eating')", "UniqueViolation"),
        ("INSERT INTO trainyard.classes (name) VALUES ('')", "CheckViolation"),
        (f"{TASK} ('MEALS', 'm', 1, 1, 1)", "UniqueViolation"),
        (f"{TASK} ('x', 'a b', 1, 1, 1)", "CheckViolation"),
        (f"{TASK} ('x', 'm', 1.5, 1, 1)", "CheckViolation"),
        (f"{TASK} ('x', 'm', 1, -1, 1)", "CheckViolation"),
        (f"{TASK} ('x', 'm', 1, 1, 'NaN')", "CheckViolation"),
        (f"{TASK} ('x', 'm', 1, 1, 'Infinity')", "CheckViolation"),
        (f"{TASK} ('x', 'm', 0.9, 0.1, 0.1)", "CheckViolation"),
        (f"{TASK} ('x', 'm', 1, 1, NULL)", "NotNullViolation"),
        ("DELETE FROM trainyard.sources", "ForeignKeyViolation"),
        ("DELETE FROM trainyard.classes", "ForeignKeyViolation"),
        ("DELETE FROM trainyard.tasks", "ForeignKeyViolation"),
        ("UPDATE trainyard.task_classes SET position = 1", "UniqueViolation"),
        (f"{RUN} ('one', 1, 'started', NULL, NULL, NULL, '{{}}')", "UniqueViolation"),
        (f"{RUN} ('x', 99, 'started', NULL, NULL, NULL, '{{}}')", "ForeignKeyViolation"),
        (f"{RUN} ('x', 1, 'lost', NULL, NULL, NULL, '{{}}')", "CheckViolation"),
        (f"{RUN} ('x', 1, 'started', NULL, NULL, now(), '{{}}')", "CheckViolation"),
        (f"{RUN} ('x', 1, 'failed', 's', NULL, now(), '{{}}')", "CheckViolation"),
        (f"{RUN} ('x', 1, 'started', NULL, 'r', NULL, '{{}}')", "CheckViolation"),
        (f"{RUN} ('x', 1, 'finished', NULL, NULL, now(), '{{}}')", "CheckViolation"),
        (f"{RUN} ('x', 1, 'started', NULL, NULL, NULL, '[]')", "CheckViolation"),
    ],
)
def test_the_tables_refuse_what_cannot_be(statement: str, kind: str, database: str) -> None:
    fill()
    with Registry() as registry:
        registry.start_run("one", "meals")
    with pytest.raises(getattr(psycopg2.errors, kind)):
        execute(database, statement)


def test_the_files_are_part_of_the_package(tmp_path: Path) -> None:
    from setuptools.config.setupcfg import read_configuration

    data = read_configuration(REPOSITORY / "setup.cfg")["options"]["package_data"]["components"]
    found = {path for pattern in data for path in (REPOSITORY / "components").glob(pattern)}
    assert {*(REPOSITORY / "components").rglob("*.sql")} <= found
