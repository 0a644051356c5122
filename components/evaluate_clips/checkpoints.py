"""Compares kept checkpoints on the validation part and picks the one to evaluate.

The test part plays no role here: a checkpoint that is chosen for its test figures has figures
that no new clip will bear out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.evaluation import CheckpointFigures
from components.core.artifacts.model_bundle import ModelBundle, kept
from components.core.errors import InputError
from components.core.metrics.classification import (
    Bools,
    figures,
    predict_multi,
    predict_single,
)
from components.evaluate_clips.inference import probabilities
from components.evaluate_clips.running import Runner
from components.evaluate_clips.selection import Selection, parse
from components.evaluate_clips.subject import Subject
from components.evaluate_clips.tables import COMPARED
from components.evaluate_clips.windows import Window


@dataclass(frozen=True)
class Candidate:
    """A kept checkpoint."""

    name: str
    """As in `CheckpointFigures`."""
    directory: Path
    bundle: ModelBundle
    epoch: int
    step: int

    @property
    def title(self) -> str:
        """What people call it."""
        return f"epoch {self.epoch}" if self.epoch else self.name


def candidates(root: Path) -> list[Candidate]:
    """The checkpoints in a bundle's folder, by epoch: itself, `checkpoints/*` and `last`.

    The best epoch is kept under several names; each network is listed once, the bundle first.
    """
    found: dict[int | str, Candidate] = {}
    for name, directory in kept(root).items():
        bundle = ModelBundle.load(directory)
        epoch = int(bundle.training.get("epoch") or 0)
        own = [row for row in bundle.curves if epoch and row.get("epoch") == epoch]
        step = int(own[0].get("step", 0)) if own else 0
        if "safetensors" in bundle.formats:
            key = epoch or bundle.fingerprint
            found.setdefault(key, Candidate(name, directory, bundle, epoch, step))
    return sorted(found.values(), key=lambda candidate: candidate.epoch)


def select(
    everything: Sequence[Candidate], selection: Selection
) -> tuple[list[Candidate], list[str]]:
    """The selected checkpoints, and what of the selection found none.

    Raises:
        InputError: nothing is selected; the message says what there is.
    """

    def number(candidate: Candidate) -> int:
        return candidate.step if selection.unit == "step" else candidate.epoch

    # What does not tell its epoch (or step) has none that could be named.
    wanted = [
        c for c in everything if number(c) in selection and (number(c) or not selection.spans)
    ]
    absent = [
        f"{selection.unit} {span}"
        for span in selection.spans
        if not any(number(candidate) in span for candidate in wanted)
    ]
    if not wanted:
        kept = ", ".join(
            f"epoch {c.epoch} (step {c.step})" if c.step else c.title for c in everything
        )
        text = (
            "all"
            if not selection.spans
            else f"{selection.unit} " + ",".join(map(str, selection.spans))
        )
        raise InputError(
            f"checkpoints: {text!r} selects none of the kept checkpoints; "
            + (f"there are {kept}" if kept else "the model holds no safetensors weights at all")
            + "; training keeps more with keep_every"
        )
    return wanted, absent


def choose(subject: Subject, runner: Runner) -> tuple[Subject, list[CheckpointFigures], list[str]]:
    """Compares the selected checkpoints.

    Returns:
        The subject with the chosen one as its model, the figures of all, and remarks.

    Raises:
        InputError: nothing is selected, or a checkpoint does not fit the model.
    """
    settings, report = runner.settings, runner.job.report
    chosen_ones, absent = select(candidates(subject.directory), parse(settings.checkpoints))
    if strange := [c.name for c in chosen_ones if c.bundle.classes != subject.bundle.classes]:
        raise InputError(f"the checkpoints {', '.join(strange)} have other classes than the model")
    truth = subject.labels(subject.clips("val"))
    rows: list[CheckpointFigures] = []
    subjects: list[Subject] = []
    for candidate in chosen_ones:
        own = dataclasses.replace(
            subject,
            directory=candidate.directory,
            bundle=candidate.bundle,
            window=Window.of(candidate.bundle),
        )
        logits = runner.logits(own, "val", candidate.title)
        row = CheckpointFigures(
            name=candidate.name,
            epoch=candidate.epoch,
            step=candidate.step,
            fingerprint=candidate.bundle.fingerprint,
            figures=compared(
                truth, logits, subject.bundle.multi_label, settings.fixed_threshold or 0.5
            ),
        )
        report.message(f"{candidate.title}: {_in_words(row)}")
        subjects.append(own)
        rows.append(row)
    # The first of equals: the one that needed the least training.
    best = max(range(len(rows)), key=lambda place: rows[place].figures[settings.select_by])
    rows[best] = rows[best].model_copy(update={"chosen": True})
    report.message(table(rows, settings.select_by))
    remarks = [f"No checkpoint of {text} was kept; it was not compared." for text in absent]
    return subjects[best], rows, remarks


def compared(
    truth: Bools, logits: NDArray[np.float32], multi_label: bool, threshold: float
) -> dict[str, float]:
    """The figures of one checkpoint; where every clip has one label the last three are the same.

    Args:
        truth: `(N, C)`.
        logits: `(N, C)`.
        multi_label: whether a clip may have any number of labels.
        threshold: of every class. Tuned thresholds would reward the checkpoint that suits the few
            validation clips of a rare class by chance.
    """
    scores = probabilities(logits, multi_label)
    predicted = predict_multi(scores, threshold) if multi_label else predict_single(scores)
    names = [str(number) for number in range(truth.shape[1])]
    found = figures(truth, predicted, names, multi_label=multi_label).scalars
    whole = found["exact_match" if multi_label else "accuracy"]
    return {
        "macro_f1": found.get("macro_f1", 0.0),
        "micro_f1": found.get("micro_f1", 0.0),
        "samples_f1": found.get("samples_f1", whole),
        "accuracy": whole,
    }


def table(rows: Sequence[CheckpointFigures], select_by: str) -> str:
    """The comparison as text, the chosen checkpoint marked."""
    heads = ["epoch", "step", *COMPARED.values()]
    lines = ["checkpoints on the validation part:", "  ".join(f"{head:>11}" for head in heads)]
    for row in rows:
        cells = [str(row.epoch or row.name), str(row.step or "-")]
        cells += [f"{row.figures[key]:.4f}" for key in COMPARED]
        mark = f"  <- best {COMPARED[select_by]}" if row.chosen else ""
        lines.append("  ".join(f"{cell:>11}" for cell in cells) + mark)
    return "\n".join(lines)


def _in_words(row: CheckpointFigures) -> str:
    return "  ".join(f"{name} {row.figures[key]:.4f}" for key, name in COMPARED.items())
