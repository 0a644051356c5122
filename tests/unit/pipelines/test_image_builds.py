"""`make images` with an engine that records its calls, and `make images-check` on a small image."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from check_images import Build, Context, RefusedError, check
from dockerfiles import parse

from components import __version__
from components.core.images import IMAGES, image

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A `docker` that writes down how it was called, and fails on what $FAIL names."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >>{tmp_path}/calls\n'
        'case "$*" in *"${FAIL:-no such word}"*) echo "engine says no" >&2; exit 9;; esac\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    return program


def make_images(engine: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{engine.parent}:{os.environ['PATH']}"
    inherited = {
        k: v for k, v in os.environ.items() if k not in ("TRAINYARD_IMAGE_REGISTRY", "MAKEFLAGS")
    }
    return subprocess.run(
        ["make", "images", f"PYTHON={sys.executable}", *words],
        cwd=REPOSITORY,
        env=inherited | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def calls(engine: Path) -> list[str]:
    file = engine.parents[1] / "calls"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def test_make_images_builds_each_with_its_reference(engine: Path) -> None:
    done = make_images(engine, "SOURCE=https://example.org/trainyard")
    assert done.returncode == 0, done.stderr
    assert calls(engine) == [
        f"build --file images/{name}/Dockerfile --tag {image(name, 'trainyard')}"
        f" --build-arg VERSION={__version__} --build-arg SOURCE=https://example.org/trainyard ."
        for name in IMAGES
    ]


def test_make_images_pushes_when_all_are_built(engine: Path) -> None:
    words = ("IMAGES=data torch", "REGISTRY=registry.example.org/vision/", "PUSH=1")
    done = make_images(engine, *words, "BUILD_ARGS=--build-arg PYTHON_DIGEST=@sha256:ab --pull")
    assert done.returncode == 0, done.stderr
    references = [image(name, "registry.example.org/vision") for name in ("data", "torch")]
    assert [line.split()[0] for line in calls(engine)] == ["build", "build", "push", "push"]
    assert calls(engine)[2:] == [f"push {reference}" for reference in references]
    assert calls(engine)[0].endswith("--build-arg PYTHON_DIGEST=@sha256:ab --pull .")


def test_a_failed_build_stops_make_images(engine: Path) -> None:
    words = ("IMAGES=data torch", "REGISTRY=r.example.org", "PUSH=1")
    done = make_images(engine, *words, FAIL="images/data")
    assert done.returncode != 0
    assert "engine says no" in done.stderr
    assert len(calls(engine)) == 1


def test_make_images_tells_every_problem_at_once(engine: Path) -> None:
    words = ("IMAGES=data tourch", "PUSH=1", "DOCKER=nerdctl-absent")
    done = make_images(engine, *words, "REGISTRY=BAD Registry/!!")
    assert done.returncode != 0
    assert "'BAD Registry/!!' is no prefix of images; accepted are forms such as" in done.stderr
    done = make_images(engine, *words)
    assert done.returncode != 0
    assert (
        "unknown image 'tourch'; the images are data, torch, tensorflow, tao, tao-deploy"
        in done.stderr
    )
    assert "DOCKER=nerdctl-absent: there is no such program" in done.stderr
    assert "PUSH=1 needs the registry's prefix: REGISTRY=" in done.stderr
    assert calls(engine) == []


def test_without_an_engine_there_is_a_message(tmp_path: Path) -> None:
    for program in ("sh", "dirname"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    done = subprocess.run(
        ["sh", "images/build.sh", "data"],
        cwd=REPOSITORY,
        env={"PATH": str(tmp_path), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "install docker, podman or buildah" in done.stderr


SMALL = """
FROM python:3.11.14-slim-bookworm AS dependencies
ENV VIRTUAL_ENV=/opt/trainyard PATH=/opt/trainyard/bin:$PATH
WORKDIR /opt/source
COPY constraints.txt ./
RUN python3 -m venv --without-pip "$VIRTUAL_ENV"
FROM dependencies AS code
COPY components components
RUN cp -r components "$VIRTUAL_ENV" \\
    && cd "$VIRTUAL_ENV"/lib/*/site-packages \\
    && mkdir a_stray-1.0.dist-info \\
    && printf 'Metadata-Version: 2.1\\nName: a_stray\\nVersion: 1.0\\n' \\
        >a_stray-1.0.dist-info/METADATA
FROM python:3.11.14-slim-bookworm
RUN useradd --uid 1000 trainyard
COPY --from=dependencies /opt/trainyard /opt/trainyard
ENV PATH=/opt/trainyard/bin:$PATH HOME=/tmp TMPDIR=/tmp
USER 1000:1000
WORKDIR /tmp
RUN test "$(python3 -c 'import sys; print(sys.prefix)')" = "${PATH%%/bin:*}" && touch here
RUN test ! -e ../opt/source && test ! -e ../opt/trainyard/components/__pycache__
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A repository with one small image."""
    (tmp_path / ".dockerignore").write_text("*\n!components\n!constraints.txt\n**/__pycache__\n")
    (tmp_path / "constraints.txt").write_text("")
    (tmp_path / "components" / "__pycache__").mkdir(parents=True)
    (tmp_path / "images" / "small").mkdir(parents=True)
    (tmp_path / "images" / "small" / "Dockerfile").write_text(SMALL)
    return tmp_path


def test_images_check_performs_a_dockerfile(small: Path) -> None:
    with pytest.raises(RefusedError, match=r"^constraints.txt does not pin: a-stray==1.0$"):
        list(check("small", small))
    (small / "constraints.txt").write_text("A-stray==1.0\n")
    said = list(check("small", small))
    assert said[2].startswith("  not run, it needs the base image: useradd")
    assert said[-1].endswith("MB in the environment, every package pinned")
    assert len(said) == 6


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "RUN echo on purpose && false",
            "line 2: exit status 1 of: echo on purpose && false\non pur",
        ),
        ("COPY README.md ./", "COPY README.md: not in the build context"),
        ("COPY constraint.txt ./", "COPY constraint.txt: not in the build context"),
    ],
)
def test_images_check_says_what_failed(line: str, reason: str, small: Path, tmp_path: Path) -> None:
    document = parse(f"FROM python:3.11.14-slim\n{line}\n")
    with pytest.raises(RefusedError, match=re.escape(reason)):
        list(Build(document, Context(small), tmp_path / "root").run())
