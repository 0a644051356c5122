"""`trainyard outputs`: what a run on Kubeflow has written, into a folder of this machine."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder to make  [default: runs/RUN]"
)
def outputs(run: str, output: Path | None) -> None:
    """Fetch what RUN (an id of Kubeflow) has written: report, model and figures of every step.

    They come from Kubeflow's object store: TRAINYARD_S3_ENDPOINT and its keys have to be set.
    """
    from pipelines.backends.kubeflow import BACKEND

    BACKEND.fetch(run, output or Path("runs", run))
