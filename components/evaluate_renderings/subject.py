"""The renderer and the frames of an evaluation, and whether they belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError
from components.core.metrics.images import RIM
from components.core.rendering.bundles import TASK
from components.core.rendering.reader import RenderingReader
from components.core.stage import Job
from components.core.wording import counted
from components.evaluate_renderings.stage import EvaluateRenderingsSettings

SHOWN = 10
"""Frames that a message names."""


@dataclass(frozen=True)
class Subject:
    """A renderer and the frames that it is evaluated on."""

    directory: Path
    """Of the bundle."""
    bundle: ModelBundle
    reader: RenderingReader
    positions: list[int]
    """In the data set, of the part's frames of which something counts."""
    aux: int
    """Photographs that the network is given."""

    empty: list[str]
    """Frames of the part that are left out: their masks leave nothing to compare."""

    @property
    def names(self) -> list[str]:
        """Of the frames."""
        return [self.reader.index.frames[place].id for place in self.positions]


def load(job: Job, settings: EvaluateRenderingsSettings) -> Subject:
    """Opens the inputs and makes sure that they belong together.

    Raises:
        InputError: with everything that does not fit.
    """
    directory = job.inputs["model"]
    bundle, reader = ModelBundle.load(directory), RenderingReader(job.inputs["frames"])
    listed = reader.index.positions(settings.part)
    positions = [place for place in listed if _something_counts(reader, place)]
    empty = [reader.index.frames[place].id for place in listed if place not in {*positions}]
    wanted = int(bundle.preprocessing.get("aux", 0))
    subject = Subject(directory, bundle, reader, positions, min(wanted, reader.index.aux), empty)
    problems = []
    if bundle.task != TASK:
        problems.append(
            f"the model's task is {bundle.task or 'unknown'!r}; a renderer ({TASK}) is needed"
        )
    if empty and not positions:
        problems.append(
            f"no frame of the {settings.part} part can be compared: {_empty(empty)}; export masks "
            "that are white where pixels count, or none, and sync the frames again"
        )
    elif not positions:
        problems.append(
            f"no frame is of the {settings.part} part; choose another part, or sync the frames "
            "again with a larger one"
        )
    if bundle.dataset and bundle.dataset != reader.index.fingerprint and not settings.other_data:
        problems.append(
            f"the model was trained on the frames {bundle.dataset[:12]}…, these are "
            f"{reader.index.fingerprint[:12]}…; evaluate with those of its training, or say "
            "other_data=true to measure it on others"
        )
    if problems:
        raise InputError("\n  - ".join(["the inputs do not fit together:", *problems]))
    return subject


def remarks(subject: Subject, settings: EvaluateRenderingsSettings) -> list[str]:
    """What a reader should know before quoting a figure."""
    found = []
    index = subject.reader.index
    if subject.bundle.dataset != index.fingerprint:
        found.append(
            "The model was trained on other frames; whether it has seen these cannot be told."
        )
    if settings.part != "test":
        how = "trained with" if settings.part == "train" else "chosen by"
        found.append(f"The model was {how} the {settings.part} part; only the test part is new.")
    if subject.empty:
        left = counted(len(subject.empty), "frame")
        found.append(f"{left} left out of all figures: {_empty(subject.empty)}.")
    wanted = int(subject.bundle.preprocessing.get("aux", 0))
    if subject.aux < wanted:
        found.append(
            f"The network takes {wanted} photographs, and these frames have {subject.aux} each."
        )
    seen = set(index.seen_tests()) & set(subject.names)
    if seen and settings.part == "test":
        found.append(
            f"The photographs of {counted(len(seen), 'test frame')} of {len(subject.names)} were "
            "nearby photographs of training frames; as targets none was."
        )
    if not settings.lpips_weights:
        found.append("LPIPS is left out: no lpips_weights were given.")
    return found


def _something_counts(reader: RenderingReader, place: int) -> bool:
    """Whether the mask of a frame, if it has one, leaves something to compare."""
    entry = reader.index.frames[place]
    if not entry.mask:
        return True
    valid = reader.valid(place, 0, 0, (entry.height, entry.width))
    return bool(valid[0, RIM:-RIM, RIM:-RIM].any())


def _empty(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"nothing counts in the masks of {', '.join(names[:SHOWN])}{more}"
