"""Writes the results folder: pictures, checkpoints for the viewer, logs, and the state."""

from __future__ import annotations

import shutil
from pathlib import Path

from components import __version__
from components.core import files
from components.core.artifacts.model_bundle import ModelBundle, kept
from components.core.artifacts.training_results import (
    CHECKPOINTS,
    RESULTS,
    RUNS,
    STATE,
    TrainingResults,
)
from components.core.models.bundle import sha256
from components.core.rendering.bundles import TORCHSCRIPT
from components.core.state import digest
from components.train_renderer.bundles import LOG, Trained
from components.train_renderer.resuming import origin

IMAGES = "images"
"""Folder of the pictures beside the state of training."""


def write_results(directory: Path, model: Path, trained: Trained, folder: Path) -> TrainingResults:
    """Writes everything into a new directory, the index last.

    Args:
        directory: to make.
        model: the bundle, whose traces are shown.
        trained: the training.
        folder: of `fit`; nothing in it is changed.
    """
    directory.mkdir()
    pictures = folder / IMAGES
    if pictures.is_dir():
        shutil.copytree(pictures, directory / RESULTS)
    else:
        (directory / RESULTS).mkdir()
    shutil.copytree(model / LOG, directory / RUNS)
    checkpoints = directory / CHECKPOINTS
    checkpoints.mkdir()
    for place in kept(model).values():
        trace = place / ModelBundle.load(place).formats[TORCHSCRIPT]
        for path in filter(Path.exists, (trace, trace.with_suffix(".txt"))):
            files.link_or_copy(path, checkpoints / path.name)
    shutil.copytree(folder, directory / STATE)
    bundle = ModelBundle.load(model)
    state = sha256(directory / STATE / "snapshot.pt")
    results = TrainingResults(
        fingerprint=digest([bundle.fingerprint, trained.name, state]),
        name=trained.name,
        settings={
            **trained.settings.model_dump(mode="json"),
            "pretrained": origin(trained.settings),
            "resume_from": "",
        },
        dataset=trained.dataset.fingerprint,
        epochs=len(trained.result.history),
        best=trained.result.best,
        model=bundle.fingerprint,
        code_version=__version__,
    )
    results.save(directory)
    return results
