"""`trainyard apply`: pipelines, schedules and other documents as objects of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import yaml
from click.shell_completion import CompletionItem

from components.core.errors import SettingsError
from pipelines import catalog
from pipelines.cluster_options import build_options
from pipelines.kubernetes_schedules import schedule_options, wanted_schedule
from pipelines.placement_options import pipeline_options

Document = dict[str, Any]

_SUFFIXES = (".yaml", ".yml", ".json")


def _complete(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [CompletionItem(name) for name in catalog.names() if name.startswith(incomplete)]


@click.command(name="apply")
@click.argument("pipeline", required=False, default="", shell_complete=_complete)
@schedule_options
@click.option("--all", "everything", is_flag=True, help="Every pipeline.")
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Documents, or a folder of them, instead of pipelines; repeatable.",
)
@click.option("--state-dir", default="", help="Where work is kept  [default: first volume/state]")
@click.option("--dry-run", is_flag=True, help="Have the cluster check everything; change nothing.")
@click.option("--force-conflicts", is_flag=True, help="Take over fields that others manage.")
@pipeline_options
def apply_command(
    pipeline: str,
    everything: bool,
    files: tuple[Path, ...],
    state_dir: str,
    dry_run: bool,
    force_conflicts: bool,
    **options: Any,
) -> None:
    """Compile PIPELINE (or --all) and apply it to a Kubeflow that keeps pipelines in Kubernetes.

    Everything is checked, by the cluster too, before anything is changed; applied again, it stays
    as it is. With --schedule a CronJob runs the newest version with the given parameters.
    """  # fmt: skip
    from pipelines.backends._cluster import Cluster

    if (bool(pipeline) + everything + bool(files)) != 1:
        raise SettingsError(["name one pipeline, or give --all, or -f"], "the command line")
    if files:
        wanted_schedule([], build_options(options, state_dir), options)
        documents = read_documents(files, options["namespace"])
    else:
        names = catalog.names() if everything else [catalog.require(pipeline)]
        documents = _compiled(names, state_dir, options)
    _check(documents)
    cluster = Cluster.connect(options["namespace"])
    _apply(cluster, documents, dry_run, force_conflicts)
    if options["schedule"]:
        _warn_of_absent(cluster)


def read_documents(paths: Iterable[Path], namespace: str = "") -> list[Document]:
    """The Kubernetes documents of files and of the files in folders, in order.

    Raises:
        SettingsError: with every file that cannot be read and every document that is no object.
    """
    found: list[str] = []
    documents: list[Document] = []
    for path in paths:
        listed = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES) if path.is_dir() else []
        if path.is_dir() and not listed:
            found.append(f"{path}: no {', '.join(_SUFFIXES)} in this folder")
        for file in listed or ([] if path.is_dir() else [path]):
            documents += _read(file, namespace, found)
    if found:
        raise SettingsError(found, "the documents")
    return documents


def _read(path: Path, namespace: str, found: list[str]) -> list[Document]:
    try:
        loaded = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        found.append(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})")
        return []
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        found.append(f"{path}: is no YAML{where}: {problem}")
        return []
    documents = []
    for document in loaded:
        items = document.get("items") if isinstance(document, dict) else None
        listed = items if isinstance(items, list) else [document]
        documents += [one for one in listed if one is not None]
    if not documents:
        found.append(f"{path}: holds no objects")
    problems = [text for one in documents if (text := _problem(one, namespace))]
    found += [f"{path}: {text}" for text in dict.fromkeys(problems)]
    return documents


def _problem(document: Any, namespace: str) -> str:
    if isinstance(document, dict) and ("pipelineInfo" in document or "platforms" in document):
        return (
            "a pipeline in Kubeflow's format and no object; upload it (trainyard run PIPELINE "
            "--backend kubeflow does), or write objects with trainyard compile --format kubernetes"
        )
    about = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(about, dict) or not all(
        isinstance(text, str) and text
        for text in (document.get("apiVersion"), document.get("kind"), about.get("name"))
    ):
        return "a document that is no Kubernetes object (apiVersion, kind, metadata.name)"
    if namespace and about.get("namespace", namespace) != namespace:
        return (
            f"{document['kind']}/{about['name']} is for namespace {about['namespace']}, not "
            f"{namespace}; leave out --namespace, or change the document"
        )
    return ""


def _compiled(names: Sequence[str], state_dir: str, options: dict[str, Any]) -> list[Document]:
    from pipelines.compile import checked, in_format

    built = build_options(options, state_dir)
    schedule = wanted_schedule(names, built, options)
    made, warnings = checked(names, built)
    for warning in warnings:
        click.echo(warning, err=True)
    objects = [in_format(one, "kubernetes", options["namespace"]).documents for one in made]
    return [*(document for listed in objects for document in listed), *schedule]


def _check(documents: Sequence[Document]) -> None:
    from pipelines.job_rules import errors, warnings
    from pipelines.lint.objects import lint_kubernetes

    findings = lint_kubernetes(documents)
    for warning in warnings(findings):
        click.echo(warning, err=True)
    if wrong := errors(findings):
        raise SettingsError(wrong, "the documents")


def _apply(cluster: Any, documents: Sequence[Document], dry_run: bool, force: bool) -> None:
    from pipelines.backends._apply import apply_documents, older_versions_note

    different = apply_documents(cluster, documents, click.echo, force, dry_run)
    for document in documents:
        is_version = document["kind"] == "PipelineVersion" and not dry_run
        if is_version and (note := older_versions_note(cluster, document)):
            click.echo(f"warning: {note}", err=True)
    if not different:
        click.echo("everything is so already; nothing was changed")
    elif dry_run:
        click.echo("nothing was changed: this was a dry run")


def _warn_of_absent(cluster: Any) -> None:
    """Runs that start at night should not find then what is missing."""
    from pipelines.backends._job_submit import missing
    from pipelines.backends.kubectl import required

    for text in missing(cluster, required(cluster.namespace)):
        click.echo(f"warning: {text}", err=True)
