"""`trainyard status | follow | cancel`: runs on a cluster, after the command that started them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from components.core.errors import SettingsError
from pipelines import backends
from pipelines.quantities import is_dns_label

F = TypeVar("F", bound=Callable[..., Any])

_MARKS = {"pending": "·", "running": "▶", "succeeded": "✓", "failed": "✗", "cancelled": "–"}


def _run_options(command: F) -> F:
    for option in (
        click.option("--namespace", default="", help="Namespace  [default: the kubeconfig's]"),
        click.option(
            "--backend", default="kubeflow", show_default=True,
            type=click.Choice(backends.CLUSTER_NAMES),
        ),
        click.argument("run"),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@_run_options
def status(run: str, backend: str, namespace: str) -> None:
    """Show how far RUN (a name, or Kubeflow's id) is, step by step; exits with 1 when it failed."""
    found = _loaded(backend, run).status(run, namespace)
    click.echo(f"{found.run}: {found.state}" + (f" ({found.detail})" if found.detail else ""))
    for step in found.steps:
        detail = f"  {step.detail}" if step.detail else ""
        click.echo(f"  {_MARKS[step.state]} {step.task}: {step.state}{detail}")
    if found.url:
        click.echo(found.url)
    raise SystemExit(1 if found.state == "failed" else 0)


@click.command()
@_run_options
def follow(run: str, backend: str, namespace: str) -> None:
    """Show RUN's steps and logs until it ends; exits as the run does."""
    raise SystemExit(_loaded(backend, run).follow(run, namespace))


@click.command()
@_run_options
def cancel(run: str, backend: str, namespace: str) -> None:
    """End RUN; what is done stays, and the same run can be resumed."""
    _loaded(backend, run).cancel(run, namespace)
    click.echo(f"{run}: cancelled")


def _loaded(backend: str, run: str) -> backends.ClusterBackend:
    """The backend, once RUN can be the name of one of its runs.

    Raises:
        SettingsError: it cannot.
    """
    if backend == "kubeflow":
        sound, accepted = bool(run.strip()) and run.isprintable(), "ids and names of runs"
    else:
        sound, accepted = is_dns_label(run), "at most 63 of a-z, 0-9 and inner dashes"
    if not sound:
        raise SettingsError([f"RUN {run!r}: accepted are {accepted}"], "the command line")
    return backends.load_cluster(backend)
