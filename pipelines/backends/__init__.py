"""Where pipelines run. Each backend is a module of this package, loaded by name when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pipelines.placement import Placement

NAMES = ("local", "prp")
"""Backends by the name of their module; each module has a `BACKEND`."""


@dataclass(frozen=True)
class ClusterOptions:
    """Where and with what a run works on a cluster."""

    placements: Mapping[str, Placement]
    """By stage."""
    root: str
    """Folder on a volume that every step mounts; artifacts and state lie below it. '' where no
    volume was given, which is one of `problems`."""
    namespace: str = ""
    """'' for the kubeconfig's."""
    registry: str = ""
    """Prefix of the images; '' for the default."""
    problems: tuple[str, ...] = ()
    """What is wrong with the options, to be told with everything else."""


@dataclass(frozen=True)
class Request:
    """A run somebody asked for; `values` are the pipeline parameters that were given."""

    pipeline: str
    values: Mapping[str, Any]
    output: Path | None = None
    resume: bool = False
    state_dir: Path | None = None
    """Where stages keep their work; by default `components.core.state.default_root()`."""
    name: str = ""
    """Of the run, on a cluster; '' makes one."""
    follow: bool = True
    """Stay until the run ends."""
    cluster: ClusterOptions | None = None
    """For backends on a cluster only."""


class Backend(Protocol):
    """What every backend can do."""

    def render(self, request: Request) -> dict[str, Any]:
        """The exact run `request` stands for, checked, without starting it."""

    def run(self, request: Request) -> int:
        """Starts the run, follows it if asked to, and returns the process exit code."""


def load(name: str) -> Backend:
    """Imports a backend by name."""
    backend: Backend = importlib.import_module(f"pipelines.backends.{name}").BACKEND
    return backend
