"""Images: names tied together, Dockerfiles without faults, requirements that resolve."""

import configparser
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfiles import Dockerfile, faults, parse
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from components import __version__
from components.core.images import IMAGES, image
from pipelines.plan import REQUIRED_MODULES

REPOSITORY = Path(__file__).parents[3]
STAGES = sorted(path.parent.name for path in (REPOSITORY / "components").glob("*/component.py"))
PINS = {
    canonicalize_name(name): version
    for name, _, version in (
        line.partition("==")
        for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").split()
    )
}


def dockerfile(name: str) -> str:
    return (REPOSITORY / "images" / name / "Dockerfile").read_text(encoding="utf-8")


def short_name(reference: str) -> str:
    """`torch` of `registry/trainyard-torch:1.2`; '' for an image that is not ours."""
    found = re.search(r"(?:^|/)trainyard-([\w-]+)(?:[:@].*)?$", reference)
    return found[1] if found else ""


def stages_of(name: str) -> list[str]:
    def base(stage: str) -> str:
        component = getattr(importlib.import_module(f"components.{stage}.component"), stage)
        return short_name(component.component_spec.implementation.container.image)

    return [stage for stage in STAGES if base(stage) == name]


def smoke(document: Dockerfile) -> list[str]:
    return [command for run in document.final.all("RUN") for command in run.commands]


# --- names


def requirements() -> dict[str, list[Requirement]]:
    """Extra → what it needs, that of every install included."""
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    always = setup["options"]["install_requires"]
    return {
        extra: [Requirement(line) for line in (always + needed).split("\n") if line.strip()]
        for extra, needed in setup["options.extras_require"].items()
    }


def test_every_image_has_its_folder_and_its_extra() -> None:
    folders = {path.parent.name for path in (REPOSITORY / "images").glob("*/Dockerfile")}
    assert folders == set(IMAGES) == set(requirements()) - {"sweep", "keras", "dashboard", "dev"}
    for name in IMAGES:
        document = parse(dockerfile(name))
        installs = [run.text for run in document.stages[-3].all("RUN")]
        assert any(f'".[{name}]"' in text for text in installs)
        labels = {k: v for label in document.final.all("LABEL") for k, v in label.pairs.items()}
        assert f"/{labels['org.opencontainers.image.title']}:" in image(name)


def test_every_stage_runs_in_one_of_them() -> None:
    assert sorted(stage for name in IMAGES for stage in stages_of(name)) == STAGES
    assert set(REQUIRED_MODULES) <= set(IMAGES)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_tries_its_stages_and_no_other(name: str) -> None:
    commands = smoke(parse(dockerfile(name)))
    tried = [c.split()[2].removeprefix("components.") for c in commands if " -m components." in c]
    # where Keras trains, the search and the publishing run too
    guests = ["hpo_sweep", "triton_publish"] if name == "tensorflow" else []
    assert tried == sorted([*stages_of(name), *guests])
    imported = next(c for c in commands if c.startswith('python3 -c "import ')).split('"')[1]
    modules = imported.removeprefix("import ").split(", ")
    assert {*REQUIRED_MODULES.get(name, ()), "kfp"} <= set(modules)
    assert any("kfp.dsl.executor_main" in command for command in commands)


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from mappings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from mappings(inner)


@pytest.mark.parametrize("top", ["prp", "manifests"])
def test_manifests_name_our_images_and_this_version(top: str) -> None:
    used, versions = set(), {}
    for path in (REPOSITORY / top).rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            for mapping in mappings(document):
                reference = mapping.get("image")
                if isinstance(reference, str) and short_name(reference):
                    name, _, tag = reference.partition(":")
                    assert tag in ("", __version__), path
                    used.add(name)
                if "newTag" in mapping and short_name(mapping["name"]):
                    versions[mapping["name"]] = str(mapping["newTag"])
    assert {"data", "torch"} <= {short_name(name) for name in used} <= set(IMAGES)
    assert versions == dict.fromkeys(used, __version__)


# --- Dockerfiles


@pytest.mark.parametrize("name", IMAGES)
def test_a_dockerfile_has_no_fault(name: str) -> None:
    assert faults(dockerfile(name)) == []


