"""The work of the stage: checks, version directory, repository, server, publication."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core import files
from components.core.artifacts.model_bundle import ModelBundle, Tensor
from components.core.artifacts.publication import Publication
from components.core.detection.bundles import TASK, gives_detections
from components.core.errors import InputError, ServiceError
from components.core.formats import triton
from components.core.formats.model_config_ini import ModelConfigIni
from components.core.model_repository import CARD, ModelRepository
from components.core.rendering.bundles import TASK as RENDERING
from components.core.stage import Job
from components.core.state import digest
from components.triton_publish.card import card_text, model_card
from components.triton_publish.evaluated import Servable, evaluated, servable, was_evaluated
from components.triton_publish.judged import Judged, judged
from components.triton_publish.reference import reference
from components.triton_publish.server import TOLERANCE, Server, compare, require_answer
from components.triton_publish.stage import PublishSettings

PLOTS = {
    "history": "training_history.png",
    "training_confusion": "train_confusion.png",
    "test_confusion": "confusion.png",
}
"""What a plot is called in a SavedModel's assets → file of the Evaluation; each may be absent."""

INSIDE = "model_repository"
"""Folder of the repository when it is part of the output."""


def run(settings: PublishSettings, job: Job) -> None:
    """Publishes; see `stage.publish`."""
    evaluation = judged(job.inputs["evaluation"])
    place, bundle = evaluated(job.inputs["model"], evaluation.models.values())
    name = settings.model_name or bundle.name
    _publishable(name, bundle, evaluation, settings)
    model = servable(place, bundle, settings.serve_as, job.work, job.report)
    config = _config(name, model, settings)
    card = model_card(name, bundle, evaluation)
    files.remove(job.work / "version")
    content = version_directory(job.work / "version", name, model, card)
    if model.kind == "savedmodel":
        add_assets(content, name, job.inputs["evaluation"])
    out = job.outputs["published"]
    out.mkdir()
    uri = settings.repository or str(out / INSIDE)
    repository = ModelRepository(uri, name)
    repository.prepare(config, labels_text(bundle.classes), job.work)
    version, reused = _add(repository, bundle, content, job)
    removed = repository.remove_old(settings.keep_versions, version)
    if removed:
        gone = ", ".join(map(str, removed))
        job.report.message(f"removed older versions {gone} (keep_versions)")
    served = _serve(settings, name, version, model, job) if settings.triton_url else {}
    for part in (CARD, "README.md"):
        shutil.copyfile(content / part, out / part)
    where = settings.repository or INSIDE
    Publication(
        fingerprint=digest([where, name, version, bundle.fingerprint]),
        repository=where,
        model=name,
        version=version,
        reused=reused,
        removed=removed,
        bundle=bundle.fingerprint,
        served=served,
    ).save(out)
    job.metadata["published"] = {"repository": where, "model": name, "version": version}


def version_directory(folder: Path, name: str, model: Servable, card: Mapping[str, Any]) -> Path:
    """Writes what a version consists of into `folder`: graph, card, `<model>.config` of clips.

    The bundle's files may be hard links there, so they must be replaced and never written to.
    """
    folder.mkdir(parents=True)
    bundle = model.bundle
    files.publish(model.path, folder / triton.FORMATS[model.kind].graph)
    files.write_text(folder / CARD, json.dumps(card, indent=2, allow_nan=False) + "\n")
    files.write_text(folder / "README.md", card_text(dict(card)))
    if bundle.task in (TASK, RENDERING):  # `<model>.config` knows clips only
        return folder
    ini = ModelConfigIni.of(
        bundle.preprocessing,
        bundle.training,
        bundle.classes,
        bundle.inputs[0].name,
        _classified(bundle).name,
    )
    files.write_text(folder / f"{name}.config", ini.text())
    return folder


def add_assets(content: Path, name: str, evaluation: Path) -> None:
    """Puts `<model>.config` and the evaluation's plots into the SavedModel of a version."""
    assets = content / triton.FORMATS["savedmodel"].graph / "assets"
    assets.mkdir(exist_ok=True)
    sources = {f"{name}.config": content / f"{name}.config"}
    sources |= {f"{name}_{role}.png": evaluation / file for role, file in PLOTS.items()}
    for asset, source in sources.items():
        if source.is_file():
            files.remove(assets / asset)
            files.link_or_copy(source, assets / asset)


