"""The database users of manifests/, made by a real PostgreSQL as the image makes them."""

import os
import subprocess
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest
from postgres_server import PostgresAbsentError, installation, running_postgres
from servers import absent
from trainyard_process import REPOSITORY

SCRIPT = REPOSITORY / "manifests" / "base" / "postgres" / "users.sql"


@pytest.fixture
def server() -> Iterator[str]:
    """The URL of a server of this test alone: what it makes are users, which databases share."""
    try:
        with running_postgres() as url:
            yield url
    except PostgresAbsentError as error:
        absent(str(error))


def psql(url: str, *words: object, **environment: str) -> str:
    """Runs psql; what it prints.

    Raises:
        subprocess.CalledProcessError: with what it complains about.
    """
    found = installation()
    options = ["--no-psqlrc", "--no-password", "--tuples-only", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(
        [found.programs / "psql", *options, "-d", url, *map(str, words)],
        env={**os.environ, **found.environment, **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_the_user_owns_two_databases_and_nothing_else(server: str) -> None:
    password = 'it\'s a "password" of the test'
    psql(server, "-f", SCRIPT, TRAINYARD_PASSWORD=password)

    def database(name: str, password: str = password) -> str:
        place = urlsplit(server).netloc.rpartition("@")[2]
        return f"postgresql://trainyard:{quote(password)}@{place}/{name}"

    for name in ("trainyard", "optuna"):
        psql(database(name), "-c", "CREATE TABLE t (id int)")
    rights = "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = "
    assert psql(server, "-c", f"{rights}'trainyard'") == "f"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        psql(database("optuna", "wrong"), "-c", "SELECT 1")
    assert "password authentication failed" in refused.value.stderr
