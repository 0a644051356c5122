"""Where `trainyard tao` finds projects and puts results; what was there before goes to an archive.

models/<experiment>/<output>            results, whole or not at all
models/<experiment>/<task>.json         what they were made with
models/.archive/<experiment>-<time>/    what others took the place of; nothing is ever deleted
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from components.core import files
from components.core.errors import InputError, SettingsError
from components.core.settings import closest
from components.core.tao.experiment import Experiment
from components.core.tao.layout import PROJECTS, Layout

STATE = ".trainyard"
"""Folder of a project in which unfinished work is kept for resuming."""


def project_and_experiments(project: str, words: Sequence[str]) -> tuple[Path, tuple[str, ...]]:
    """The project's folder and the experiments' names.

    Args:
        project: of the option -p; '' takes the first word, as the runner of old did later on.
        words: what follows the task.

    Raises:
        SettingsError: no project is named.
        InputError: there is no such project.
    """
    if not project and not words:
        text = "name a project: trainyard tao -p PROJECT TASK EXPERIMENT…"
        raise SettingsError([text], "the command line")
    if not project:
        project, words = words[0], words[1:]
    return project_folder(project), tuple(dict.fromkeys(words))


def project_folder(name: str) -> Path:
    """The folder of a project: a path, or a name below `projects`.

    Raises:
        InputError: neither is one; tells which there are.
    """
    places = [Path(name), Path(PROJECTS) / name]
    for place in places:
        if Layout(place).experiments.is_file():
            return place.absolute()
    known = sorted(path.parent.name for path in Path(PROJECTS).glob("*/experiments.yml"))
    listed = f"; there are {', '.join(known)}" if known else ""
    raise InputError(
        f"{name!r} is no project: neither {places[0]} nor {places[1]} holds an experiments.yml"
        + (closest(name, known) or listed)
    )


def place(experiment: Experiment, output: str) -> Path:
    """Where a project keeps an output of a stage."""
    if output == "records":
        return experiment.records
    return experiment.models / (f"{output}.html" if output == "report" else output)


def archive(experiment: Experiment, things: Sequence[Path]) -> Path | None:
    """Moves results into a new folder of the archive; None where there is nothing to move."""
    there = [thing for thing in things if files.holds_something(thing)]
    if not there:
        return None
    now = datetime.now().astimezone().strftime("%Y%m%dT%H%M%S")
    folder = experiment.layout.archive / f"{experiment.name}-{now}"
    for number in range(2, 100):
        if not folder.exists():
            break
        folder = folder.with_name(f"{experiment.name}-{now}-{number}")
    folder.mkdir(parents=True)
    for thing in there:
        shutil.move(thing, folder / thing.name)
    return folder


def exchange(
    experiment: Experiment, made: Mapping[Path, Path], outdated: Sequence[Path]
) -> Path | None:
    """Puts new results where old ones are, which go to the archive with those that are outdated.

    Args:
        experiment: whose results they are.
        made: new result → its place.
        outdated: further results, which belong to the old ones.

    Returns:
        The folder in the archive; None where nothing was there.
    """
    folder = archive(experiment, [*made.values(), *outdated])
    for new, target in made.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            target.rmdir()
        new.rename(target)
    return folder