def labels_text(classes: list[str]) -> str:
    """`labels.txt`: a class per line in output order."""
    return "".join(f"{name}\n" for name in classes)


def _publishable(
    name: str, bundle: ModelBundle, evaluation: Judged, settings: PublishSettings
) -> None:
    problems = []
    if problem := triton.name_problem(name):
        problems.append(f"{problem}; set model_name" if not settings.model_name else problem)
    if not was_evaluated(bundle, evaluation.models.values()):
        problems.append(
            "the evaluation is that of another model; evaluate this one before publishing it"
        )
    if broken := [label for label in bundle.classes if "\n" in label]:
        problems.append(f"class names with line breaks cannot be served: {broken}")
    if problems:
        raise InputError("\n  - ".join(["this model cannot be published:", *problems]))


def _config(name: str, model: Servable, settings: PublishSettings) -> triton.ModelConfig:
    bundle = model.bundle
    largest = int(bundle.architecture.get("max_batch_size") or settings.max_batch_size)
    config = triton.model_config(
        name,
        bundle.inputs,
        bundle.outputs,
        max_batch_size=min(largest, settings.max_batch_size),
        classes=len(bundle.classes),
        kind=model.kind,
        instances=settings.placing,
    )
    decoded = bundle.task != TASK or gives_detections(bundle)
    if decoded and bundle.classes and not any(out.label_filename for out in config.output):
        shown = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in bundle.outputs)
        raise InputError(
            f"no output has an entry for each of the {len(bundle.classes)} classes (outputs: "
            f"{shown}); the labels of this model cannot be served"
        )
    return config


def _classified(bundle: ModelBundle) -> Tensor:
    """The output that gives the classes."""
    fitting = (out for out in bundle.outputs if triton.is_labelled(out, len(bundle.classes)))
    return next(fitting, bundle.outputs[0])


def _add(
    repository: ModelRepository, bundle: ModelBundle, content: Path, job: Job
) -> tuple[int, bool]:
    """Version number, and whether this very model had it already."""
    known = [v for v in repository.versions() if v.complete]
    where = f"{repository.storage.uri}/{repository.model}"
    for found in reversed(known):
        if found.bundle == bundle.fingerprint:
            job.report.message(f"{where} holds this model already, as version {found.number}")
            if found.number != known[-1].number:
                job.report.warn(
                    f"version {known[-1].number} is newer, so that is what a server serves unless "
                    "asked for a version"
                )
            return found.number, True
    number = repository.add(content)
    job.report.message(f"published {where}, version {number}")
    return number, False


def _serve(
    settings: PublishSettings,
    name: str,
    version: int,
    model: Servable,
    job: Job,
) -> dict[str, Any]:
    server = Server(settings.triton_url, settings.triton_timeout)
    who, expected = reference(model) if model.kind != "tensorrt" else ("", None)
    try:
        needs = triton.FORMATS[model.kind].needs
        server.load(name, version, settings.triton_timeout, needs)
        size = min(2, settings.max_batch_size)
        if expected is None:  # an engine runs on its own kind of GPU only, and rounds otherwise
            require_answer(server, name, version, model.bundle, size)
            told = "answers in the shapes of the model"
            job.report.message(f"{settings.triton_url} serves {name} version {version}; it {told}")
            return {"url": settings.triton_url, "checked": told}
        difference = compare(server, name, version, model.bundle, expected, size)
    except ServiceError as error:
        raise ServiceError(
            f"{error}\nThe model is in the repository as version {version}; running again "
            "publishes nothing new and asks the server again"
        ) from None
    job.report.message(
        f"{settings.triton_url} serves {name} version {version}; largest difference from "
        f"{who} {difference:.1e} (accepted: {TOLERANCE:g} relative)"
    )
    return {"url": settings.triton_url, "difference": difference, "tolerance": TOLERANCE}
