"""A real server that speaks MongoDB's protocol, FerretDB over SQLite, for tests and benchmarks."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from servers import free_port, server_binary

from components.core.lifetime import die_with_parent

START_SECONDS = 30.0


class MongodbAbsentError(Exception):
    """FerretDB has not been built."""


@contextmanager
def running_mongodb() -> Iterator[str]:
    """Starts FerretDB over a new folder; yields the URI of its user when it is ready.

    It listens on loopback only, asks for a random password and ends with this process.

    Raises:
        MongodbAbsentError: it has not been built.
        RuntimeError: it does not start; carries what it said.
    """
    binary = server_binary("ferretdb")
    if not binary.is_file():
        raise MongodbAbsentError(
            f"no FerretDB in {binary.parent}; `sh tests/build_servers.sh` builds it"
        )
    with tempfile.TemporaryDirectory(prefix="mongodb-", ignore_cleanup_errors=True) as name:
        folder, password, port = Path(name), secrets.token_urlsafe(16), free_port()
        (folder / "state").mkdir()
        (folder / "data").mkdir()
        options = {
            "handler": "sqlite",
            "sqlite-url": f"file:{folder / 'data'}/",
            "state-dir": str(folder / "state"),
            "listen-addr": f"127.0.0.1:{port}",
            "debug-addr": "-",
            "telemetry": "disable",
            "log-level": "WARN",
            "setup-database": "admin",
            "setup-username": "trainyard",
        }
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FERRETDB_")}
        environment |= {"FERRETDB_SETUP_PASSWORD": password, "DO_NOT_TRACK": "1"}
        log = folder / "log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [
                    str(binary),
                    "--test-enable-new-auth",
                    *(f"--{key}={value}" for key, value in options.items()),
                ],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=partial(die_with_parent, signal.SIGKILL),
            )
        try:
            uri = f"mongodb://trainyard:{password}@127.0.0.1:{port}/?authSource=admin"
            _wait_until_ready(uri, process, log)
            yield uri
        finally:
            process.terminate()
            process.wait(10)


def _wait_until_ready(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    from pymongo.errors import PyMongoError

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with client(uri, serverSelectionTimeoutMS=500) as probe:
                probe["admin"]["probe"].find_one()
            return
        except PyMongoError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not start:\n{log.read_text()[-2000:]}")


def client(uri: str, **options: Any) -> Any:
    """A plain pymongo client."""
    import pymongo

    return pymongo.MongoClient(uri, **options)


def with_database(uri: str, name: str) -> str:
    """The URI with a database in its path; the one that knows the user stays."""
    parts = urlsplit(uri)
    query = parts.query
    if "authSource" not in query and parts.username:
        source = parts.path.strip("/") or "admin"
        query = "&".join(filter(None, [query, f"authSource={source}"]))
    return parts._replace(path=f"/{name}", query=query).geturl()
