"""Real servers for tests and benchmarks, started on free ports and ended with their user."""

from __future__ import annotations

import base64
import os
import re
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
import urllib3

from components.core.lifetime import die_with_parent

START_SECONDS = 30.0


class MinioAbsentError(Exception):
    """The MinIO binary has not been built."""


@dataclass(frozen=True)
class S3Server:
    """A running object store."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make the code under test use it."""
        return {
            "TRAINYARD_S3_ENDPOINT": self.endpoint,
            "TRAINYARD_S3_ACCESS_KEY": self.access_key,
            "TRAINYARD_S3_SECRET_KEY": self.secret_key,
        }

    def client(self) -> Any:
        """A plain minio-py client."""
        from minio import Minio

        scheme, _, host = self.endpoint.partition("://")
        return Minio(host, self.access_key, self.secret_key, secure=scheme == "https")


def absent(reason: str) -> NoReturn:
    """Skips the test that needs a server, or fails it where every server is required."""
    if os.environ.get("TRAINYARD_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def running_minio(data: Path) -> Iterator[S3Server]:
    """Starts MinIO over the empty folder `data`; yields it when it is ready.

    Raises:
        MinioAbsentError: it has not been built.
        RuntimeError: it does not start; carries what it said.
    """
    binary = server_binary("minio")
    if not binary.is_file():
        raise MinioAbsentError(
            f"no MinIO server in {binary.parent}; `sh tests/build_servers.sh` builds it"
        )
    host = f"127.0.0.1:{free_port()}"
    server = S3Server(f"http://{host}", "trainyard", secrets.token_urlsafe(16))
    settings = {
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "MINIO_KMS_SECRET_KEY": f"tests:{base64.b64encode(secrets.token_bytes(32)).decode()}",
    }
    log = data / "server.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(binary), "server", str(data / "drive"), "--address", host],
            env={**os.environ, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(die_with_parent, signal.SIGKILL),
        )
    try:
        # It answers while it still initialises; a bucket made then may wait for a lock for 60 s.
        wait_until_ready(f"{server.endpoint}/minio/health/ready", process, log, said="Docs:")
        yield server
    finally:
        process.terminate()
        process.wait(10)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path, said: str = "") -> None:
    """Returns once `url` answers 200 and the log holds `said`.

    Raises:
        RuntimeError: the process ended or kept silent for too long; carries the end of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = urllib3.request("GET", url, timeout=2, retries=False)
            if answer.status == 200 and said in log.read_text():
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not start:\n{log.read_text()[-2000:]}")


def free_port() -> int:
    """A TCP port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_binary(name: str) -> Path:
    """Where `build_servers.sh` puts the version of a server that it names."""
    script = (Path(__file__).parent / "build_servers.sh").read_text(encoding="utf-8")
    version = re.search(rf"^{name}_version=(\S+)", script, re.MULTILINE)
    assert version
    servers = os.environ.get("TRAINYARD_SERVERS") or Path.home() / ".cache/trainyard/servers"
    return Path(servers) / f"{name}-{version[1]}" / name
