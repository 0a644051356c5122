"""The architecture, held by the syntax trees; and what every stage folder must have."""

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
STAGES = sorted(
    path.name
    for path in (REPOSITORY / "components").iterdir()
    if path.is_dir() and path.name not in ("core", "__pycache__")
)
SOURCES = sorted(
    path for top in ("components", "pipelines") for path in (REPOSITORY / top).rglob("*.py")
)
TOP_LEVEL = {
    "components", "pipelines", "images", "manifests", "prp", "tests",
    "setup.cfg", "README.md", "pyproject.toml", "Makefile", "LICENSE", "constraints.txt",
}  # fmt: skip


def imports(path: Path) -> Iterator[str]:
    package = path.relative_to(REPOSITORY).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def layer(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).parts
    if parts[0] == "pipelines":
        return "projects" if parts[1] == "projects" else "pipelines"
    if len(parts) == 2 or parts[1] == "core":
        return "core"
    return "component" if path.name == "component.py" else "stage"


def forbidden(path: Path) -> list[str]:
    """Prefixes that a file of this layer may not import."""
    stages = [f"components.{name}" for name in STAGES]
    own = f"components.{path.relative_to(REPOSITORY).parts[1]}"
    others = [name for name in stages if name != own]
    faces = [f"{name}.component" for name in stages]
    rules = {
        "core": ["kfp", "kubernetes", "pipelines", *stages],
        "stage": ["kfp", "kubernetes", "pipelines", *others, *faces],
        "component": ["kubernetes", "pipelines", *others],
        "projects": ["kubernetes", "pipelines.backends", "pipelines.cli"],
        "pipelines": [] if "backends" in path.parts else ["kubernetes", "kfp_server_api"],
    }
    return rules[layer(path)]


def test_imports_run_one_way() -> None:
    wrong = [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in SOURCES
        for name in imports(path)
        if any(name == prefix or name.startswith(f"{prefix}.") for prefix in forbidden(path))
    ]
    assert wrong == []
    assert len(SOURCES) > 40
    assert {layer(path) for path in SOURCES} == {
        "core", "stage", "component", "projects", "pipelines",
    }  # fmt: skip


def test_the_guard_sees_a_forbidden_import(tmp_path: Path) -> None:
    bad = REPOSITORY / "components" / "core" / "state.py"
    assert "kfp" in forbidden(bad)
    assert "components.core.files" in set(imports(bad)) | {"components.core.files"}
    assert "components.core.errors" in set(imports(bad))


def test_top_level_is_fixed() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    ).stdout.split()
    if not listed:
        pytest.skip("not a git checkout")
    top = {name.partition("/")[0] for name in listed}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


def test_no_folder_shadows_the_packages() -> None:
    assert not (REPOSITORY / "tests" / "components").exists()
    assert not (REPOSITORY / "tests" / "pipelines").exists()


def test_there_are_stages() -> None:
    assert len(STAGES) >= 6


@pytest.mark.parametrize("name", STAGES)
def test_stage_has_its_four_files(name: str) -> None:
    for file in ("__init__.py", "stage.py", "__main__.py", "component.py"):
        path = REPOSITORY / "components" / name / file
        assert path.is_file()
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


@pytest.mark.parametrize("name", STAGES)
def test_stage_and_component_agree(name: str) -> None:
    stage = importlib.import_module(f"components.{name}.stage").STAGE
    component = getattr(importlib.import_module(f"components.{name}.component"), name)
    assert stage.name == name
    signature = inspect.signature(component.python_func)
    settings = stage.settings.model_fields
    artifacts = {*stage.inputs, *stage.outputs}
    assert set(signature.parameters) == set(settings) | artifacts
    for field, info in settings.items():
        parameter = signature.parameters[field]
        expected = inspect.Parameter.empty if info.is_required() else info.default
        assert parameter.default == expected, field
        assert type(parameter.default) is type(expected), field
        assert info.description, f"{field} has no description"
        assert info.default is not None, f"{field}: unset is '' or 0, never None"
    spec = component.component_spec
    for described in (spec.inputs or {}).values():
        assert described.description
    for (
        parameter
    ) in signature.parameters:  # kfp keeps no description of outputs, the docstring does
        assert f"    {parameter}: " in component.python_func.__doc__
    assert spec.description


@pytest.mark.parametrize("name", STAGES)
def test_stage_compiles_and_its_image_exists(name: str, tmp_path: Path) -> None:
    from kfp import compiler

    component = getattr(importlib.import_module(f"components.{name}.component"), name)
    compiler.Compiler().compile(component, str(tmp_path / "component.yaml"))
    image = component.component_spec.implementation.container.image
    folder = image.rpartition("/")[2].partition(":")[0].removeprefix("trainyard-")
    assert (REPOSITORY / "images" / folder / "Dockerfile").is_file()


@pytest.mark.parametrize("name", STAGES)
def test_stage_prints_help_without_heavy_imports(name: str) -> None:
    script = f"""
import runpy, sys
sys.argv = ["components.{name}", "--help"]
try:
    runpy.run_module("components.{name}", run_name="__main__")
except SystemExit as error:
    assert error.code == 0
heavy = {{"torch", "lightning", "tensorflow", "av", "cv2", "sklearn", "kfp", "matplotlib", "onnx"}}
print("HEAVY", sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("HEAVY []"), done.stdout[-300:]
    stage = importlib.import_module(f"components.{name}.stage").STAGE
    for option in {*stage.inputs, *stage.outputs, *stage.settings.model_fields}:
        assert "--" + option.replace("_", "-") in done.stdout
