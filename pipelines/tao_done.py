"""What a task of TAO was done with, kept beside its result: known again, it is not done twice.

models/<experiment>/<task>.json    code version, settings, inputs, hashes of specifications
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from components import __version__
from components.core import files
from components.core.artifacts import base
from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError
from components.core.settings import Settings
from components.core.tao.experiment import Experiment

ELSEWHERE = ("layout", "model_key", "key_problems", "where")
"""Fields of an experiment that do not change what is made; the key is never written."""


def record(
    experiment: Experiment, stage: str, settings: Settings, inputs: Mapping[str, Path]
) -> dict[str, Any]:
    """Everything that a result depends on, as JSON.

    Raises:
        InputError: an input is no artifact.
    """
    specs = experiment.layout.specs(experiment.name)
    return {
        "stage": stage,
        "code": __version__,
        "settings": settings.identity(),
        "experiment": {
            field.name: _plain(getattr(experiment, field.name))
            for field in fields(experiment)
            if field.name not in ELSEWHERE
        },
        "inputs": {name: base.fingerprint(path) for name, path in inputs.items()},
        "specifications": {
            path.relative_to(specs).as_posix(): base.content(path)
            for path in sorted(specs.rglob("*"))
            if path.is_file()
        },
    }


def kept(experiment: Experiment, task: str) -> dict[str, Any]:
    """What the result that is there was made with; empty where that is not known."""
    with suppress(OSError, ValueError):
        content = json.loads(place(experiment, task).read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}


def keep(experiment: Experiment, task: str, made_with: Mapping[str, Any]) -> None:
    """Writes what a new result was made with."""
    files.write_json(place(experiment, task), made_with)


def place(experiment: Experiment, task: str) -> Path:
    """The file of a task."""
    return experiment.models / f"{task}.json"


def lacking(result: Path) -> str:
    """Which file of a result is gone, as a sentence; '' where none is, or nothing is there."""
    if not files.holds_something(result) or not result.is_dir():
        return ""
    try:
        base.read_index(result)
        if (result / ModelBundle.FILE).is_file():
            bundle = ModelBundle.load(result)
            for kind in bundle.formats:
                bundle.file(result, kind)
    except InputError as error:
        return str(error)
    return ""


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
