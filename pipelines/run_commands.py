"""`trainyard status | follow | cancel`: runs on a cluster, after the command that started them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pipelines import backends

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
    """Show how far RUN is, step by step; exits with 1 when it failed."""
    found = backends.load_cluster(backend).status(run, namespace)
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
    raise SystemExit(backends.load_cluster(backend).follow(run, namespace))


@click.command()
@_run_options
def cancel(run: str, backend: str, namespace: str) -> None:
    """End RUN; what is done stays, and the same run can be resumed."""
    backends.load_cluster(backend).cancel(run, namespace)
    click.echo(f"{run}: cancelled")
