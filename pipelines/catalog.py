"""Which pipelines exist, found without importing kfp."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import components
from components.core.errors import SettingsError
from components.core.settings import closest

_FOLDER = Path(__file__).parent / "projects"
_COMPONENTS = Path(components.__file__).parent


def names() -> list[str]:
    """Names of all pipelines, sorted; each is a module of `pipelines.projects`."""
    return sorted(path.stem for path in _FOLDER.glob("*.py") if not path.stem.startswith("_"))


def summary(name: str) -> str:
    """First line of a pipeline module's docstring."""
    tree = ast.parse((_FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def require(name: str) -> str:
    """Checks that a pipeline exists and returns its name.

    Raises:
        SettingsError: there is no such pipeline.
    """
    return _known(name, names(), "pipeline")


def load(name: str) -> Any:
    """The pipeline's decorated function (a kfp GraphComponent). Imports kfp.

    Raises:
        SettingsError: there is no such pipeline.
    """
    name = require(name)
    return getattr(importlib.import_module(f"pipelines.projects.{name}"), name)


def stages() -> list[str]:
    """Names of all stages, sorted; each is a package of `components`."""
    return sorted(path.parent.name for path in _COMPONENTS.glob("*/stage.py") if _is_stage(path))


def require_stage(name: str) -> str:
    """Checks that a stage exists and returns its name.

    Raises:
        SettingsError: there is no such stage.
    """
    return _known(name, stages(), "stage")


def _known(name: str, known: list[str], kind: str) -> str:
    if (plain := name.replace("-", "_")) in known:
        return plain
    hint = closest(name, known)
    listed = ", ".join(known)
    raise SettingsError([f"unknown {kind} {name!r}{hint} (known: {listed})"], kind.upper())


def _is_stage(path: Path) -> bool:
    return path.parent.name != "core"
