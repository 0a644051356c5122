"""Going on with an earlier training from its results folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from components.core import files
from components.core.artifacts.base import resolve
from components.core.artifacts.training_results import STATE, TrainingResults
from components.core.errors import SettingsError
from components.core.events import Reporter
from components.core.settings import is_runtime
from components.train_renderer.stage import TrainRendererSettings

FREE = (
    "epochs",
    "early_stop",
    "keep_every",
    "run_name",
    "pretrained",
    "resume_from",
    "vgg_weights",
    "write_output_nth_epoch",
    "output_images",
)
"""Settings that may be others than those of the training that goes on, beside what is `RUNTIME`."""

SHAPED = ("cosine",)
"""Schedules that end with the last epoch, so that more of them change every rate."""


def go_on(
    settings: TrainRendererSettings, dataset: str, folder: Path, report: Reporter
) -> TrainingResults:
    """Puts the state of an earlier training where `fit` finds it, unless it is there already.

    Args:
        settings: of this training.
        dataset: fingerprint of its data.
        folder: of `fit`.
        report: told what goes on.

    Raises:
        InputError: `resume_from` is no results folder.
        SettingsError: the earlier training had other settings or data, or all epochs.
    """
    place = resolve(Path(settings.resume_from))
    old = TrainingResults.load(place)
    if problems := _problems(settings, dataset, old):
        raise SettingsError(problems, "train_renderer")
    if not folder.exists():
        with files.atomic_path(folder) as temporary:
            shutil.copytree(place / STATE, temporary)
    report.message(f"going on with {old.name} after epoch {old.epochs}")
    return old


def origin(settings: TrainRendererSettings) -> str:
    """Where the first weights of a training came from, whatever was resumed since; '' for none."""
    if not settings.resume_from:
        return settings.pretrained
    old = TrainingResults.load(resolve(Path(settings.resume_from)))
    return str(old.settings["pretrained"])


def _problems(settings: TrainRendererSettings, dataset: str, old: TrainingResults) -> list[str]:
    fields = type(settings).model_fields
    own = settings.model_dump(mode="json")
    problems = [
        f"{name}: got {own[name]!r}, the training that goes on has {old.settings[name]!r}; give "
        "that, or start a new one from its weights with pretrained"
        for name, field in fields.items()
        if name not in FREE and not is_runtime(field) and old.settings.get(name) != own[name]
    ]
    if settings.loss_name != TrainRendererSettings(**old.settings).loss_name:
        problems.append(
            "vgg_weights: the training that goes on was with"
            f"{'' if old.settings['vgg_weights'] else 'out'} them"
        )
    if old.dataset != dataset:
        problems.append(
            f"resume_from: it was trained on the data set {old.dataset[:12]}, this is "
            f"{dataset[:12]}; to train on other data, start from its weights with pretrained"
        )
    if settings.epochs <= old.epochs:
        problems.append(
            f"epochs: {settings.epochs} are done, the training has {old.epochs}; give more"
        )
    if settings.schedule in SHAPED and settings.epochs != old.settings.get("epochs"):
        problems.append(
            f"schedule: {settings.schedule} has brought the rate to 0 by epoch "
            f"{old.settings.get('epochs')}; start a new training with pretrained"
        )
    return problems
