"""The `trainyard` command. Heavy imports happen inside the commands, so that --help is instant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from components import __version__
from components.core.errors import SettingsError, TrainyardError
from pipelines import backends, catalog
from pipelines.apply_command import apply_command
from pipelines.cluster_options import build_options, cluster_options
from pipelines.cvat_command import cvat
from pipelines.dashboard_command import dashboard
from pipelines.dataset_command import dataset
from pipelines.job_command import job_command
from pipelines.kubernetes_schedules import schedule_options, wanted_schedule
from pipelines.lint_command import lint_command
from pipelines.outputs_command import outputs
from pipelines.placement_options import pipeline_options
from pipelines.registry_command import registry
from pipelines.run_commands import cancel, follow, status
from pipelines.schedule_command import schedule
from pipelines.tao_command import tao

EXIT_CODES = """
\b
Exit codes:
  0    done
  1    a step failed
  2    wrong settings, parameters or usage
  3    input data that cannot be used
  4    a service cannot be reached or refuses the credentials
  5    no space left
  6    another process works on the same thing
  130  stopped by Ctrl-C; 143 stopped by SIGTERM
"""


class _Commands(click.Group):
    """Turns our errors into a message and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except TrainyardError as error:
            click.echo(f"error: {error}", err=True)
            raise SystemExit(error.exit_code) from None


@click.group(cls=_Commands, epilog=EXIT_CODES, context_settings={"max_content_width": 100})
@click.version_option(__version__, prog_name="trainyard")
def main() -> None:
    """Kubernetes-native training pipelines for vision, on a cluster or on this machine."""


def _complete_pipeline(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=catalog.summary(name))
        for name in catalog.names()
        if name.startswith(incomplete)
    ]


def _complete_assignment(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    name = context.params.get("pipeline")
    if name not in catalog.names() or "=" in incomplete:
        return []
    described = _read(str(name))
    return [
        CompletionItem(f"{p.name}=", help=p.description)
        for p in described.parameters.values()
        if p.name.startswith(incomplete)
    ]


pipeline_argument = click.argument(
    "pipeline", metavar="PIPELINE", shell_complete=_complete_pipeline
)


@main.command(name="list")
@click.argument("pipeline", required=False, default="", shell_complete=_complete_pipeline)
def list_command(pipeline: str) -> None:
    """List the pipelines, or the steps and parameters of one PIPELINE."""
    if not pipeline:
        for name in catalog.names():
            click.echo(f"{name}  {catalog.summary(name)}")
        return
    described = _read(pipeline)
    click.echo("steps: " + " → ".join(_steps(described)) + "\n")
    for parameter in described.parameters.values():
        default = "required" if parameter.required else f"default {parameter.default!r}"
        click.echo(f"{parameter.name} ({parameter.type}, {default})\n    {parameter.description}")


@main.command()
@pipeline_argument
@click.argument(
    "assignments", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=_complete_assignment
)
@click.option("-f", "--file", "files", multiple=True, help="YAML file with parameters; repeatable.")
@click.option("--backend", default="local", show_default=True, type=click.Choice(backends.NAMES))
@click.option("--output", type=click.Path(path_type=Path), help="Run folder  [default: runs/…]")
@click.option("--resume", is_flag=True, help="Continue the run in --output, or the newest one.")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help="Where work is kept between runs  [default: $TRAINYARD_STATE_DIR or .trainyard]",
)
@click.option("--dry-run", is_flag=True, help="Check everything and show the run; start nothing.")
@click.option("--follow/--no-follow", default=True, help="Local runs are always followed.")
@click.option("--name", default="", help="Of the run on a cluster; the same name resumes it.")
@click.option("--experiment", help="Kubeflow's group of runs  [default: the pipeline's name]")
@click.option("--service-account", help="What the pods act as  [default: the backend's]")
@pipeline_options
def run(
    pipeline: str,
    assignments: tuple[str, ...],
    files: tuple[str, ...],
    backend: str,
    output: Path | None,
    resume: bool,
    state_dir: Path | None,
    dry_run: bool,
    follow: bool,
    name: str,
    **options: Any,
) -> None:
    """Run PIPELINE with the given parameters (`trainyard list PIPELINE` shows them).

    With --backend kubeflow or kubectl it is compiled and run by Kubeflow Pipelines; with prp every
    step is a Kubernetes Job. Everything from --experiment on is for these.
    """
    from pipelines.backends import Request

    pipeline = catalog.require(pipeline)
    values = _values(pipeline, files, assignments)
    cluster = cluster_options(backend, name, str(state_dir or ""), options, values)
    request = Request(
        pipeline,
        values,
        output,
        resume,
        state_dir,
        name,
        follow,
        cluster,
    )
    chosen = backends.load(backend)
    if dry_run:
        _show_dry_run(chosen.render(request))
        return
    raise SystemExit(chosen.run(request))


