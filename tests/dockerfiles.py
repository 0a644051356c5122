"""Dockerfiles read back: their stages and instructions, and what is wrong with them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    keyword: str
    text: str
    line: int

    @property
    def pairs(self) -> dict[str, str]:
        """Of ENV, LABEL and ARG: name → value, variables not yet replaced."""
        words = (word.partition("=") for word in shlex.split(self.text))
        return {name: value for name, _, value in words}

    @property
    def commands(self) -> list[str]:
        """Of RUN: what is joined with `&&`."""
        return [part.strip() for part in self.text.split("&&")]


@dataclass(frozen=True)
class BuildStage:
    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def all(self, keyword: str) -> list[Instruction]:
        return [i for i in self.instructions if i.keyword == keyword]


@dataclass(frozen=True)
class Dockerfile:
    arguments: dict[str, str]
    """ARGs before the first FROM, with their defaults."""
    stages: tuple[BuildStage, ...]

    @property
    def final(self) -> BuildStage:
        return self.stages[-1]


def parse(text: str) -> Dockerfile:
    """Reads a Dockerfile; no here-documents, no `# escape`."""
    arguments: dict[str, str] = {}
    stages: list[tuple[str, str, list[Instruction]]] = []
    for instruction in _instructions(text):
        if instruction.keyword == "FROM":
            base, _, name = instruction.text.partition(" AS ")
            stages.append((base.strip(), name.strip(), []))
        elif stages:
            stages[-1][2].append(instruction)
        else:
            arguments |= instruction.pairs
    return Dockerfile(arguments, tuple(BuildStage(b, n, tuple(i)) for b, n, i in stages))


def _instructions(text: str) -> Iterator[Instruction]:
    logical, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (line.strip() or logical):
            continue
        start = start if logical else number
        logical += line
        if logical.endswith("\\"):
            logical = logical[:-1].rstrip() + " "
            continue
        keyword, _, rest = logical.strip().partition(" ")
        yield Instruction(keyword.upper(), re.sub(r"\s{2,}", " ", rest.strip()), start)
        logical = ""


def substitute(text: str, values: dict[str, str]) -> str:
    """Replaces `$NAME` and `${NAME}`; what has no value becomes ''."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: values.get(m[1] or m[2], ""), text)


_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|PRIVATE|ACCESS_?KEY", re.IGNORECASE)
_LABELS = ("title", "description", "version", "source")


def faults(text: str) -> list[str]:
    """What must not be in an image of ours, one line each, with its place."""
    document = parse(text)
    found = [f"ARG {name}: a secret is no argument" for name in _secrets(document.arguments)]
    for stage in document.stages:
        found += _stage_faults(document, stage)
    found += _final_faults(document.final)
    if len(document.stages) < 2:
        found.append("one stage only: what builds stays in the image")
    return found


def _secrets(names: dict[str, str]) -> list[str]:
    return [name for name in names if _SECRET.search(name)]


def _stage_faults(document: Dockerfile, stage: BuildStage) -> Iterator[str]:
    base = substitute(stage.base, document.arguments)
    tag = base.partition("@")[0].rpartition("/")[2].partition(":")[2]
    if base not in {other.name for other in document.stages} and not re.match(
        r"\d+\.\d+\.\d+", tag
    ):
        yield f"FROM {base}: no version of three numbers as its tag"
    for instruction in stage.instructions:
        where = f"line {instruction.line}: {instruction.keyword}"
        if instruction.keyword in ("ARG", "ENV", "LABEL"):
            yield from (f"{where} {name}: a secret" for name in _secrets(instruction.pairs))
        if instruction.keyword == "ADD":
            yield f"{where}: COPY is enough, and never fetches"
        if instruction.keyword == "COPY" and re.search(
            r"--chown=(?!0|root)|(^| )\.( |$)(?!$)", instruction.text
        ):
            yield f"{where}: code belongs to root, and is named folder by folder"
        if instruction.keyword == "RUN":
            yield from (f"{where}: {fault}" for fault in _run_faults(instruction))


def _run_faults(run: Instruction) -> Iterator[str]:
    for command in run.commands:
        if (
            re.search(r"\bapt(-get)? install\b", command)
            and "--no-install-recommends" not in command
        ):
            yield "apt-get install without --no-install-recommends"
        if re.search(r"\b(curl|wget|git)\b", command):
            yield "fetches something that no pin holds"
        if re.search(r"\bsudo\b|chmod .*(777|o\+w)", command):
            yield "gives rights away"
    if "apt-get update" in run.text and "rm -rf /var/lib/apt/lists/*" not in run.text:
        yield "the package lists stay in the layer"


def _final_faults(final: BuildStage) -> Iterator[str]:
    users = final.all("USER")
    if not users or users[-1].text != "1000:1000":
        yield "USER of the image is not 1000:1000"
    labels = {name for label in final.all("LABEL") for name in label.pairs}
    for label in _LABELS:
        if f"org.opencontainers.image.{label}" not in labels:
            yield f"no label org.opencontainers.image.{label}"
    variables = {k: v for env in final.all("ENV") for k, v in env.pairs.items()}
    for name, value in (("HOME", "/tmp"), ("TMPDIR", "/tmp"), ("PYTHONDONTWRITEBYTECODE", "1")):
        if variables.get(name) != value:
            yield f"{name} is not {value}: the root file system is read-only on clusters"
    for run in final.all("RUN"):
        if "pip install" in run.text:
            yield f"line {run.line}: pip in the last stage; install in an earlier one and copy"
    if final.all("HEALTHCHECK"):
        yield "HEALTHCHECK: Jobs have none"


def read(folder: Path) -> Dockerfile:
    return parse((folder / "Dockerfile").read_text(encoding="utf-8"))
