"""The detector, the images and the split of an evaluation, and whether they belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.artifacts.detections import DetectionDataset
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.split import Split
from components.core.detection.bundles import TASK
from components.core.errors import InputError
from components.core.formats.shapes import AnnotatedImage
from components.core.metrics.detection import Truth
from components.core.metrics.detection_truth import truth_of
from components.core.stage import Job
from components.core.wording import counted
from components.evaluate_detections.stage import EvaluateSettings


@dataclass(frozen=True)
class Subject:
    """A detector and the images that it is evaluated on."""

    directory: Path
    """Of the bundle."""
    bundle: ModelBundle
    dataset: DetectionDataset
    everything: list[AnnotatedImage]
    """All images of the data set."""
    numbers: dict[str, int]
    """Image → its id in the data set's COCO document."""
    split: Split

    @property
    def knows_training(self) -> bool:
        """Whether the training part of this split is what the model was trained on."""
        return (
            self.bundle.dataset == self.dataset.fingerprint
            and self.bundle.split == self.split.fingerprint
        )

    def images(self, part: str) -> list[AnnotatedImage]:
        """The images of a part, in the data set's order."""
        parts = self.split.parts
        return [image for image in self.everything if parts.get(image.name) == part]

    def truth(self, part: str) -> list[Truth]:
        """What is annotated on each of them."""
        return [truth_of(image, self.dataset.classes) for image in self.images(part)]

    @property
    def variants(self) -> list[dict[str, Any]]:
        """Validation figures of the networks that were trained beside each other, by name."""
        found = []
        for path in sorted((self.directory / "variants").glob(f"*/{ModelBundle.FILE}")):
            bundle = ModelBundle.load(path.parent)
            name = bundle.architecture.get("name", "")
            about = {"name": path.parent.name, "architecture": name}
            found.append({**bundle.metrics, **about, "fingerprint": bundle.fingerprint})
        return found


def load(job: Job, settings: EvaluateSettings) -> Subject:
    """Opens the inputs and makes sure that they belong together.

    Raises:
        InputError: with everything that does not fit.
    """
    directory, place = job.inputs["model"], job.inputs["dataset"]
    bundle = ModelBundle.load(directory)
    dataset = DetectionDataset.load(place)
    document = dataset.document(place)
    everything = dataset.images(place)
    numbers = {str(entry["file_name"]): int(entry["id"]) for entry in document["images"]}
    split = Split.load(job.inputs["split"])
    subject = Subject(directory, bundle, dataset, everything, numbers, split)
    if problems := _problems(subject, settings):
        raise InputError("\n  - ".join(["the inputs do not fit together:", *problems]))
    return subject


def _problems(subject: Subject, settings: EvaluateSettings) -> list[str]:
    bundle, dataset, split = subject.bundle, subject.dataset, subject.split
    problems = []
    if bundle.task != TASK:
        problems.append(
            f"the model's task is {bundle.task or 'unknown'!r}; a detector ({TASK}) is needed"
        )
    elif bundle.classes != dataset.classes:
        problems.append(
            f"the model knows the classes {_named(bundle.classes)}, but the data set has "
            f"{_named(dataset.classes)}; evaluate on data with the classes of the training, in "
            "their order"
        )
    if split.parent != dataset.fingerprint:
        problems.append(
            "split and data set do not belong together: the split is of "
            f"{split.parent[:12]}…, the data set is {dataset.fingerprint[:12]}…; split it again"
        )
    elif not settings.other_data:
        problems += _of_other_data(subject)
    if not subject.images(settings.part):
        problems.append(
            f"the {settings.part} part holds no image; choose another part or split again"
        )
    if settings.tunes and not any(len(one.shapes) for one in subject.images("val")):
        problems.append(
            "threshold 'tuned' needs annotated validation images and the val part has none; give a "
            "number such as threshold=0.5"
        )
    wanted = [*subject.images(settings.part), *(subject.images("val") if settings.tunes else [])]
    missing = sorted({i.name for i in wanted if i.path is None or not i.path.is_file()})
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        problems.append(
            f"the data set lacks the files of {counted(len(missing), 'image')}: "
            f"{', '.join(missing[:3])}{more}; make it again"
        )
    return problems


def _of_other_data(subject: Subject) -> list[str]:
    bundle = subject.bundle
    way_out = (
        "evaluate with those of its training, or say other_data=true to measure it on other images"
    )
    if bundle.dataset and bundle.dataset != subject.dataset.fingerprint:
        return [
            f"the model was trained on the data set {bundle.dataset[:12]}…, this is "
            f"{subject.dataset.fingerprint[:12]}…; {way_out}"
        ]
    if bundle.split and bundle.split != subject.split.fingerprint:
        return [
            f"the model was trained with the split {bundle.split[:12]}…, this is "
            f"{subject.split.fingerprint[:12]}…, so it may have seen these images; {way_out}"
        ]
    return []


def _named(classes: list[str]) -> str:
    return ", ".join(classes) or "(none)"
