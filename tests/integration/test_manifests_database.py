"""The database users of manifests/, made by a real PostgreSQL as the image makes them."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from servers import free_port
from trainyard_process import REPOSITORY

SCRIPT = REPOSITORY / "manifests" / "base" / "postgres" / "users.sql"
NOBODY = 65534
"""PostgreSQL refuses to run as root."""


@dataclass(frozen=True)
class Server:
    programs: Path
    folder: Path
    port: int

    def psql(self, *words: object, user: str = "postgres", **environment: str) -> str:
        """Runs psql; what it prints.

        Raises:
            subprocess.CalledProcessError: with what it complains about.
        """
        host = str(self.folder) if user == "postgres" else "127.0.0.1"
        options = f"--no-psqlrc --no-password --tuples-only -v ON_ERROR_STOP=1 -p {self.port}"
        command = [self.programs / "psql", *options.split(), "-h", host, "-U", user]
        done = subprocess.run(
            [*command, *map(str, words)],
            env={**os.environ, **environment}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()


@pytest.fixture
def server() -> Iterator[Server]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    program = shutil.which("initdb") or (str(found[-1]) if found else "")
    if not program:
        pytest.skip("no PostgreSQL is installed here")
    programs, port = Path(program).resolve().parent, free_port()
    identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if identity:
            os.chown(folder, NOBODY, NOBODY)
        options = "--no-sync --username=postgres --auth-local=trust --auth-host=scram-sha-256"
        made = [programs / "initdb", *options.split(), folder / "data"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **identity)
        flags = ["-k", folder, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-F"]
        control = [programs / "pg_ctl", "-D", folder / "data", "-s", "-w"]
        start = [*control, "-l", folder / "log", "-o", " ".join(map(str, flags)), "start"]
        subprocess.run(start, check=True, cwd=folder, **identity)
        try:
            yield Server(programs, folder, port)
        finally:
            with suppress(subprocess.CalledProcessError):
                stop = [*control, "-m", "immediate", "stop"]
                subprocess.run(stop, check=True, cwd=folder, **identity)


def test_the_user_owns_two_databases_and_nothing_else(server: Server) -> None:
    password = 'it\'s a "password" of the test'
    server.psql("-d", "postgres", "-f", SCRIPT, TRAINYARD_PASSWORD=password)
    for database in ("trainyard", "optuna"):
        server.psql("-d", database, "-c", "CREATE TABLE t (id int)",
                    user="trainyard", PGPASSWORD=password)  # fmt: skip
    rights = "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = "
    assert server.psql("-d", "postgres", "-c", f"{rights}'trainyard'") == "f"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        server.psql("-d", "optuna", "-c", "SELECT 1", user="trainyard", PGPASSWORD="wrong")
    assert "password authentication failed" in refused.value.stderr
    server.psql("-d", "postgres", "-c", "CREATE ROLE other LOGIN PASSWORD 'other'")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        server.psql("-d", "optuna", "-c", "SELECT 1", user="other", PGPASSWORD="other")
    assert "permission denied for database" in refused.value.stderr
