"""The work of the stage: checks, comparison, the viewer's folder, publication."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from components.core import files
from components.core.artifacts.model_bundle import ModelBundle, kept
from components.core.artifacts.publication import Publication
from components.core.artifacts.rendering_evaluation import RenderingEvaluation, RenderingMetrics
from components.core.errors import InputError
from components.core.formats.viewer_network import ViewerNetwork, read_viewer_network
from components.core.models.bundle import load_network
from components.core.models.inovis import INOVIS
from components.core.models.inovis_inputs import example_inputs
from components.core.models.trace import verify_trace
from components.core.rendering.bundles import TASK, TORCHSCRIPT
from components.core.stage import Job
from components.core.state import digest
from components.core.storage import Storage, open_storage
from components.publish_renderer.card import card_text, model_card
from components.publish_renderer.stage import PublishRendererSettings

INSIDE = "networks"
"""The viewer's folder when it is part of the output."""

LARGEST = 1 << 30
"""Bytes of a trace."""


@dataclass(frozen=True)
class Traced:
    """The network to publish."""

    bundle: ModelBundle
    trace: Path
    network: ViewerNetwork


def run(settings: PublishRendererSettings, job: Job) -> None:
    """Publishes; see `stage.publish`."""
    evaluation = RenderingEvaluation.load(job.inputs["evaluation"])
    metrics = RenderingMetrics.read(job.inputs["evaluation"])
    traced = evaluated(job.inputs["model"], evaluation)
    if traced.bundle.preprocessing.get("near"):
        job.report.warn(
            "the network was trained with linear depths (near and far), but the viewer gives those "
            "of its window: it will show something else than the evaluation; sync without near and "
            "far, and train again"
        )
    out = job.outputs["published"]
    out.mkdir()
    storage = open_storage(settings.networks or str(out / INSIDE))
    number, name, reused = add(storage, traced, settings.network_name, job.work)
    card = model_card(name, traced.bundle, evaluation, metrics)
    files.write_text(out / "model_card.json", json.dumps(card, indent=2, allow_nan=False) + "\n")
    files.write_text(out / "README.md", card_text(card))
    where = settings.networks or INSIDE
    Publication(
        fingerprint=digest([where, name, traced.bundle.fingerprint]),
        repository=where,
        model=name,
        version=number,
        reused=reused,
        bundle=traced.bundle.fingerprint,
    ).save(out)
    told = "holds this network already, as" if reused else "has a new network:"
    job.report.message(f"{where} {told} {name}")
    job.metadata["published"] = {"networks": where, "network": name}


def evaluated(model: Path, evaluation: RenderingEvaluation) -> Traced:
    """Of the networks that a training kept, the one that was evaluated, with its proved trace.

    Raises:
        InputError: none of them was, or it has no trace that the viewer takes.
        TrainyardError: its trace computes something else.
    """
    places = [
        place
        for place in kept(model).values()
        if ModelBundle.load(place).fingerprint in evaluation.models.values()
    ]
    if not places:
        ModelBundle.load(model)
        raise InputError(
            f"the evaluation is that of another model than {model}; evaluate this one before "
            "publishing it"
        )
    place = places[0]
    bundle = ModelBundle.load(place)
    if bundle.task != TASK:
        raise InputError(
            f"{place}: the model's task is {bundle.task or 'unknown'!r}; the viewer runs renderers "
            f"({TASK})"
        )
    trace = bundle.file(place, TORCHSCRIPT)
    text = trace.with_suffix(".txt")
    if not text.is_file():
        raise InputError(
            f"{text} is missing: the viewer cannot use this network; train it with "
            "feature_extraction_depth 0"
        )
    about = read_viewer_network(text)
    problems = about.problems()
    network = load_network(place)
    assert isinstance(network, INOVIS)
    if about.groundtruth_amount != network.aux_amount:
        problems.append(
            f"groundtruth_amount: {text.name} says {about.groundtruth_amount}, the network takes "
            f"{network.aux_amount}"
        )
    if problems:
        raise InputError(f"the viewer cannot use {trace}: {'; '.join(problems)}")
    given = network.channels, network.aux_channels, network.aux_amount
    verify_trace(trace, network, [example_inputs(*given)])
    return Traced(bundle, trace, about)


def add(storage: Storage, traced: Traced, name: str, work: Path) -> tuple[int, str, bool]:
    """Puts trace and text under the first name that is free or has this very network.

    Args:
        storage: the viewer's folder.
        traced: the network.
        name: wanted; '' for that of the trace.
        work: a folder for the text.

    Returns:
        Number of the name, from 1; the name; whether the network was there already.
    """
    content = traced.trace.read_bytes()
    for number, candidate in _names(name or traced.network.name):
        text = replace(traced.network, name=candidate).text()
        there = [storage.exists(f"{candidate}.{kind}") for kind in ("pt", "txt")]
        same = there[0] and storage.read(f"{candidate}.pt", LARGEST) == content
        if there[1]:
            known = storage.read(f"{candidate}.txt").decode("utf-8", "replace")
            if same and known.split() == text.split():
                return number, candidate, True
        if any(there) and not (same and not there[1]):  # a trace alone was interrupted
            continue
        if not same:
            storage.put(traced.trace, f"{candidate}.pt")
        own = work / f"{candidate}.txt"
        files.write_text(own, text)
        storage.put(own, f"{candidate}.txt")  # last: the viewer reads it first
        return number, candidate, False
    raise AssertionError


def _names(name: str) -> Iterator[tuple[int, str]]:
    number = 1
    while True:
        yield number, name if number == 1 else f"{name}-{number}"
        number += 1
