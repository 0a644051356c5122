"""Performs the builds of images/*/Dockerfile without a container engine: `make images-check`.

    python tests/check_images.py data torch

Every RUN line of a Dockerfile is run as it stands, by sh, in one scratch folder that stands for
the image's /opt; COPY takes from the build context only what .dockerignore lets through. So the
installs, `pip check` and the smoke commands of the image are tried for real, in a clean venv; the
smoke commands as user 1000, if this is root and that user may run this interpreter. What needs the
base image itself (its package manager, its users, a downloaded interpreter) is left out, and said.
Nothing stays behind.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dockerfiles import BuildStage, Dockerfile, Instruction, parse, substitute

from components import __version__

REPOSITORY = Path(__file__).parents[1]
_OF_THE_BASE = re.compile(r"apt-get|groupadd|useradd|getent|uv python install")
"""Commands that change the base image itself."""


class RefusedError(Exception):
    """A Dockerfile could not be performed; the message says where and why."""


class Context:
    """The build context: the repository as .dockerignore, an allow-list, shows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = (folder / ".dockerignore").read_text(encoding="utf-8").split()
        if not lines or lines[0] != "*":
            raise RefusedError(".dockerignore: an allow-list begins with *")
        self.allowed = {line[1:] for line in lines if line.startswith("!")}
        self.ignored = [line.removeprefix("**/") for line in lines if line.startswith("**/")]

    def copy(self, source: str, target: Path) -> None:
        """Copies a file, or what is in a folder, as COPY does."""
        path = self.folder / source
        if PurePosixPath(source).parts[0] not in self.allowed or not path.exists():
            raise RefusedError(f"COPY {source}: not in the build context")
        if path.is_dir():
            ignore = shutil.ignore_patterns(*self.ignored)
            shutil.copytree(path, target, ignore=ignore, dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)


class Build:
    """One Dockerfile, performed below `root`, which stands for the image's `/`."""

    def __init__(self, document: Dockerfile, context: Context, root: Path) -> None:
        self.document, self.context, self.root = document, context, root
        self.environments: dict[str, dict[str, str]] = {}
        self.folders: dict[str, Path] = {}

    def run(self) -> Iterator[str]:
        """Performs every stage; yields a line about each RUN.

        Raises:
            RefusedError: a command failed, or a COPY found nothing.
        """
        for stage in self.document.stages:
            yield from self._stage(stage, stage is self.document.final)

    def _stage(self, stage: BuildStage, final: bool) -> Iterator[str]:
        base = substitute(stage.base, self.document.arguments)
        environment = dict(self.environments.get(base) or self._base_environment())
        folder, user, kept = self.folders.get(base, self.root), 0, set[Path]()
        for instruction in stage.instructions:
            match instruction.keyword:
                case "ENV":
                    pairs = instruction.pairs
                    environment |= {k: self._value(v, environment) for k, v in pairs.items()}
                case "WORKDIR":
                    folder = self._below(instruction.text)
                    folder.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    kept.add(self._copy(instruction, folder))
                case "USER":
                    user = int(instruction.text.partition(":")[0])
                    if final and user:
                        self._forget_all_but(kept)
                case "RUN":
                    yield self._run(instruction, environment, folder, user)
        self.environments[stage.name], self.folders[stage.name] = environment, folder

    def _base_environment(self) -> dict[str, str]:
        """What a base image sets: `python3`, a home; nothing of a venv that is around us."""
        ours = ("PYTHON", "VIRTUAL_ENV", "PIP_CONSTRAINT", "PIP_PREFIX", "MAKE", "MFLAGS")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        base = self.root / "base"
        if not base.exists():
            _stand_in(base)
        home = str(self.root / "root")
        return inherited | {"PATH": f"{base}/bin:{os.defpath}", "HOME": home, "TMPDIR": home}

    def _below(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _value(self, value: str, environment: dict[str, str]) -> str:
        """A variable's value; its absolute paths lie below the root."""
        moved = re.sub(r"(?<![\w/])/(?=opt\b|tmp\b)", f"{self.root}/", value)
        return substitute(moved, environment)

    def _copy(self, instruction: Instruction, folder: Path) -> Path:
        *sources, target = instruction.text.split()
        if sources[0].startswith("--from="):
            return self._copy_from_stage(sources[1], self._below(target))
        into = self._below(target) if target.startswith("/") else folder / target
        for source in sources:
            many = len(sources) > 1 or target.endswith("/")
            self.context.copy(source, into / source if many else into)
        return into

    def _copy_from_stage(self, source: str, target: Path) -> Path:
        """All stages share one root, so that a venv, which knows its place, need not move."""
        origin = self._below(source)
        if not origin.exists():
            _stand_in(origin)
        if origin != target:
            shutil.copytree(origin, target, symlinks=True, dirs_exist_ok=True)
        return target

    def _forget_all_but(self, kept: set[Path]) -> None:
        """Removes what the last stage did not take over, so that nothing can lean on it."""
        for path in (self.root / "opt").iterdir():
            if path not in kept:
                shutil.rmtree(path)

    def _run(self, run: Instruction, environment: dict[str, str], folder: Path, user: int) -> str:
        shown = run.text if len(run.text) < 90 else run.text[:87] + "..."
        if _OF_THE_BASE.search(run.text):
            return f"  not run, it needs the base image: {shown}"
        for name in ("HOME", "TMPDIR"):
            Path(environment[name]).mkdir(parents=True, exist_ok=True)
            os.chmod(environment[name], 0o1777)
        start = time.monotonic()
        as_user = {"user": user, "group": user} if user and _can_be(user) else {}
        done = subprocess.run(
            ["sh", "-c", run.text],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **as_user,
        )
        if done.returncode:
            output = "\n".join(done.stdout.splitlines()[-30:])
            raise RefusedError(
                f"line {run.line}: exit status {done.returncode} of: {run.text}\n{output}"
            )
        who = f" (as user {user})" if as_user else ""
        return f"  {time.monotonic() - start:6.1f} s{who}  {shown}"


def _can_be(user: int) -> bool:
    """Whether this process may become that user, and that user may run this interpreter."""
    if os.geteuid() != 0:
        return False
    with contextlib.suppress(PermissionError):
        subprocess.run([sys._base_executable, "-c", ""], user=user, group=user, check=True)  # type: ignore[attr-defined]
        return True
    return False


def _stand_in(folder: Path) -> None:
    """`bin/python3` below a folder: this interpreter, without the venv that may be around it."""
    program = folder / "bin" / "python3"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys._base_executable} "$@"\n', encoding="utf-8")  # type: ignore[attr-defined]
    program.chmod(0o755)


