"""`trainyard lint`: every finding in compiled pipelines and Kubernetes documents."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from components.core.errors import InputError, SettingsError
from components.core.settings import UNREADABLE
from pipelines import catalog

_SUFFIXES = (".yaml", ".yml", ".json")
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_STDIN = "-"


@click.command(name="lint")
@click.argument("targets", nargs=-1, required=True, metavar="FILE|FOLDER|PIPELINE...")
@click.option("--prp", is_flag=True, help="Also hold pods to the rules of shared GPU clusters.")
def lint_command(targets: tuple[str, ...], prp: bool) -> None:
    """Check compiled pipelines and Kubernetes documents; all findings at once, exit code 2 if any.

    A folder with a kustomization is rendered first; `-` reads documents from a pipe:
    kubectl kustomize FOLDER | trainyard lint -
    """
    from pipelines.container_rules import Finding

    found: list[tuple[str, Finding]] = []
    count = 0
    for target in dict.fromkeys(targets):
        for source, text in _sources(target):
            documents, unreadable = _read(text)
            count += len(documents)
            found += [(source, f) for f in [*unreadable, *_findings(documents, prp)]]
    for source, finding in found:
        click.echo(f"{finding.level}: {source}: {finding.where}: {finding.what}; {finding.mend}")
    wrong = sum(finding.level == "error" for _, finding in found)
    click.echo(f"{count} documents, {wrong} errors, {len(found) - wrong} warnings")
    if wrong:
        raise SystemExit(SettingsError.exit_code)


def _findings(documents: Sequence[Any], prp: bool) -> list[Any]:
    """Of the documents of one source, each kind by its own rules."""
    from pipelines.container_rules import Finding
    from pipelines.lint import is_pipeline, is_platform, lint_pipeline
    from pipelines.lint.objects import lint_kubernetes

    compiled, objects, found = [], [], []
    for number, document in enumerate(documents, start=1):
        if not isinstance(document, dict):
            text = "is no mapping"
        elif is_pipeline(document) or is_platform(document):
            compiled.append(document)
            continue
        elif "kind" in document:
            objects.append(document)
            continue
        else:
            text = "is neither a compiled pipeline nor a Kubernetes document"
        found.append(Finding(f"document {number}", text, "write one, or leave the file out"))
    if compiled:
        found += lint_pipeline(compiled)
    return [*found, *lint_kubernetes(objects, prp=prp)]


def _sources(target: str) -> Iterator[tuple[str, str]]:
    """What a target stands for: named texts with documents that belong together."""
    path = Path(target)
    if target == _STDIN:
        yield "stdin", sys.stdin.read()
    elif path.is_file():
        yield target, _text(path)
    elif path.is_dir():
        yield from _folder(path)
    elif path.suffix in _SUFFIXES or "/" in target:
        raise InputError(f"{target} does not exist; name a file, a folder or a pipeline")
    else:
        from pipelines.compile import compiled

        name = catalog.require(target)
        yield name, compiled(name).text()


def _folder(folder: Path) -> Iterator[tuple[str, str]]:
    if any((folder / name).exists() for name in _KUSTOMIZATIONS):
        yield str(folder), _rendered(folder)
        return
    inner = sorted({path.parent for name in _KUSTOMIZATIONS for path in folder.rglob(name)})
    if inner:
        listed = ", ".join(str(path) for path in inner[:5])
        raise SettingsError(
            [f"{folder} holds kustomizations, which make sense one by one; name one: {listed}"],
            "the command line",
        )
    paths = sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES)
    if not paths:
        raise InputError(f"{folder} holds no {', '.join(_SUFFIXES)}; name a file or another folder")
    for path in paths:
        yield str(path), _text(path)


def _rendered(folder: Path) -> str:
    commands = {"kubectl": ["kubectl", "kustomize"], "kustomize": ["kustomize", "build"]}
    command = next((words for tool, words in commands.items() if shutil.which(tool)), None)
    if command is None:
        raise InputError(f"{folder} is a kustomization; install kubectl or kustomize to render it")
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{folder} cannot be rendered: {done.stderr.strip()}")
    return done.stdout


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text: {error}") from None


def _read(text: str) -> tuple[list[Any], list[Any]]:
    """The documents in a text and what is wrong with it; if it is no YAML there are none."""
    from pipelines.container_rules import Finding

    loader = _Loader(text)
    try:
        documents = []
        while loader.check_data():
            documents.append(loader.get_data())
    except UNREADABLE as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "text"
        deep = "nested too deeply" if isinstance(error, RecursionError) else ""
        problem = deep or getattr(error, "problem", None) or "a date or number that cannot be"
        return [], [Finding(where, f"no YAML: {problem}", "mend it")]
    finally:
        loader.dispose()
    documents = [document for document in documents if document is not None]
    if not documents:
        mend = "leave it out, or look at what should have written it"
        return [], [Finding("text", "holds no document", mend)]
    if _is_tangled(documents, [], set()):
        text = f"is nested more than {_DEEPEST} deep, or holds itself"
        return [], [Finding("text", text, "write it without")]
    return documents, [
        Finding(f"line {line}", f"the key {key!r} twice in one mapping", "keep one")
        for line, key in loader.twice
    ]


def _is_tangled(value: object, above: list[int], done: set[int]) -> bool:
    """Whether a value is nested too deeply; what holds itself is so without end."""
    if not isinstance(value, dict | list) or id(value) in done:
        return False
    if len(above) > _DEEPEST or id(value) in above:
        return True
    inner = value.values() if isinstance(value, dict) else value
    tangled = any(_is_tangled(one, [*above, id(value)], done) for one in inner)
    done.add(id(value))
    return tangled


_DEEPEST = 100
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Keeps note of keys that stand twice in a mapping, which YAML forbids and readers let pass."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twice: list[tuple[int, str]] = []
        self._seen: set[yaml.Node] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Looks at the keys before others are merged into them."""
        keys: set[str] = set()
        for key, _ in () if node in self._seen else node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    self.twice.append((key.start_mark.line + 1, key.value))
                keys.add(key.value)
        self._seen.add(node)
        super().flatten_mapping(node)
