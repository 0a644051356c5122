"""What a reader should know before quoting a figure, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from components.core.artifacts.detection_evaluation import DetectionMetrics
from components.core.metrics.detection import MOST
from components.core.metrics.summary import FEWEST_GROUPS
from components.core.wording import counted
from components.evaluate_detections.results import Results
from components.evaluate_detections.stage import EvaluateSettings
from components.evaluate_detections.subject import Subject

COUNTED = MOST[-1]
FEW_IMAGES, FEW_GROUPS, FEW_ANNOTATIONS = 30, 20, 10


def provenance(subject: Subject, settings: EvaluateSettings) -> list[str]:
    """Remarks on where the model and the images come from."""
    part, bundle = settings.part, subject.bundle
    lines = []
    if part == "train" and subject.knows_training:
        lines.append("These are the images the model was trained on; the figures say nothing new.")
    if part == "val":
        lines.append("The validation part chose the checkpoint, so these figures are optimistic.")
        if settings.tunes:
            lines.append(
                "The thresholds were chosen on these very images, which flatters precision, recall "
                "and F1; evaluate the test part for figures that new images will bear out."
            )
    if bundle.dataset != subject.dataset.fingerprint:
        told = "another data set" if bundle.dataset else "a data set that it does not tell"
        lines.append(
            f"The model was trained on {told}: it may have seen images that are evaluated here."
        )
    elif bundle.split != subject.split.fingerprint:
        lines.append(
            "The model was trained with another split of this data: images evaluated here may have "
            "been in its training part, so these figures may be far too good."
        )
    training = {image.group for image in subject.images("train")} - {""}
    shared = sum(image.group in training for image in subject.images(part))
    if shared and part != "train" and subject.knows_training:
        lines.append(
            f"{counted(shared, 'image')} from recordings that are also in the training part: the "
            "figures are optimistic for new recordings; split by groups."
        )
    return lines


def about_figures(metrics: DetectionMetrics, settings: EvaluateSettings) -> list[str]:
    """Remarks on how much the figures are worth."""
    return [
        *_about_size(metrics, settings),
        *_about_classes(metrics),
        *_about_thresholds(metrics),
    ]


def _about_size(metrics: DetectionMetrics, settings: EvaluateSettings) -> list[str]:
    lines = []
    if metrics.images < FEW_IMAGES:
        lines.append(f"Only {counted(metrics.images, 'image')}: single ones move every figure.")
    if settings.bootstrap and metrics.groups < FEWEST_GROUPS:
        lines.append(
            f"No intervals are given: {counted(metrics.groups, 'recording')} at hand, and "
            f"intervals over fewer than {FEWEST_GROUPS} would be far too narrow."
        )
    elif settings.bootstrap and metrics.groups < FEW_GROUPS:
        lines.append(f"Only {metrics.groups} recordings: the intervals themselves are rough.")
    if metrics.groups == metrics.images > 1:
        lines.append(
            "No recordings are known (groups), so each image counts on its own; if several come "
            "from one video, the intervals are too narrow."
        )
    if not metrics.negatives:
        lines.append(
            "Every image holds an object, so false alarms on empty images are not measured."
        )
    if metrics.crowds:
        verb = "is" if metrics.crowds == 1 else "are"
        lines.append(
            f"{counted(metrics.crowds, 'annotation')} of many objects at once (crowds) {verb} not "
            "counted, nor is what was found in them."
        )
    return lines


def _about_classes(metrics: DetectionMetrics) -> list[str]:
    lines = []
    absent = [own.name for own in metrics.classes if not own.annotations]
    few = [
        f"{own.name} ({own.annotations})"
        for own in metrics.classes
        if 0 < own.annotations < FEW_ANNOTATIONS
    ]
    untrained = [own.name for own in metrics.classes if own.annotations and own.training == 0]
    if not metrics.annotations:
        lines.append("Nothing is annotated on these images: only false alarms can be counted.")
    elif absent:
        lines.append(
            f"Nothing of {listed(absent)} is annotated here; means leave "
            f"{'it' if len(absent) == 1 else 'them'} out."
        )
    if few:
        lines.append(
            f"Few annotations of {listed(few)}; single ones move these classes' figures a lot."
        )
    if untrained:
        lines.append(f"The training part holds nothing of {listed(untrained)}.")
    if not sum(own.found for own in metrics.classes):
        most = "; the scores of all its boxes are too low" if metrics.predictions else ""
        lines.append(f"The model finds nothing at these thresholds{most}.")
    silent = [own.name for own in metrics.classes if own.annotations and not own.found]
    if silent and len(silent) < len(metrics.classes):
        lines.append(f"The model never finds {listed(silent)} at these thresholds.")
    return lines


def _about_thresholds(metrics: DetectionMetrics) -> list[str]:
    if metrics.calibration is None or metrics.calibration.error < 0.2:
        return []
    return [
        "Scores are no probabilities here: on average they are "
        f"{metrics.calibration.error:.2f} away from the share of right boxes."
    ]


def crowded(subject: Subject, results: Results) -> list[str]:
    """Whether images hold more objects than a detector may find, or than COCO counts."""
    lines = []
    per_class = [int(counts.max(initial=0)) for counts in results.matches.annotated]
    if full := sum(most > COUNTED for most in per_class):
        lines.append(
            f"{counted(full, 'image')} with more than {COUNTED} objects of a class, of which "
            f"COCO's figures count the {COUNTED} surest boxes: recall cannot reach 1 there."
        )
    limit = subject.bundle.architecture.get("arguments", {}).get("detections") or 0
    tiled = subject.bundle.preprocessing.get("tile_size")
    objects = results.matches.annotated.sum(axis=1)
    if limit and not tiled and (full := int((objects > limit).sum())):
        lines.append(
            f"{counted(full, 'image')} with more objects than the {limit} boxes that the model "
            "gives for an image; train with more detections, or with tiles."
        )
    return lines


def untuned(subject: Subject, settings: EvaluateSettings) -> list[str]:
    """Which classes have no tuned threshold because the validation part lacks them."""
    if not settings.tunes:
        return []
    shapes = [shape.label for image in subject.images("val") for shape in image.shapes]
    absent = [name for name in subject.dataset.classes if name not in shapes]
    if not absent:
        return []
    return [f"The validation part holds nothing of {listed(absent)}: the threshold is 0.5."]


def listed(names: Sequence[str], limit: int = 8) -> str:
    """Names in a sentence, the rest counted."""
    shown = list(names[:limit])
    if len(names) > limit:
        shown.append(f"{len(names) - limit} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
