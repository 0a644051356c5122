"""Runs the real `trainyard` command in a subprocess and watches it, for end-to-end tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]

SMALL: dict[str, Any] = {
    "frame_size": 32,
    "sample_frames": 12,
    "clip_frames": 8,
    "width": 0.125,
    "epochs": 2,
    "batch_size": 4,
    "val_size": 2,
    "test_size": 2,
    "bootstrap": 50,
}
"""Parameters with which a run takes seconds."""


def command(*arguments: object) -> list[str]:
    """The installed `trainyard` of this interpreter's environment."""
    return [str(Path(sys.executable).with_name("trainyard")), *map(str, arguments)]


def assignments(parameters: dict[str, Any]) -> list[str]:
    """`key=value` arguments."""
    return [f"{key}={value}" for key, value in parameters.items()]


def run(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `trainyard` in `folder` to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=_environment(environment),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def start(folder: Path, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Starts `trainyard` in `folder`; its output goes to `folder/output.txt`."""
    with open(folder / "output.txt", "a", encoding="utf-8") as output:
        return subprocess.Popen(
            command(*arguments),
            cwd=folder,
            env=_environment(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )


def record(run_folder: Path) -> dict[str, Any]:
    """The run.json of a run folder, empty while there is none."""
    try:
        content: dict[str, Any] = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return content


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float) -> bool:
    """Waits until `condition` holds; False when the process ended first."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        if process.poll() is not None:
            return condition()
        time.sleep(0.01)
    raise AssertionError(f"nothing happened within {seconds} s")


def processes_of(run_id: str) -> Iterator[int]:
    """Processes (not zombies) that carry a run's id in their environment."""
    marker = f"TRAINYARD_RUN_ID={run_id}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if marker in (entry / "environ").read_bytes():
                yield int(entry.name)
        except OSError:
            continue


def gone(run_id: str, seconds: float) -> bool:
    """Whether every process of a run ends within `seconds`."""
    deadline = time.monotonic() + seconds
    while any(True for _ in processes_of(run_id)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _environment(extra: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **extra}
