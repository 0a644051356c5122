"""The PostgreSQL that tests use is real, closed to strangers, and gone with its user."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest
from postgres_server import PostgresAbsentError, execute, installation, new_database
from servers import absent

TESTS = Path(__file__).resolve().parents[1]
HOLDER = """
import time
from postgres_server import running_postgres
with running_postgres() as url:
    print(url, flush=True)
    time.sleep(600)
"""


def test_a_test_gets_an_empty_database_of_its_own(postgres: str, database: str) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    execute(database, "CREATE TABLE trials (number int)")
    with new_database(postgres) as other:
        assert execute(other, tables) == [(0,)]
        with psycopg2.connect(other) as forgotten:
            forgotten.cursor().execute("SELECT 1")
    assert execute(database, tables) == [(1,)]
    with pytest.raises(psycopg2.OperationalError, match="does not exist"):
        execute(other, tables)


def test_it_asks_for_its_password_and_ends_with_a_killed_parent() -> None:
    try:
        installation()
    except PostgresAbsentError as error:
        absent(str(error))
    search = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        env={**os.environ, "PYTHONPATH": search}, stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        assert holder.stdout
        url = holder.stdout.readline().strip()
        [(folder,)] = execute(url, "SHOW data_directory")
        password = urlsplit(url).password
        assert password
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            execute(url.replace(password, "guessed"), "SELECT 1")
        holder.kill()
    deadline = time.monotonic() + 10
    while (Path(folder) / "postmaster.pid").exists():
        assert time.monotonic() < deadline, "the server outlives the process that started it"
        time.sleep(0.05)
    with pytest.raises(psycopg2.OperationalError, match="Connection refused"):
        execute(url, "SELECT 1")
    shutil.rmtree(Path(folder).parent)
