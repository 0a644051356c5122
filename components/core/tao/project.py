"""A TAO project: its experiments.yml, checked as a whole, and the places of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import InputError, SettingsError
from components.core.formats.reading import text_of
from components.core.settings import closest
from components.core.tao import key, yaml_lines
from components.core.tao.experiment import EXPORT_TYPES, Experiment, stem
from components.core.tao.heads import HEADS, head_problem, release_for
from components.core.tao.layout import Layout, mounts_file
from components.core.tao.mounts import Mounts
from components.core.tao.sections import Findings, Section
from components.core.tao.spec_text import SpecSyntaxError

GENERAL = ("gpus", "gpu_indices", "release")
"""Keys of `tao_config`; each experiment may have its own."""

KEYS = (
    "head", "backbone", "repository", "model_key", "dataset", "export_model", "export_type",
    "pretrained_model", *GENERAL,
)  # fmt: skip
"""Keys of an experiment; `head` and `dataset` are required."""

_BREAKING = "\"'\\#$\n"
"""Characters of a path that a specification would not survive."""


@dataclass(frozen=True)
class General:
    """What `tao_config` says, or an experiment instead of it."""

    gpus: int = 1
    indices: tuple[int, ...] = ()
    release: str = ""


@dataclass(frozen=True)
class Project:
    """A folder with an experiments.yml."""

    name: str
    layout: Layout
    experiments: Mapping[str, Experiment]
    warnings: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> Project:
        """Reads a project.

        Raises:
            InputError: the folder holds no experiments.yml.
            SettingsError: with everything that is wrong in its files, by file and line.
        """
        folder = folder.absolute()
        file = Layout(folder).experiments
        if not file.is_file():
            raise InputError(
                f"{folder} holds no experiments.yml, so it is no project; give the folder of one, "
                "such as projects/example"
            )
        problems: list[str] = []
        if bad := sorted({character for character in str(folder) if character in _BREAKING}):
            problems.append(f"{folder}: a specification cannot hold {' '.join(bad)}; rename it")
        layout = Layout(folder, _mounts(folder, problems))
        try:
            content, lines = yaml_lines.parse(text_of(file))
        except SpecSyntaxError as error:
            problems.append(f"{file}:{error.line}: not valid YAML: {error}")
            raise SettingsError(problems, str(file)) from None
        findings = Findings(file, lines, problems, list(layout.mounts.notes))
        experiments = _experiments(content, layout, findings)
        if findings.problems:
            raise SettingsError(findings.problems, str(file))
        return cls(folder.name, layout, experiments, tuple(findings.warnings))

    @property
    def folder(self) -> Path:
        """Of the project, absolute."""
        return self.layout.folder

    def experiment(self, name: str) -> Experiment:
        """One experiment.

        Raises:
            InputError: there is none of this name.
        """
        if name in self.experiments:
            return self.experiments[name]
        hint = closest(name, self.experiments) or f"; there are {', '.join(self.experiments)}"
        raise InputError(f"{self.layout.experiments} has no experiment {name!r}{hint}")


def _mounts(folder: Path, problems: list[str]) -> Mounts:
    file = mounts_file(folder)
    if file is None:
        return Mounts()
    try:
        return Mounts.load(file)
    except SettingsError as error:
        problems += error.problems
        return Mounts()


def _experiments(content: object, layout: Layout, findings: Findings) -> dict[str, Experiment]:
    top = Section(content, (), findings)
    top.only(("tao_config", "experiments"))
    general = Section(top.values.get("tao_config"), ("tao_config",), findings)
    general.only(GENERAL)
    shared = _general(general, General())
    listed = Section(top.values.get("experiments"), ("experiments",), findings)
    if not listed.values and not findings.problems:
        top.problem([], "there are no experiments; describe one below `experiments:`")
    sections = {
        name: Section(values or {}, (*listed.path, name), findings)
        for name, values in listed.values.items()
    }
    return {
        name: _experiment(name, section, shared, general, layout)
        for name, section in sections.items()
    }


def _general(section: Section, above: General) -> General:
    """Number and indices of GPUs, and the release of the image; `above` where not given."""
    gpus = section.whole("gpus", above.gpus, 1)
    # a list that was for another number of GPUs says nothing about this one
    other = gpus != above.gpus and "gpu_indices" not in section.values
    indices = section.wholes("gpu_indices", () if other else above.indices)
    if "gpu_indices" in section.values and indices and len(indices) != gpus:
        section.problem(
            ["gpu_indices"], f"{list(indices)} are not as many as gpus, which is {gpus}"
        )
    return General(gpus, indices, section.text("release", above.release))


def _experiment(
    name: str, section: Section, shared: General, general: Section, layout: Layout
) -> Experiment:
    findings = section.findings
    where = findings.where(section.path)
    if not name or not set(name) <= _NAME or name[0] in ".-":
        section.problem([], "the name becomes that of folders; take letters, digits, - _ and .")
    section.only(KEYS)
    written = section.text("model_key")
    model_key, key_problems, warnings = key.found(
        written, findings.where((*section.path, "model_key"))
    )
    findings.warnings += warnings
    export_model = section.text("export_model")
    if set(export_model) & set("/\\"):
        section.problem(["export_model"], f"{export_model!r}: give the file's name, no path")
    own = _general(section, shared)
    head = section.text("head", None, about="first word of TAO's command")
    if head and (problem := head_problem(head)):
        section.problem(["head"], problem.removeprefix("head: "))
    elif head and (problem := release_for(HEADS[head], own.release)[1]):
        of = section if "release" in section.values else general
        of.problem(["release"], problem.removeprefix("release: "))
    return Experiment(
        name=name,
        project=layout.folder.name,
        head=head,
        backbone=section.place("backbone", about="such as resnet18"),
        repository=section.place("repository", about="below repositories"),
        dataset=section.place("dataset", None, "below data"),
        export_model=stem(export_model),
        export_type=section.text("export_type", "fp32", EXPORT_TYPES),
        gpus=own.gpus,
        gpu_indices=own.indices,
        release=own.release,
        pretrained_model=section.place("pretrained_model", about="below repositories"),
        layout=layout,
        model_key=model_key,
        key_problems=tuple(key_problems),
        where=where,
    )


_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
