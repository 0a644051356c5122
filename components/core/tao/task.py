"""One task of one experiment: everything checked before anything is started."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.core.artifacts import base
from components.core.artifacts.tao_data import COPY, DATA, TaoData
from components.core.errors import InputError, ProblemsError, SettingsError, TrainyardError
from components.core.events import Reporter
from components.core.state import digest
from components.core.tao.commands import Program
from components.core.tao.experiment import Experiment, Rendered
from components.core.tao.heads import Head, release_for
from components.core.tao.key import Key
from components.core.tao.process import program_problem
from components.core.tao.project import Project
from components.core.tao.releases import Release
from components.core.tao.specs import SpecTree

PROJECT = "Folder of the TAO project, with experiments.yml, data and specs"
EXPERIMENT = "Name of the experiment in experiments.yml"
RELEASE = (
    "Tag of NVIDIA's image that runs it, such as 5.0.0-tf1.15.5; '' takes that of experiments.yml, "
    "or one that has the head"
)

GPUS = (
    "Training processes, one per GPU, counted from the first that this step sees; 0 takes the "
    "number of experiments.yml"
)
AMP = "Mixed precision (heads of TensorFlow 1; the others' specifications say it)"

Tree = Callable[[SpecTree], SpecTree]

NEUTRAL = "<data>"
"""Stands for the folder of records where a specification is compared with an earlier one."""


@dataclass(frozen=True)
class Task:
    """An experiment with the head and the release that run it."""

    project: Project
    experiment: Experiment
    head: Head
    release: Release

    @property
    def key(self) -> Key:
        """Shown as its name wherever it is printed."""
        return self.experiment.model_key

    @property
    def program(self) -> Program:
        """Makes command lines."""
        return Program(self.head, self.release, self.key)

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of `.tao_mounts.json`."""
        return self.project.layout.mounts.environment

    def rendered(self, task: str, records: Path, tree: Tree | None = None) -> Rendered:
        """The specification of a task.

        Args:
            task: of `experiment.TASK_SPECS`.
            records: the TaoData folder, whose copy of the data set is taken where it has one.
            tree: changes the specification before it becomes a text.
        """
        copy = records / COPY
        more = dict.fromkeys(("dataset", "dataset_raw"), str(copy)) if copy.is_dir() else {}
        made = self.experiment.rendered(task, records / DATA, more)
        if tree is None:
            return made
        changed = tree(made.tree)
        return Rendered(made.source, changed.text(), changed)

    def identity(self, task: str, records: Path) -> str:
        """Changes with a specification and pretrained weights, not with where records lie."""
        text = self.rendered(task, records).text.replace(str(records), NEUTRAL)
        weights = self.pretrained()
        content = base.content(weights) if weights else ""
        data = TaoData.load(records).fingerprint
        return digest([self.head.name, self.release.tag, text, content, data], 16)

    def pretrained(self) -> Path | None:
        """Weights to start from, of heads that take them as an argument."""
        if self.head.pretrained != "argument" or not self.experiment.repository:
            return None
        return self.experiment.pretrained()


def planned(
    project: str,
    experiment: str,
    release: str,
    tasks: Sequence[str],
    *,
    program: bool = True,
    report: Reporter | None = None,
) -> Task:
    """Reads the project and checks that tasks can be started.

    Args:
        project: its folder.
        experiment: its name.
        release: tag of the image, '' for that of the project or the head's default.
        tasks: of `experiment.TASK_SPECS`.
        program: whether the head's program is needed here.
        report: told the project's warnings.

    Raises:
        SettingsError: with everything that is wrong.
        InputError: there is no such project or experiment.
    """
    read = Project.load(Path(project))
    for warning in read.warnings if report else ():
        assert report
        report.warn(warning)
    chosen = read.experiment(experiment)
    head = chosen.known_head
    found, problem = release_for(head, release or chosen.release)
    problems = [problem] if problem else []
    problems += chosen.problems(tasks)
    if found and program and (missing := program_problem(head.name, found.tag)):
        problems.append(missing)
    if found and head.pretrained == "argument" and chosen.repository and "train" in tasks:
        try:
            chosen.pretrained()
        except TrainyardError as error:
            problems.append(str(error))
    if problems or not found:
        raise SettingsError(
            list(dict.fromkeys(problems)), f"{read.layout.experiments}, {experiment}"
        )
    return Task(read, chosen, head, found)


def problems_of(
    project: str, experiment: str, release: str, tasks: Sequence[str], *, program: bool = True
) -> list[TrainyardError]:
    """What `planned` raises, one error for each problem, for a stage's `check`."""
    try:
        planned(project, experiment, release, tasks, program=program)
    except ProblemsError as error:
        return [InputError(problem) for problem in error.problems]
    except TrainyardError as error:
        return [error]
    return []


def visible_gpus() -> int:
    """GPUs that this process may use; 0 where there are none, or none can be counted."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return len([part for part in chosen.split(",") if part.strip() not in ("", "-1")])
    return len([name for name in os.listdir("/dev") if re.fullmatch(r"nvidia\d+", name)])


def gpus(task: Task, wanted: int, report: Reporter) -> int:
    """How many GPUs a training gets: always the first ones that this step sees.

    Args:
        task: whose experiment may say how many.
        wanted: by the settings; 0 leaves it to the experiment.
        report: told that indices of a host have no effect.

    Raises:
        SettingsError: more than there are.
    """
    seen, count = visible_gpus(), wanted or task.experiment.gpus
    if task.experiment.gpu_indices:
        told = ", ".join(map(str, task.experiment.gpu_indices))
        report.message(
            f"gpu_indices {told} count a host's GPUs and have no effect; used are 0 to {count - 1}"
        )
    if seen and count > seen:
        source = "processes" if wanted else f"{task.experiment.where}: gpus"
        problem = f"{source}: {count} are asked for, {seen} can be seen here; use at most {seen}"
        raise SettingsError([problem], "the GPUs")
    if not seen:
        report.warn("no GPU can be seen here; TAO's programs need one")
    return count
