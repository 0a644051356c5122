"""The model, the clips and the split of an evaluation, and whether they belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split
from components.core.errors import InputError
from components.core.metrics.classification import Bools
from components.core.stage import Job
from components.core.wording import counted
from components.evaluate_clips.measuring import listed
from components.evaluate_clips.predictions import labels_table
from components.evaluate_clips.stage import EvaluateSettings
from components.evaluate_clips.windows import Window


@dataclass(frozen=True)
class Subject:
    """A model and the clips it is evaluated on."""

    directory: Path
    """Of the bundle."""
    bundle: ModelBundle
    reader: FrameReader
    split: Split
    window: Window

    def clips(self, part: str) -> list[int]:
        """Positions in the frame index of a part's clips."""
        wanted = set(self.split.ids(part))
        return [row for row, clip in enumerate(self.reader.index.clips) if clip.id in wanted]

    def labels(self, clips: Sequence[int]) -> Bools:
        """`(N, C)` truth of some clips."""
        entries = self.reader.index.clips
        return labels_table([entries[clip].labels for clip in clips], self.reader.index.classes)


def load(job: Job, settings: EvaluateSettings) -> Subject:
    """Opens the inputs and makes sure that they belong together.

    Raises:
        InputError: with everything that does not fit.
    """
    directory = job.inputs["model"]
    bundle = ModelBundle.load(directory)
    reader = FrameReader(job.inputs["frames"])
    split = Split.load(job.inputs["split"])
    subject = Subject(directory, bundle, reader, split, Window.of(bundle))
    index = reader.index
    problems = []
    if bundle.classes != index.classes:
        problems.append(
            f"the model knows {len(bundle.classes)} classes ({listed(bundle.classes or ['none'])})"
            f" but the frames have {len(index.classes)} ({listed(index.classes or ['none'])}); "
            "evaluate on frames of the data set that the model was trained on"
        )
    if split.parent != index.parent:
        problems.append(
            "split and frames come from different data sets "
            f"({split.parent[:12]}… and {index.parent[:12]}…); make both from the same clips"
        )
    clips = subject.clips(settings.part)
    if not clips:
        problems.append(
            f"the {settings.part} part holds no usable clip; choose another part or split again"
        )
    val = subject.clips("val") if settings.checkpoints or settings.tunes(bundle) else []
    if settings.checkpoints and not val:
        problems.append(
            "checkpoints are compared on the val part, which holds no usable clip; make it larger, "
            "or leave checkpoints empty"
        )
    if settings.tunes(bundle) and not val:
        problems.append(
            "threshold 'tuned' needs validation clips and the val part has none; "
            "give a number such as threshold=0.5"
        )
    places = {clip.id: row for row, clip in enumerate(index.clips)}
    shown = [places[name] for name in settings.sample_clips if name in places]
    problems += _clip_problems(subject, sorted({*clips, *val}), shown)
    if unknown := [name for name in settings.sample_clips if name not in places]:
        problems.append(
            f"sample_clips: no clip is called {listed([repr(name) for name in unknown])}; ids are "
            f"such as {listed([repr(clip.id) for clip in index.clips], 3)}"
        )
    if problems:
        raise InputError("\n  - ".join(["the inputs do not fit together:", *problems]))
    return subject


def _clip_problems(subject: Subject, clips: Sequence[int], shown: Sequence[int]) -> list[str]:
    entries = [subject.reader.index.clips[clip] for clip in clips]
    seen = [subject.reader.index.clips[clip] for clip in sorted({*clips, *shown})]
    problems = []
    several = [entry.id for entry in entries if len(entry.labels) != 1]
    if several and not subject.bundle.multi_label:
        problems.append(
            f"the model gives one label per clip, but {len(several)} clips ({listed(several, 3)}) "
            "have none or several; train with multi_label, or label each clip once"
        )
    if small := subject.window.too_small(seen):
        problems.append(
            f"{len(small)} clips ({listed(small, 3)}) are stored smaller than the model's input of "
            f"{subject.window.size} x {subject.window.size} pixels; extract larger frames"
        )
    return problems


def provenance(subject: Subject, part: str) -> list[str]:
    """Remarks on where model and clips come from."""
    bundle, index, split = subject.bundle, subject.reader.index, subject.split
    lines = []
    if part == "train":
        lines.append("These are the clips the model was trained on; the figures say nothing new.")
    if part == "val":
        lines.append("The validation part chose the checkpoint, so these figures are optimistic.")
    same_data = bundle.dataset in (index.fingerprint, index.parent)
    if same_data and bundle.split and bundle.split != split.fingerprint:
        lines.append(
            "The model was trained with another split of this data: clips evaluated here may have "
            "been in its training part, so these figures may be far too good."
        )
    if missing := len(split.ids(part)) - len(subject.clips(part)):
        lines.append(f"{counted(missing, 'clip')} of the part without frames: not evaluated.")
    trained = bundle.preprocessing.get("sampling")
    if trained and trained != index.sampling:
        lines.append(
            f"The model was trained on frames sampled as {trained}, these are sampled as "
            f"{index.sampling}: motion has another speed."
        )
    entries = index.clips
    training = {entries[clip].group for clip in subject.clips("train")} - {""}
    shared = sum(entries[clip].group in training for clip in subject.clips(part))
    if shared and part != "train":
        lines.append(
            f"{counted(shared, 'clip')} from recordings that are also in the training part: the "
            "figures are optimistic for new recordings; split by groups."
        )
    return lines
