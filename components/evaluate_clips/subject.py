"""The model, the clips and the split of an evaluation, and whether they belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.core.artifacts.frames import FrameReader
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split
from components.core.errors import InputError
from components.core.metrics.classification import Bools
from components.core.stage import Job
from components.evaluate_clips.measuring import listed
from components.evaluate_clips.predictions import labels_table
from components.evaluate_clips.windows import Window


@dataclass(frozen=True)
class Subject:
    """A model and the clips it is evaluated on."""

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


def load(job: Job, part: str) -> Subject:
    """Opens the inputs and makes sure that they belong together.

    Raises:
        InputError: with everything that does not fit.
    """
    bundle = ModelBundle.load(job.inputs["model"])
    reader = FrameReader(job.inputs["frames"])
    split = Split.load(job.inputs["split"])
    subject = Subject(bundle, reader, split, Window.of(bundle))
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
    clips = subject.clips(part)
    if not clips:
        problems.append(f"the {part} part holds no usable clip; choose another part or split again")
    several = [index.clips[clip].id for clip in clips if len(index.clips[clip].labels) != 1]
    if several and not bundle.multi_label:
        problems.append(
            f"the model gives one label per clip, but {len(several)} clips ({listed(several, 3)}) "
            "have none or several; train with multi_label, or label each clip once"
        )
    if small := subject.window.too_small([index.clips[clip] for clip in clips]):
        problems.append(
            f"{len(small)} clips ({listed(small, 3)}) are stored smaller than the model's input of "
            f"{subject.window.size} x {subject.window.size} pixels; extract larger frames"
        )
    if problems:
        raise InputError("\n  - ".join(["the inputs do not fit together:", *problems]))
    return subject


def provenance(subject: Subject, part: str, found: int) -> list[str]:
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
    if missing := len(split.ids(part)) - found:
        lines.append(f"{missing} clips of the part have no frames and are not evaluated.")
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
            f"{shared} clips come from recordings that are also in the training part, so the "
            "figures are optimistic for new recordings; split by groups."
        )
    return lines