BASE = "python:3.11.14-slim-bookworm"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (BASE, "python:latest", "no version"),
        (BASE, "python", "no version"),
        (BASE, "python:3.11-slim", "no version"),
        ("USER 1000:1000", "USER trainyard", "USER of the image"),
        ("USER 1000:1000", "USER 0:0", "USER of the image"),
        ("USER 1000:1000\n", "", "USER of the image"),
        ("COPY components components", "COPY . .", "folder by folder"),
        ("COPY components components", "COPY --chown=1000 components .", "belongs to root"),
        ("COPY components components", "ADD components components", "COPY is enough"),
        ("COPY components components", "ADD https://example.org/a.tgz /opt", "COPY is enough"),
        ("RUN groupadd", "RUN curl -O https://example.org/a && groupadd", "no pin holds"),
        ("RUN groupadd", "RUN apt-get install --yes g++ && groupadd", "recommends"),
        ("RUN groupadd", "RUN apt-get update && groupadd", "package lists"),
        ("RUN groupadd", "RUN chmod -R 777 /opt && groupadd", "gives rights away"),
        ("RUN groupadd", "RUN pip install kfp && groupadd", "pip in the last stage"),
        ('ARG SOURCE=""', 'ARG NGC_API_KEY=""', "a secret"),
        ("HOME=/tmp", "HOME=/tmp S3_SECRET_KEY=abc", "a secret"),
        ('ARG PYTHON_DIGEST=""', 'ARG PYTHON_DIGEST=""\nARG PIP_TOKEN=""', "a secret"),
        ("HOME=/tmp", "HOME=/home/trainyard", "HOME is not /tmp"),
        ("PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1", "PYTHONDONTWRITEBYTECODE"),
        ("org.opencontainers.image.version", "version", "no label"),
        ("USER 1000:1000", "HEALTHCHECK CMD true\nUSER 1000:1000", "HEALTHCHECK"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(old: str, new: str, fault: str) -> None:
    text = dockerfile("data")
    assert old in text
    found = faults(text.replace(old, new))
    assert any(fault in line for line in found), found


def test_one_stage_is_a_fault() -> None:
    text = dockerfile("data")
    assert "one stage only: what builds stays in the image" in faults(text[text.rindex("FROM ") :])


def test_images_differ_in_what_they_must() -> None:
    """Three files that say the same: what one learns, the others get too."""

    def common(name: str) -> str:
        document = parse(dockerfile(name))
        builders = [
            (s.base, s.name, [i.text for i in s.instructions]) for s in document.stages[:-1]
        ]
        final = [i.text for i in document.final.instructions if i.keyword not in ("RUN", "LABEL")]
        return str((document.arguments, builders, final)).replace(f"[{name}]", "[]")

    assert common("data") == common("torch") == common("tensorflow")


def test_tao_keeps_the_vendors_python_apart() -> None:
    final = parse(dockerfile("tao")).final
    names = {name: value for env in final.all("ENV") for name, value in env.pairs.items()}
    assert (names["TAO_PATH"], names["TAO_PYTHONPATH"]) == ("$PATH", "$PYTHONPATH")
    assert names["PATH"] == "/opt/trainyard/bin:$PATH"


# --- requirements


@pytest.mark.parametrize("extra", [*IMAGES, "dev"])
def test_the_pins_satisfy_every_requirement(extra: str) -> None:
    wanted = [r for r in requirements()[extra] if not r.marker or r.marker.evaluate()]
    assert len(wanted) >= 10
    seen: set[str] = set()
    wrong = []
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        pin = PINS.get(name)
        if pin is None:
            wrong.append(f"{requirement} has no pin")
        elif not requirement.specifier.contains(pin, prereleases=True):
            wrong.append(f"{requirement}, but the pin is {pin}")
        key = f"{name}{sorted(requirement.extras)}"
        if key not in seen:
            seen.add(key)
            wanted += needs(requirement)
    assert wrong == []


def needs(requirement: Requirement) -> list[Requirement]:
    """What an installed package needs itself; of others `make images-check` finds out."""
    try:
        lines = metadata.requires(requirement.name) or []
    except metadata.PackageNotFoundError:
        return []
    extras = requirement.extras or {""}
    return [
        needed
        for needed in map(Requirement, lines)
        if not needed.marker or any(needed.marker.evaluate({"extra": e}) for e in extras)
    ]


@pytest.mark.parametrize("name", IMAGES)
def test_pip_resolves_what_an_image_installs(name: str, tmp_path: Path) -> None:
    """The resolver itself, on what is installed here: no index is asked."""
    wanted = requirements()[name]
    wanted += [needed for own in wanted if own.extras for needed in needs(own)]
    absent = [r.name for r in wanted if not list(metadata.distributions(name=r.name))]
    if absent:
        pytest.skip(
            f"{', '.join(absent)} not installed; make images-check IMAGES={name} resolves it"
        )
    for file in ("setup.cfg", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / file, tmp_path)
    (tmp_path / "components").mkdir()
    shutil.copy(REPOSITORY / "components" / "__init__.py", tmp_path / "components")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--no-index",
        "--no-build-isolation",
    ]
    command = [*pip, "--constraint", "constraints.txt", f".[{name}]"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"Would install trainyard-{__version__}" in done.stdout
