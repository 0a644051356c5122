"""Compiles pipelines to the YAML that Kubeflow Pipelines takes."""

from __future__ import annotations

import warnings
from pathlib import Path

from components.core import files
from pipelines import catalog


def compile_pipeline(name: str, folder: Path) -> Path:
    """Writes `<folder>/<name>.yaml` whole or not at all and returns its path.

    An existing file of that name is replaced: compiled pipelines are derived from code.
    """
    from kfp import compiler

    target = folder / f"{name}.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    with files.atomic_path(target) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = temporary.with_name(temporary.name + ".yaml")  # kfp insists on the suffix
        compiler.Compiler().compile(catalog.load(name), str(plain))
        plain.rename(temporary)
    return target
