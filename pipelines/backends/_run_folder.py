"""The folder of one local run: what was asked for, how far it came, where the results are."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from components import __version__
from components.core import files
from components.core.errors import InputError, ProblemsError, SettingsError
from components.core.lifetime import is_alive
from components.core.state import default_root

RECORD = "run.json"


class RunFolder:
    """`run.json`, `logs/`, `artifacts/` (kfp's own layout) and `outputs/` (links into it)."""

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record

    @classmethod
    def plan(cls, pipeline: str, output: Path | None, state_dir: Path | None) -> RunFolder:
        """A folder for a new run; nothing is created yet.

        Raises:
            InputError: the folder holds something already.
        """
        run_id = uuid.uuid4().hex
        stamp = f"{datetime.now():%Y%m%d-%H%M%S}-{run_id[:4]}"
        path = _absolute(output or Path("runs") / f"{pipeline}-{stamp}")
        if (path / RECORD).exists():
            raise InputError(
                f"{path} holds a run already; add --resume to continue it, "
                "or choose another --output (nothing was changed)"
            )
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{path} is not an empty folder; choose another --output")
        record = {
            "pipeline": pipeline,
            "run_id": run_id,
            "version": __version__,
            "cwd": os.getcwd(),
            "state_dir": str(_absolute(state_dir or default_root())),
            "created": datetime.now().isoformat(timespec="seconds"),
            "status": "new",
            "given": {},
            "parameters": {},
            "steps": {},
        }
        return cls(path, record)

    @classmethod
    def reopen(cls, pipeline: str, output: Path | None) -> RunFolder:
        """The folder of an earlier run: `output`, or the newest one under `runs/`.

        Raises:
            InputError: there is no such run, or it is one of another pipeline.
        """
        path = _absolute(output) if output else _newest(pipeline)
        try:
            record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        except OSError:
            raise InputError(
                f"{path} holds no run to resume; give the folder of a run with --output, "
                "or start a new one without --resume"
            ) from None
        except json.JSONDecodeError as error:
            raise InputError(f"{path / RECORD} is damaged: {error}") from None
        if record["pipeline"] != pipeline:
            raise SettingsError([f"{path} is a run of {record['pipeline']}, not of {pipeline}"])
        return cls(path, record)

    def check_places(self) -> None:
        """Makes sure that run folder and state directory can be written; creates nothing.

        Raises:
            ProblemsError: with each that cannot.
        """
        places = {"--output": self.path, "--state-dir": Path(self.record["state_dir"])}
        problems = [
            InputError(f"{option}: {problem}")
            for option, place in places.items()
            if (problem := files.place_problem(place))
        ]
        if problems:
            raise ProblemsError(problems, "the places to write to")

    def log(self, step: str) -> Path:
        """The log file of one step."""
        return self.path / "logs" / f"{step}.log"

    def save(self, **changes: Any) -> None:
        """Updates run.json."""
        self.record.update(changes)
        self.path.mkdir(parents=True, exist_ok=True)
        files.write_json(self.path / RECORD, self.record)

    def note_step(self, step: str, changes: Mapping[str, Any]) -> None:
        """Records the state of one step."""
        self.record["steps"].setdefault(step, {}).update(changes)
        self.save()

    def link_output(self, step: str, name: str, target: Path) -> None:
        """Makes `outputs/<step>/<name>` point to a published artifact."""
        link = self.path / "outputs" / step / name
        with files.atomic_path(link) as temporary:
            temporary.symlink_to(os.path.relpath(target, link.parent))

    def output(self, step: str, name: str) -> Path | None:
        """A finished step's output, if it is there."""
        link = self.path / "outputs" / step / name
        return link if link.exists() else None

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Starts an attempt, and keeps two processes from working on the same run.

        Raises:
            InputError: another process runs it right now.
        """
        owner = self.path / "pid"
        if owner.exists():
            pid = owner.read_text(encoding="utf-8").strip()
            if pid.isdigit() and is_alive(int(pid)):
                raise InputError(
                    f"{self.path} is being run by process {pid}; wait or stop it first"
                )
        self.save(status="running", steps={})
        files.write_text(owner, f"{os.getpid()}\n")
        try:
            yield
        finally:
            owner.unlink(missing_ok=True)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))


def _newest(pipeline: str) -> Path:
    runs = sorted(Path("runs").absolute().glob(f"{pipeline}-*/{RECORD}"))
    if not runs:
        raise InputError(
            f"no run of {pipeline} under {Path('runs').absolute()}; name its folder with --output"
        )
    return max(runs, key=lambda path: path.stat().st_mtime).parent
