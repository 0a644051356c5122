"""The work of the stage: checks, version directory, repository, server, publication."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core import files
from components.core.artifacts.evaluation import ClipMetrics, Evaluation
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.publication import Publication
from components.core.errors import InputError, ServiceError
from components.core.formats import triton
from components.core.formats.model_config_ini import ModelConfigIni
from components.core.model_repository import CARD, GRAPH, ModelRepository
from components.core.stage import Job
from components.core.state import digest
from components.triton_publish.card import card_text, model_card
from components.triton_publish.evaluated import evaluated, graph_of
from components.triton_publish.server import TOLERANCE, Server, compare
from components.triton_publish.stage import PublishSettings

INSIDE = "model_repository"
"""Folder of the repository when it is part of the output."""


def run(settings: PublishSettings, job: Job) -> None:
    """Publishes; see `stage.publish`."""
    evaluation = Evaluation.load(job.inputs["evaluation"])
    place, bundle = evaluated(job.inputs["model"], evaluation)
    metrics = ClipMetrics.read(job.inputs["evaluation"])
    name = settings.model_name or bundle.name
    config = _config(name, bundle, evaluation, settings)
    graph = graph_of(place, bundle, job.work, job.report)
    card = model_card(name, bundle, evaluation, metrics)
    files.remove(job.work / "version")
    content = version_directory(job.work / "version", name, bundle, graph, card)
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
    served = _serve(settings, name, version, bundle, graph, job) if settings.triton_url else {}
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


def version_directory(
    folder: Path, name: str, bundle: ModelBundle, graph: Path, card: Mapping[str, Any]
) -> Path:
    """Writes what a version consists of into `folder`: graph, card, `<model>.config`."""
    folder.mkdir(parents=True)
    files.link_or_copy(graph, folder / GRAPH)
    files.write_text(folder / CARD, json.dumps(card, indent=2, allow_nan=False) + "\n")
    files.write_text(folder / "README.md", card_text(dict(card)))
    ini = ModelConfigIni.of(
        bundle.preprocessing,
        bundle.training,
        bundle.classes,
        bundle.inputs[0].name,
        bundle.outputs[0].name,
    )
    files.write_text(folder / f"{name}.config", ini.text())
    return folder


def labels_text(classes: list[str]) -> str:
    """`labels.txt`: a class per line in output order."""
    return "".join(f"{name}\n" for name in classes)


def _config(
    name: str, bundle: ModelBundle, evaluation: Evaluation, settings: PublishSettings
) -> triton.ModelConfig:
    problems = []
    if problem := triton.name_problem(name):
        problems.append(f"{problem}; set model_name" if not settings.model_name else problem)
    if bundle.fingerprint not in evaluation.models.values():
        problems.append(
            "the evaluation is that of another model; evaluate this one before publishing it"
        )
    if broken := [label for label in bundle.classes if "\n" in label]:
        problems.append(f"class names with line breaks cannot be served: {broken}")
    if problems:
        raise InputError("\n  - ".join(["this model cannot be published:", *problems]))
    return triton.model_config(
        name,
        bundle.inputs,
        bundle.outputs,
        max_batch_size=settings.max_batch_size,
        labelled=bool(bundle.classes),
    )


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
    bundle: ModelBundle,
    graph: Path,
    job: Job,
) -> dict[str, Any]:
    server = Server(settings.triton_url, settings.triton_timeout)
    try:
        server.load(name, version, settings.triton_timeout)
        size = min(2, settings.max_batch_size)
        difference = compare(server, name, version, bundle, str(graph), size)
    except ServiceError as error:
        raise ServiceError(
            f"{error}\nThe model is in the repository as version {version}; running again "
            "publishes nothing new and asks the server again"
        ) from None
    job.report.message(
        f"{settings.triton_url} serves {name} version {version}; largest difference from "
        f"onnxruntime {difference:.1e} (accepted: {TOLERANCE:g} relative)"
    )
    return {"url": settings.triton_url, "difference": difference, "tolerance": TOLERANCE}
