"""`trainyard tao`: NVIDIA TAO projects, task by task, without a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from components.core.tao.experiment import Experiment
    from components.core.tao.project import Project

F = TypeVar("F", bound=Callable[..., Any])

words_argument = click.argument("words", nargs=-1, metavar="[PROJECT] EXPERIMENT...")


unpruned_option = click.option(
    "--unpruned", is_flag=True, help="Take the model as trained, though a pruned one is there."
)


def common_options(function: F) -> F:
    """Options of every task."""
    options = (
        click.option("-p", "--project", "own_project", default="", hidden=True),
        click.option(
            "--overwrite",
            is_flag=True,
            help="A new result takes the place of an old one, which goes to models/.archive.",
        ),
        click.option(
            "--keep-going", is_flag=True, help="Go on with the next experiment after a failure."
        ),
        click.option(
            "--dry-run", is_flag=True, help="Check, show commands and specifications; do nothing."
        ),
        click.option(
            "--set",
            "pairs",
            multiple=True,
            metavar="KEY=VALUE",
            help="A setting of the stage (python -m components.tao_train --help); repeatable.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.group()
@click.option(
    "-p", "--project", default="", help="Folder of the project, or its name below projects/."
)
@click.pass_context
def tao(context: click.Context, project: str) -> None:
    """Train detectors with NVIDIA TAO: projects with an experiments.yml.

    The programs of TAO must be there, as in the image `tao` (images/README.md); on a cluster the
    pipeline tao_detection does the same. The project is given with -p or as the first word. The
    key of the models comes from TRAINYARD_TAO_KEY and is never shown.

    \b
    trainyard tao check projects/example
    trainyard tao -p example convert dssd_resnet18_01
    trainyard tao -p example train dssd_resnet18_01 detectnetv2_resnet18_01 --keep-going
    trainyard tao export example dssd_resnet18_01 --dry-run
    """
    context.obj = project


@tao.command()
@words_argument
@click.option("-p", "--project", "own_project", default="", hidden=True)
@click.pass_obj
def check(project: str, /, words: tuple[str, ...], own_project: str) -> None:
    """Tell everything that is wrong with a project, or with some of its experiments."""
    from pipelines.tao_check import checked

    opened, names = _opened(own_project or project, words)
    for line in checked(opened, names):
        click.echo(line)


@tao.command()
@words_argument
@click.option("--subset", required=True, help="Folder of the data set to divide, such as full.")
@click.option("--val", default=0.2, show_default=True, help="Share of the images for validation.")
@click.option("--seed", default=0, show_default=True)
@common_options
@click.pass_obj
def split(
    project: str, /, words: tuple[str, ...], subset: str, val: float, seed: int, **options: Any
) -> None:
    """Divide the data sets of EXPERIMENTs into train and val, evenly by class, recordings whole."""
    from pipelines import tao_split

    _, chosen = _experiments(options["own_project"] or project, words)
    divided = tao_split.datasets(chosen, subset, val, options["overwrite"])
    for experiment in divided:
        if options["dry_run"]:
            source = experiment.data / subset
            click.echo(f"{source} → {experiment.data / 'train'}, {experiment.data / 'val'} ({val})")
        else:
            tao_split.split(experiment, subset, val, seed, options["pairs"])


@tao.command()
@words_argument
@common_options
@click.pass_obj
def convert(project: str, /, words: tuple[str, ...], **options: Any) -> None:
    """Check the data of EXPERIMENTs and turn it into what their heads read."""
    _run("convert", project, words, options)


@tao.command()
@words_argument
@click.option("-s", "--stop", is_flag=True, help="Has no effect any more.")
@common_options
@click.pass_obj
def train(project: str, /, words: tuple[str, ...], stop: bool, **options: Any) -> None:
    """Train EXPERIMENTs; one that was interrupted goes on where it was."""
    if stop:
        text = "-s has no effect: trainings of others are left alone; stop yours with Ctrl-C"
        click.echo(text, err=True)
    _run("train", project, words, options)


@tao.command()
@words_argument
@unpruned_option
@common_options
@click.pass_obj
def evaluate(project: str, /, words: tuple[str, ...], **options: Any) -> None:
    """Measure the models of EXPERIMENTs."""
    _run("evaluate", project, words, options)


@tao.command()
@words_argument
@common_options
@click.pass_obj
def prune(project: str, /, words: tuple[str, ...], **options: Any) -> None:
    """Make the models of EXPERIMENTs smaller, and train them again."""
    _run("prune", project, words, options)


@tao.command()
@words_argument
@click.option("-m", "--model", default="", help="Checkpoint in place of the file's export_model.")
@unpruned_option
@common_options
@click.pass_obj
def export(project: str, /, words: tuple[str, ...], model: str, **options: Any) -> None:
    """Export the models of EXPERIMENTs as ONNX or TensorRT engines."""
    _run("export", project, words, {**options, "wanted": model})


@tao.command()
@words_argument
@common_options
@click.pass_obj
def engine(project: str, /, words: tuple[str, ...], **options: Any) -> None:
    """Build TensorRT engines of what was exported, for the GPU that is here."""
    _run("engine", project, words, options)


def _run(task: str, project: str, words: tuple[str, ...], options: dict[str, Any]) -> None:
    from pipelines import tao_running, tao_steps

    # the stage tells the warnings itself
    opened, names = _opened(options["own_project"] or project, words, told=options["dry_run"])
    steps = tao_steps.steps(task, opened, names, options["pairs"], options.get("unpruned", False))
    if options["dry_run"]:
        from pipelines.tao_dry_run import lines

        for step in steps:
            for line in lines(task, step.settings.model_dump(), options.get("wanted", "")):
                click.echo(line)
        return
    if wanted := options.get("wanted", ""):
        steps = tao_running.with_checkpoint(steps, wanted)
    tao_running.require_sound(steps, options["overwrite"])
    raise SystemExit(tao_running.run(steps, options["overwrite"], options["keep_going"]))


def _opened(
    project: str, words: tuple[str, ...], told: bool = True
) -> tuple[Project, tuple[str, ...]]:
    """The project, its warnings told, and the names of experiments."""
    from components.core.tao.project import Project
    from pipelines.tao_places import project_and_experiments

    folder, names = project_and_experiments(project, words)
    opened = Project.load(Path(folder))
    for warning in opened.warnings if told else ():
        click.echo(f"warning: {warning}", err=True)
    return opened, names


def _experiments(project: str, words: tuple[str, ...]) -> tuple[Project, list[Experiment]]:
    from components.core.errors import SettingsError

    opened, names = _opened(project, words)
    if not names:
        listed = ", ".join(opened.experiments)
        raise SettingsError([f"name experiments; {opened.name} has {listed}"], "the command line")
    return opened, [opened.experiment(name) for name in names]