def unpinned(environment: Path, constraints: str) -> list[str]:
    """What a venv holds and the constraints do not pin to that version; pip itself apart."""
    program = (
        "from importlib.metadata import distributions\n"
        "for package in distributions(): print(f'{package.name}=={package.version}')"
    )
    listed = subprocess.run(
        [str(environment / "bin" / "python3"), "-c", program],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    installed = {_normal(line) for line in listed}
    pins = {_normal(line) for line in constraints.split()} | {f"trainyard=={__version__}"}
    return sorted(pin for pin in installed - pins if not pin.startswith("pip=="))


def _normal(pin: str) -> str:
    name, _, version = pin.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


def check(name: str, repository: Path = REPOSITORY) -> Iterator[str]:
    """Performs an image's build and removes it again; yields a line about each part.

    Raises:
        RefusedError: a command failed, something is installed that no constraint pins, or the
            Dockerfile asks for what is not in the build context.
    """
    document = parse((repository / "images" / name / "Dockerfile").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix=f"trainyard-{name}-") as scratch:
        os.chmod(scratch, 0o755)
        root = Path(scratch)
        yield from Build(document, Context(repository), root).run()
        environment = root / "opt" / "trainyard"
        constraints = (repository / "constraints.txt").read_text(encoding="utf-8")
        if loose := unpinned(environment, constraints):
            raise RefusedError(f"constraints.txt does not pin: {', '.join(loose)}")
        yield f"  {_megabytes(environment)} MB in the environment, every package pinned"


def _megabytes(folder: Path) -> int:
    sizes = (path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
    return round(sum(sizes) / 1e6)


def main() -> int:
    known = sorted(path.parent.name for path in (REPOSITORY / "images").glob("*/Dockerfile"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("images", nargs="*", help=f"of {', '.join(known)}; all by default")
    names = parser.parse_args().images or known
    if unknown := ", ".join(sorted(set(names) - set(known))):
        parser.error(f"unknown image {unknown}; the images are {', '.join(known)}")
    failed = 0
    for name in names:
        print(f"{name}:", flush=True)
        try:
            for line in check(name):
                print(line, flush=True)
        except RefusedError as error:
            print(f"  FAILED {error}", flush=True)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