@main.command(name="compile")
@click.argument("pipeline", required=False, default="", shell_complete=_complete_pipeline)
@schedule_options
@click.option("--all", "everything", is_flag=True, help="Compile every pipeline.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path(), help="Folder to write to."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["kubeflow", "kubernetes"]),
    default="kubeflow",
    show_default=True,
    help="A file to upload, or objects for kubectl apply --server-side.",
)
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="NAME=REFERENCE",
    help="Image to use in place of ours, such as torch=registry/image@sha256:…; repeatable.",
)
@click.option(
    "--state-dir",
    default="",
    help="Where work is kept for resuming, on a volume  [default: first volume/state]",
)
@click.option(
    "--dry-run", is_flag=True, help="Check and print, with --all the names; write nothing."
)
@pipeline_options
def compile_command(
    pipeline: str,
    everything: bool,
    output: Path,
    form: Any,
    state_dir: str,
    dry_run: bool,
    **options: Any,
) -> None:
    """Compile PIPELINE (or --all) for Kubeflow Pipelines, after checking all of it."""
    from pipelines.compile import checked, in_format, output_problem, require_sound, write

    if options["schedule"] and everything:
        text = "--schedule is for one pipeline; name it in place of --all"
        raise SettingsError([text], "the command line")
    if bool(pipeline) == everything:
        raise SettingsError(["name one pipeline, or give --all"], "the command line")
    names = catalog.names() if everything else [catalog.require(pipeline)]
    found = [] if dry_run or not (problem := output_problem(output)) else [problem]
    if options["schedule"] and form != "kubernetes":
        found.append("--schedule needs --format kubernetes")
    built = build_options(options, state_dir, found)
    schedule = wanted_schedule(names, built, options, found)
    made, warnings = checked(names, built)
    for warning in warnings:
        click.echo(warning, err=True)
    made = [in_format(one, form, options["namespace"]) for one in made]
    made[0].documents.extend(schedule)
    if form == "kubernetes":
        require_sound([document for one in made for document in one.documents])
    if dry_run:
        listed = "".join(f"{output / one.name}.yaml\n" for one in made)
        click.echo(listed if everything else made[0].text(), nl=False)
        return
    for path in write(made, output):
        click.echo(path)


@main.command()
@click.argument("name", required=False, default="action_recognition")
@click.option("--output", type=click.Path(path_type=Path), default=Path(".demo"), show_default=True)
@click.option("--resume", is_flag=True, help="Continue a demo that was stopped.")
def demo(name: str, output: Path, resume: bool) -> None:
    """Make a small data set and run a pipeline on it, on the CPU, in minutes.

    NAME is a pipeline, action_recognition (the default), low_resolution_actions,
    video_classification, weed_detection or neural_rendering; or sweep, which searches better
    settings for action_recognition first.
    """
    from pipelines.demo import run_demo

    raise SystemExit(run_demo(output, resume, name))


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="HTML page to write, with a .csv beside it  [default: <FILE>_losses.html]",
)
def logs(files: tuple[str, ...], output: Path | None) -> None:
    """Plot the losses in console logs of trainings; - reads `kubectl logs job/x` from a pipe."""
    from pipelines.logs import show_losses

    for line in show_losses(files, output):
        click.echo(line)


main.add_command(job_command)
main.add_command(apply_command)
main.add_command(lint_command)
main.add_command(status)
main.add_command(follow)
main.add_command(cancel)
main.add_command(outputs)
main.add_command(schedule)
main.add_command(registry)
main.add_command(cvat)
main.add_command(dashboard)
main.add_command(tao)
main.add_command(dataset)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script: `trainyard completion bash >> ~/.bashrc`."""
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(main, {}, "trainyard", "_TRAINYARD_COMPLETE").source())


def _steps(described: Any) -> Iterator[str]:
    """The stages in order, with what decides whether those that follow run."""
    known: tuple[Any, ...] = ()
    for step in described.unrolled({}).steps:
        new = [condition for condition in step.conditions if condition not in known]
        known = step.conditions
        when = [f"(if {c.task.replace('-', '_')} says {c.value}) " for c in new]
        yield "".join([*when, step.stage.name])


def _read(name: str) -> Any:
    from pipelines import plan

    return plan.read(catalog.load(name))


def _values(name: str, files: tuple[str, ...], assignments: tuple[str, ...]) -> dict[str, Any]:
    """Parameters from files, then from the command line; every problem of all of them at once."""
    from components.core.settings import parse_assignments, read_file

    text = [p.name for p in _read(name).parameters.values() if p.type == "str"]
    values: dict[str, Any] = {}
    problems: list[str] = []
    for path in files:
        try:
            values |= read_file(path)
        except SettingsError as error:
            problems += [f"{path}: {problem}" for problem in error.problems]
    try:
        values |= parse_assignments(assignments, text)
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise SettingsError(problems, "the parameters")
    return values


def _show_dry_run(document: dict[str, Any]) -> None:
    from pipelines.jobs import as_yaml

    click.echo(as_yaml([document]), nl=False)


if __name__ == "__main__":
    main()
