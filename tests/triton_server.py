"""A real Triton server for tests, from the nvidia-pytriton wheel, started on free ports."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnxruntime
from servers import free_port, wait_until_ready

from components.core.lifetime import die_with_parent

TESTS = Path(__file__).parent
STUB = "triton_python_backend_stub"


class TritonAbsentError(Exception):
    """No Triton server that this interpreter can use."""


@dataclass(frozen=True)
class TritonServer:
    """A running server."""

    url: str
    repository: Path
    log: Path


def installation() -> Path:
    """The folder that holds `pytriton` and `nvidia_pytriton.libs`.

    Raises:
        TritonAbsentError: neither in the servers' cache nor installed, or not for this Python.
    """
    script = (TESTS / "build_tritonserver.sh").read_text(encoding="utf-8")
    version = re.search(r"^version=(\S+)", script, re.MULTILINE)
    assert version
    servers = os.environ.get("TRAINYARD_SERVERS") or Path.home() / ".cache/trainyard/servers"
    found = Path(servers) / f"tritonserver-{version[1]}"
    if not found.is_dir():
        spec = importlib.util.find_spec("pytriton")
        if spec is None or not spec.submodule_search_locations:
            raise TritonAbsentError(
                f"no Triton server in {found}; `sh tests/build_tritonserver.sh` fetches it"
            )
        found = Path(spec.submodule_search_locations[0]).parent
    if not _stub(found).is_file():
        raise TritonAbsentError(f"{found} has no stub for Python {sys.version_info[:2]}")
    if not (found / "numpy").is_dir():
        raise TritonAbsentError(f"{found} has no numpy 1; `sh tests/build_tritonserver.sh` adds it")
    return found


@contextmanager
def running_triton(folder: Path, mode: str = "explicit") -> Iterator[TritonServer]:
    """Starts a server over the new, empty `folder/repository`; yields it when it is ready.

    `mode` is Triton's model control mode, `explicit` or `poll` (every second).

    Raises:
        TritonAbsentError: there is none to start.
        RuntimeError: it does not start; carries what it said.
    """
    home = installation()
    repository, log = folder / "repository", folder / "server.log"
    repository.mkdir(parents=True)
    backends = _backends(home, folder / "backends")
    http, grpc, metrics = (free_port() for _ in range(3))
    packages = Path(onnxruntime.__file__).parent.parent
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{home / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}",
        "PYTHONHOME": sys.base_prefix,
        "TRAINYARD_TEST_BACKEND_PATH": f"{home / 'numpy'}{os.pathsep}{packages}",
        "OMP_NUM_THREADS": "1",
    }
    command = [
        str(home / "pytriton/tritonserver/bin/tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={backends}",
        f"--model-control-mode={mode}",
        *(["--repository-poll-secs=1"] if mode == "poll" else []),
        "--http-address=127.0.0.1",
        f"--http-port={http}",
        f"--grpc-port={grpc}",
        f"--metrics-port={metrics}",
        "--exit-timeout-secs=5",
        "--backend-config=python,shm-default-byte-size=4194304",
        f"--backend-config=python,shm-region-prefix-name=trainyard{os.getpid()}",
    ]
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(die_with_parent, signal.SIGKILL),
        )
    url = f"http://127.0.0.1:{http}"
    try:
        wait_until_ready(f"{url}/v2/health/live", process, log)
        yield TritonServer(url, repository, log)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _backends(home: Path, folder: Path) -> Path:
    """A backend directory: Triton's Python backend, and those written in Python on top of it."""
    source = home / "pytriton/tritonserver/backends/python"
    shutil.copytree(source, folder / "python")
    shutil.copy2(_stub(home), folder / "python" / STUB)
    (folder / "python" / STUB).chmod(0o755)
    for backend in ("onnxruntime", "tensorflow"):
        (folder / backend).mkdir()
        shutil.copyfile(TESTS / f"triton_{backend}_backend.py", folder / backend / "model.py")
    return folder


def _stub(home: Path) -> Path:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return home / "pytriton/tritonserver/python_backend_stubs" / version / STUB
