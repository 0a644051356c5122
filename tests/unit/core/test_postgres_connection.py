"""Why a database cannot be used, in words that hold nothing of its password."""

from __future__ import annotations

import socket
import time
from urllib.parse import quote, urlsplit

import pytest
from postgres_server import execute

from components.core import postgres
from components.core.credentials import passwords, without_credentials
from components.core.errors import ServiceError

NAME = "TRAINYARD_POSTGRES_DSN"
PASSWORD = "hunter2-d1c0ffee"


def refused(monkeypatch: pytest.MonkeyPatch, dsn: str) -> str:
    monkeypatch.setenv(NAME, dsn)
    with pytest.raises(ServiceError) as caught:
        postgres.connect(NAME, "tests need it")
    error: BaseException | None = caught.value
    assert error is not None
    assert error.__cause__ is None
    assert NAME in str(error)
    return str(error)


def test_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refused(monkeypatch, "  ")
    assert "is not set, but tests need it; expected postgresql://user:password@host/" in said


@pytest.mark.parametrize(
    ("dsn", "text"),
    [
        ("mysql://me:hunter2@db/x", "mysql:// is not accepted"),
        ("postgresql://me:a@hunter2@db/x", "write special characters of the password as %XX"),
        ("postgresql://me:hunter2/b@db/x", "the address cannot be read"),
        ("postgresql://me:hunter2?b@db/x", "cannot be read"),
        ("postgresql://me:[hunter2@db/x", "cannot be read"),
        ("postgresql://me:hunter2%zz@db/x", "cannot be read"),
        ("postgresql://me@db:hunter2/x", "cannot be read"),
        ("host=db password=a hunter2 user=b", "cannot be read"),
        ("host=db port=hunter2 user=b", "the port is no number"),
        ("hunter2", "cannot be read"),
        ("postgresql://me:hunter2@127.0.0.1:1/x", "no PostgreSQL answers at 127.0.0.1:1 "),
        ("host=127.0.0.1 port=1 password='hunter2'", "no PostgreSQL answers at 127.0.0.1:1 "),
        ("postgresql+psycopg2://me:hunter2@no.such.invalid/x", "answers at no.such.invalid "),
        ("host=/no/such/folder password=hunter2", "no PostgreSQL answers at /no/such/folder "),
    ],
)
def test_an_address_that_leads_nowhere(
    dsn: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refused(monkeypatch, dsn)
    assert text in said
    assert "hunter2" not in said


def test_what_the_server_refuses(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = urlsplit(database)
    place = f"{parts.hostname}:{parts.port}"
    wrong = parts._replace(netloc=f"postgres:{PASSWORD}@{place}").geturl()
    said = refused(monkeypatch, wrong)
    assert f"{place} does not let the user in" in said
    assert "correct user and password" in said
    assert PASSWORD not in said
    assert "does not let the user in" in refused(
        monkeypatch, parts._replace(netloc=f"postgres@{place}").geturl()
    )
    said = refused(monkeypatch, f"{database}_missing")
    assert f"{place} has no such database" in said
    assert str(parts.password) not in said


def test_every_form_of_a_right_address(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = urlsplit(database)
    pairs = f"host={parts.hostname} port={parts.port} user=postgres password={parts.password} "
    forms = [database, database.replace("postgresql", "postgres", 1), f" {database}\n"]
    forms += [database.replace("postgresql", "postgresql+psycopg2", 1)]
    for dsn in [*forms, f"{pairs} dbname={parts.path[1:]}"]:
        monkeypatch.setenv(NAME, dsn)
        connection = postgres.connect(NAME, "")
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_database()")
            assert cursor.fetchone() == (parts.path[1:],)
        connection.close()


def test_a_password_with_special_characters(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    role, password = f"odd_{urlsplit(database).path[1:]}", "p@ss/w:rd?'%"
    doubled = password.replace("'", "''")
    execute(database, f"CREATE ROLE {role} LOGIN PASSWORD '{doubled}'")
    parts = urlsplit(database)
    try:
        where = f"{role}:{quote(password, safe='')}@{parts.hostname}:{parts.port}"
        monkeypatch.setenv(NAME, parts._replace(netloc=where).geturl())
        postgres.connect(NAME, "").close()
    finally:
        execute(database, f"DROP ROLE {role}")


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        said = refused(
            monkeypatch, f"postgresql://me:hunter2@127.0.0.1:{silent.getsockname()[1]}/x"
        )
    assert "no PostgreSQL answers" in said
    assert time.monotonic() - began < 10


def test_texts_lose_the_credentials_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "t0ken-of-mine")
    monkeypatch.setenv("OF_OPTUNA", "postgresql://me:p%40ss@db/x")
    monkeypatch.setenv("A_PLACE", "host=db password='two words' user=me")
    text = "t0ken-of-mine, p%40ss, p@ss, two words; https://you:secret@host/x"
    assert without_credentials(text) == ("<secret>, <secret>, <secret>, <secret>; https://host/x")


def test_passwords_are_found_in_every_form() -> None:
    assert passwords("postgresql://me:p%40ss@db/x?password=other&sslmode=require") == {
        "p%40ss", "p@ss", "other",
    }  # fmt: skip
    assert passwords("host=db password = 'it\\'s' port=1") == {"it\\'s", "it's"}
    assert passwords("/some/folder") == set()
    assert passwords("https://host/x") == set()
