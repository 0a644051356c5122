"""Where pipelines run. Each backend is a module of this package, loaded by name when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from pipelines.placement import Placement

CLUSTER_NAMES = ("kubeflow", "kubectl", "prp")
NAMES = ("local", *CLUSTER_NAMES)
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
    storage: Literal["artifact", "volume"] = "artifact"
    """As of `pipelines.building.BuildOptions`; Jobs always use the volume."""
    notify: str = ""
    """Secret with TRAINYARD_WEBHOOK_URL; '' for nobody."""
    experiment: str = ""
    """Kubeflow's group of runs; '' for the pipeline's name."""
    service_account: str = ""
    """What pods act as; '' for the backend's default."""
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


State = Literal["pending", "running", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True)
class StepStatus:
    """How far one step of a run is."""

    task: str
    state: State
    detail: str = ""
    """Why it waits or failed, for people."""


@dataclass(frozen=True)
class RunStatus:
    """How far a run is."""

    run: str
    state: State
    steps: tuple[StepStatus, ...] = ()
    url: str = ""
    """Where people can look at it; '' where there is no such page."""
    detail: str = ""


class Backend(Protocol):
    """What every backend can do."""

    def render(self, request: Request) -> dict[str, Any]:
        """The exact run `request` stands for, checked, without starting it."""

    def run(self, request: Request) -> int:
        """Starts the run, follows it if asked to, and returns the process exit code."""


class ClusterBackend(Backend, Protocol):
    """What backends can do whose runs outlive the command that started them.

    `run` is `submit` and, if asked to, `follow`. A run is named by what `submit` returned.
    """

    def submit(self, request: Request) -> str:
        """Starts the run, or finds the same one; returns its name."""

    def status(self, run: str, namespace: str) -> RunStatus:
        """How far a run is; InputError where there is none of that name."""

    def follow(self, run: str, namespace: str) -> int:
        """Shows steps and logs until the run ends; returns its exit code. Ctrl-C leaves it be."""

    def cancel(self, run: str, namespace: str) -> None:
        """Ends a run; what is done already stays, and the run can be resumed."""


def load(name: str) -> Backend:
    """Imports a backend by name."""
    backend: Backend = importlib.import_module(f"pipelines.backends.{name}").BACKEND
    return backend


def load_cluster(name: str) -> ClusterBackend:
    """Imports a backend of CLUSTER_NAMES."""
    backend: ClusterBackend = importlib.import_module(f"pipelines.backends.{name}").BACKEND
    return backend
