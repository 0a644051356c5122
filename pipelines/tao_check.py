"""`trainyard tao check`: everything that is wrong with a project, before anything is started."""

from __future__ import annotations

from collections.abc import Sequence

from components.core.errors import InputError, ProblemsError, TrainyardError
from components.core.tao.dataset import Found, look_through
from components.core.tao.experiment import Experiment
from components.core.tao.project import Project
from components.core.tao.specs import SpecTree
from components.core.wording import counted


def checked(project: Project, names: Sequence[str]) -> list[str]:
    """Looks through experiments, all where none are named: specifications, weights, key, data.

    The programs of TAO need not be there.

    Returns:
        A line for every experiment, and notes.

    Raises:
        ProblemsError: with everything that is wrong with any of them.
    """
    problems: list[str] = []
    lines = []
    for name in names or project.experiments:
        try:
            experiment = project.experiment(name)
        except InputError as error:
            problems.append(str(error))
            continue
        data = look_through(experiment, _data_spec(experiment))
        problems += [*experiment.problems(tasks(experiment)), *data.problems]
        lines.append(f"{name} ({experiment.head}): {_described(data)} in {experiment.data}")
        lines += [f"  note: {note}" for note in data.notes]
    if problems:
        found = [InputError(text) for text in dict.fromkeys(problems)]
        raise ProblemsError(found, str(project.folder))
    return lines


def tasks(experiment: Experiment) -> list[str]:
    """Tasks whose specifications an experiment needs."""
    converts = "dataset_convert" in experiment.known_head.tasks
    return ["convert", "train"] if converts else ["train"]


def _data_spec(experiment: Experiment) -> SpecTree | None:
    """The specification that names the places of the data; None where it cannot be read."""
    try:
        return experiment.rendered(tasks(experiment)[0]).tree
    except TrainyardError:
        return None


def _described(data: Found) -> str:
    classes = ", ".join(f"{name} {count}" for name, count in data.classes.items())
    return f"{counted(data.images, 'image')} ({data.empty} without objects; {classes or 'none'})"
