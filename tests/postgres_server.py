"""A real PostgreSQL for tests and benchmarks, over a temporary folder, on a free port."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from servers import free_port

from components.core.lifetime import die_with_parent

START_SECONDS = 30.0
NOBODY = 65534
"""PostgreSQL refuses to run as root."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "200",
    "jit": "off",
}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Keeps nothing over a crash of the machine."""


class PostgresAbsentError(Exception):
    """PostgreSQL is neither installed nor fetched."""


@dataclass(frozen=True)
class Installation:
    """Where the programs are and, unless they are installed, the folder of all that they need."""

    programs: Path
    root: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What its programs find their libraries with."""
        if self.root is None:
            return {}
        libraries = [*self.root.glob("usr/lib/*-linux-gnu*"), *self.root.glob("lib/*-linux-gnu*")]
        return {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}

    def copied(self, folder: Path) -> Installation:
        """One that another user may read: root's home, where the fetched one lies, is closed."""
        if self.root is None:
            return self
        shutil.copytree(self.root, folder, symlinks=True)
        return Installation(folder / self.programs.relative_to(self.root), folder)


def installation() -> Installation:
    """The fetched PostgreSQL, else the installed one; of several the newest.

    Raises:
        PostgresAbsentError: there is none.
    """
    servers = Path(os.environ.get("TRAINYARD_SERVERS") or Path.home() / ".cache/trainyard/servers")
    if fetched := _newest(servers.glob("postgresql-*/usr/lib/postgresql/*/bin/initdb")):
        return Installation(fetched.parent, fetched.parents[5])
    packaged = _newest(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if installed := shutil.which("initdb") or packaged:
        return Installation(Path(installed).resolve().parent)
    raise PostgresAbsentError(
        f"no PostgreSQL in {servers} and none installed; `sh tests/build_postgres.sh` fetches it"
    )


def _newest(programs: Iterator[Path]) -> Path | None:
    def version(path: Path) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", str(path))]

    return max(programs, key=version, default=None)


@contextmanager
def running_postgres(durable: bool = False) -> Iterator[str]:
    """Starts PostgreSQL over a new folder; yields the URL of its superuser when it is ready.

    It listens on loopback only, asks for a random password and ends with this process. Programs
    of `installation()` may be called beside it.

    Args:
        durable: writes to the disk as a server in earnest does; slower.

    Raises:
        PostgresAbsentError: there is none to start.
        RuntimeError: it does not start; carries what it said.
    """
    found = installation()
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as name:
        folder, password, port = Path(name), secrets.token_urlsafe(16), free_port()
        (folder / "password").write_text(password, encoding="utf-8")
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            found = found.copied(folder / "installation")
            for path in (folder, folder / "password"):
                os.chown(path, NOBODY, NOBODY)
        process = _start(found, folder, port, durable, identity)
        try:
            url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
            _wait_until_ready(url, process, folder / "log")
            yield url
        finally:
            process.send_signal(signal.SIGINT)  # what clients still do is rolled back
            process.wait(30)


def _start(
    found: Installation, folder: Path, port: int, durable: bool, identity: dict[str, Any]
) -> subprocess.Popen[bytes]:
    settings = SETTINGS | ({} if durable else FAST) | {"port": str(port)}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    common: dict[str, Any] = {"cwd": folder, "env": environment | found.environment, **identity}
    data, log = folder / "data", folder / "log"
    make = [
        found.programs / "initdb", "--no-sync", "--no-locale", "--encoding=UTF8",
        "--auth=scram-sha-256", "--username=postgres", f"--pwfile={folder / 'password'}",
        "--pgdata", data,
    ]  # fmt: skip
    with open(log, "wb") as output:
        if subprocess.run(make, stdout=output, stderr=output, check=False, **common).returncode:
            raise RuntimeError(f"{make[0]} fails:\n{log.read_text()[-2000:]}")
        options = [f"--{name}={value}" for name, value in settings.items()]
        return subprocess.Popen(
            [found.programs / "postgres", "-D", data, *options],
            stdout=output,
            stderr=output,
            # SIGQUIT ends it at once, and yet without leaving shared memory behind.
            preexec_fn=partial(die_with_parent, signal.SIGQUIT),
            **common,
        )


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg2.connect(url, connect_timeout=2).close()
            return
        except psycopg2.OperationalError:
            time.sleep(0.02)
    raise RuntimeError(f"PostgreSQL does not start:\n{log.read_text()[-2000:]}")


@contextmanager
def new_database(url: str) -> Iterator[str]:
    """Makes an empty database on the server of `url`; yields its URL and drops it afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    execute(url, f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        execute(url, f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Runs one statement of its own, outside of any transaction; the rows that it returns."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()
