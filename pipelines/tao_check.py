"""`trainyard tao check`: everything that is wrong with a project, before anything is started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from components.core.errors import InputError, ProblemsError
from components.core.tao.experiment import Experiment
from components.core.tao.project import Project
from components.core.wording import counted


def checked(project: Project, names: Sequence[str]) -> Iterator[str]:
    """Looks through experiments, all where none are named: specifications, weights, key, data.

    Yields:
        A line for every data set and experiment.

    Raises:
        ProblemsError: with everything that is wrong with any of them.
    """
    problems: list[str | InputError] = []
    chosen = []
    for name in names or project.experiments:
        try:
            chosen.append(project.experiment(name))
        except InputError as error:
            problems.append(error)
    lines = []
    for experiment in chosen:
        found = experiment.problems(tasks(experiment))
        problems += [InputError(text) for text in found]
        state = f"{counted(len(found), 'problem')}" if found else "sound"
        lines.append(f"{experiment.name} ({experiment.head}): {state}")
    for folder, kind in {one.data: one.known_head.data for one in chosen}.items():
        if folder.is_dir():
            line, errors = _data(folder, kind.startswith("kitti"))
            lines.append(line)
            problems += [InputError(text) for text in errors]
    if problems:
        seen = {str(problem): problem for problem in problems}
        raise ProblemsError(list(seen.values()), str(project.folder))
    yield from lines


def tasks(experiment: Experiment) -> list[str]:
    """Tasks whose specifications an experiment needs."""
    return ["train"] if experiment.known_head.data == "coco" else ["convert", "train"]


def _data(folder: Path, is_kitti: bool) -> tuple[str, list[str]]:
    """A line about a data set, and what of it cannot be used."""
    from components.core.kitti import check, conversion

    try:
        if is_kitti:
            report = check.check(folder)
            line = f"{counted(report.images, 'image')}, {counted(len(report.notes), 'note')}"
            return f"{folder}: {line}", [str(problem) for problem in report.errors]
        _, found = conversion.read(folder)
        lost = [str(problem) for problem in conversion.losses(found.problems)]
        return f"{folder}: {counted(len(found.images), 'image')}", lost
    except InputError as error:
        return f"{folder}: not usable", [str(error)]
