"""Compiles pipelines to the YAML that Kubeflow Pipelines takes, or to Kubernetes objects."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from components.core import files
from components.core.errors import OutOfSpaceError, SettingsError
from pipelines.building import BuildOptions, build, image_reference
from pipelines.names import content_hash

Document = dict[str, Any]
Format = Literal["kubeflow", "kubernetes"]

_MARKS = ("# PIPELINE DEFINITION\n", "# KUBEFLOW PIPELINE AS KUBERNETES OBJECTS\n")
"""First lines of what is written here; kfp writes the first one."""


@dataclass(frozen=True)
class Compiled:
    """A compiled pipeline."""

    name: str
    header: str
    """Comment lines that tell people what goes in and comes out."""
    documents: list[Document]
    """The pipeline and, if it asks anything of the platform, a second document."""

    def text(self) -> str:
        """The file, the same bytes for the same content."""
        return self.header + str(yaml.dump_all(self.documents, sort_keys=True))


def compiled(name: str, options: BuildOptions | None = None) -> Compiled:
    """Compiles a pipeline.

    Raises:
        SettingsError: there is no such pipeline.
    """
    from kfp import compiler

    options = options or BuildOptions()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "pipeline.yaml")
        compiler.Compiler().compile(build(name, options), str(path))
        text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    header = [line for line in lines if line.startswith("#")]
    documents = list(yaml.load_all(text, Loader=_Loader))
    _set_images(documents[0], options)
    return Compiled(name, "".join(header), documents)


def pipeline_documents(name: str, options: BuildOptions | None = None) -> list[Document]:
    """The compiled pipeline as parsed documents: the pipeline, and what it asks of the platform.

    Raises:
        SettingsError: there is no such pipeline.
    """
    return compiled(name, options).documents


def version_name(pipeline: str, documents: Sequence[Mapping[str, Any]]) -> str:
    """Names a pipeline's content: another content has another name, the same one the same."""
    return f"{pipeline.replace('_', '-')}-{content_hash(documents)}"


def in_format(made: Compiled, form: Format, namespace: str = "") -> Compiled:
    """The pipeline as what `form` names: kubeflow (for an upload) or kubernetes (for kubectl)."""
    if form == "kubeflow":
        return made
    from pipelines.kubernetes_format import kubernetes_documents

    header = _MARKS[1] + f"# Name: {made.name.replace('_', '-')}\n"
    return Compiled(
        f"{made.name}.kubernetes", header, kubernetes_documents(made.documents, namespace)
    )


def checked(names: Sequence[str], options: BuildOptions) -> tuple[list[Compiled], list[str]]:
    """Compiles pipelines and looks for all that a server would refuse or a pod would fail of.

    Returns:
        The pipelines, and what is doubtful about them.

    Raises:
        SettingsError: with everything that is wrong with any of them.
    """
    from pipelines.job_rules import errors, warnings
    from pipelines.lint import lint_pipeline

    made = [compiled(name, options) for name in names]
    found = [finding for one in made for finding in lint_pipeline(one.documents)]
    if wrong := errors(found):
        raise SettingsError(wrong, "the compiled pipelines")
    return made, warnings(found)


def require_sound(documents: Sequence[Document]) -> None:
    """Looks for what a cluster would refuse or should not hold, secrets among it.

    Raises:
        SettingsError: with everything that is wrong with any of the Kubernetes documents.
    """
    from pipelines.job_rules import errors
    from pipelines.lint.objects import lint_kubernetes

    if wrong := errors(lint_kubernetes(documents)):
        raise SettingsError(wrong, "the documents")


def write(made: Sequence[Compiled], folder: Path) -> list[Path]:
    """Writes each to `<folder>/<name>.yaml`, whole or not at all, and returns the paths.

    Compiled pipelines are derived from code: files of that name are replaced if they are some.

    Raises:
        SettingsError: with every file that holds something else, and then nothing is written; or
            the folder cannot be written to.
        OutOfSpaceError: the volume is full; the message says what was written.
    """
    if problem := output_problem(folder):
        raise SettingsError([problem], "the command line")
    paths = [folder / f"{one.name}.yaml" for one in made]
    foreign = [text for p, one in zip(paths, made, strict=True) if (text := _foreign(p, one))]
    if foreign:
        raise SettingsError([*foreign, "nothing was written"], "--output")
    written: list[str] = []
    try:
        with files.full_disk_named(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for path, one in zip(paths, made, strict=True):
                files.write_text(path, one.text())
                written.append(str(path))
    except (OSError, OutOfSpaceError) as error:
        done = f"written: {', '.join(written) or 'nothing'}"
        if isinstance(error, OutOfSpaceError):
            raise OutOfSpaceError(f"{error}; {done}") from error
        text = f"{folder} cannot be written to ({error.strerror}); choose another folder"
        raise SettingsError([text, done], "--output") from error
    return paths


def output_problem(folder: Path) -> str:
    """Why nothing could be written to a folder, as far as that shows before; or an empty string."""
    try:
        problem = files.place_problem(folder)
    except OSError as error:  # a name that is too long
        problem = f"{folder} cannot be a folder ({error.strerror})"
    return f"--output: {problem}; choose another folder" if problem else ""


def compile_pipeline(name: str, folder: Path, options: BuildOptions | None = None) -> Path:
    """Writes `<folder>/<name>.yaml`, unchecked, and returns its path."""
    return write([compiled(name, options)], folder)[0]


def _set_images(spec: Document, options: BuildOptions) -> None:
    """Components name their images when they are imported; the options come later."""
    for executor in spec["deploymentSpec"]["executors"].values():
        if container := executor.get("container"):
            container["image"] = image_reference(container["image"], options)


def _foreign(path: Path, one: Compiled) -> str:
    """What speaks against replacing a file by a pipeline: it is none, or another one."""
    if not path.exists():
        return ""
    if not path.is_file():
        return f"{path} is no compiled pipeline; move it away"
    with open(path, encoding="utf-8", errors="replace") as file:
        mark, name = file.readline(), file.readline()
    if mark not in _MARKS:
        return f"{path} is no compiled pipeline; move it away"
    if not one.header.startswith(mark + name):
        return f"{path} is another pipeline ({name.strip('# ').strip()}); move it away"
    return ""


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
