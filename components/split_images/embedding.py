"""How boxes and images look: clusters of them, and places for a picture."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core import files
from components.core.artifacts.split import PARTS
from components.core.cpus import usable_cpus
from components.core.formats.boxes import box_on
from components.core.formats.shapes import AnnotatedImage, Kind
from components.core.splitting.assignment import Counts
from components.core.stage import Job
from components.core.wording import counted
from components.split_images import clustering
from components.split_images.features import Store, Subject, extract
from components.split_images.stage import SplitSettings

COORDINATES = "coordinates.csv"
"""File beside the index of the Split."""

BOX, IMAGE = "box", "image"

COLUMNS = (
    "kind", "annotation", "image", "task", "group", "frame", "class", "x", "y", "cluster", "part",
)  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """A box, or a whole image."""

    image: AnnotatedImage
    annotation: int = 0
    """Id in the data set's COCO document; 0 for a whole image."""
    label: str = ""
    """Class; '' for a whole image."""
    cluster: int = 0
    place: tuple[float, float] | None = None
    """In the t-SNE picture, in [0, 1]; None outside of the sample that is shown."""
    thumbnail: NDArray[np.uint8] | None = None
    """(H, W, 3), RGB, of what is shown."""


@dataclass(frozen=True)
class Embedding:
    """All boxes and images with their clusters."""

    boxes: list[Thing]
    images: list[Thing]
    about: str
    """The network that described them, for people."""
    notes: list[str] = field(default_factory=list)

    def cells(self, groups: Sequence[Sequence[AnnotatedImage]]) -> Counts:
        """(groups, cells): boxes of each class in each cluster, then images of each cluster."""
        keys = sorted({(thing.label, thing.cluster) for thing in [*self.boxes, *self.images]})
        column = {key: number for number, key in enumerate(keys)}
        row = {image.name: number for number, own in enumerate(groups) for image in own}
        found = np.zeros((len(groups), len(keys)))
        for thing in [*self.boxes, *self.images]:
            if thing.image.name in row:
                found[row[thing.image.name], column[thing.label, thing.cluster]] += 1
        return found

    def coverage(self, parts: Mapping[str, str]) -> dict[tuple[str, int], Counter[str]]:
        """Class ('' for whole images) and cluster → part → how many; in order."""
        found: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        for thing in [*self.boxes, *self.images]:
            found[thing.label, thing.cluster][parts.get(thing.image.name, "")] += 1
        return dict(sorted(found.items()))

    def write(self, directory: Path, parts: Mapping[str, str]) -> None:
        """Writes the table of coordinates.

        Args:
            directory: of the Split.
            parts: image name → part.
        """
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        for kind, things in ((BOX, self.boxes), (IMAGE, self.images)):
            for thing in things:
                image = thing.image
                x, y = (f"{n:.6f}" for n in thing.place) if thing.place else ("", "")
                frame = "" if image.frame is None else image.frame
                table.writerow(
                    [
                        kind, thing.annotation or "", image.name, image.task, image.group, frame,
                        thing.label, x, y, thing.cluster, parts.get(image.name, ""),
                    ]
                )  # fmt: skip
        files.write_text(directory / COORDINATES, text.getvalue())


def embed(
    settings: SplitSettings,
    document: Mapping[str, Any],
    images: Sequence[AnnotatedImage],
    job: Job,
) -> Embedding:
    """Describes all boxes and images by a network, and clusters them.

    What was described is kept in the job's scratch; a restart goes on from there.

    Args:
        settings: of the stage.
        document: the data set's COCO document, for the ids of annotations.
        images: of the data set.
        job: where features are kept and progress is told.

    Raises:
        InputError: weights or images that cannot be read.
    """
    from components.split_images.encoder import open_encoder

    encoder, notes = open_encoder(
        settings.embedding_backbone, settings.embedding_weights, settings.seed, settings.device
    )
    if not encoder.trained:
        notes.append(
            f"boxes and images are described by {encoder.about}, as embedding_weights is not set: "
            "its clusters are of colours and coarse textures. Give weights for clusters that mean "
            "more"
        )
    boxes = _boxes(document, images)
    subjects = [_subject(image, boxes[image.name]) for image in images]
    store = Store(job.work / "features", settings.embedding_size)
    job.report.message(f"describing boxes and images by {encoder.about} on {encoder.device}")
    extract(
        subjects,
        encoder,
        store,
        batch=settings.embedding_batch,
        workers=settings.workers or usable_cpus(),
        progress=lambda done, total: job.report.progress(done, total, "images"),
    )
    found = [store.load(subject) for subject in subjects]
    whole = [Thing(image) for image in images]
    values = np.stack([each.values[0] for each in found])
    pictures = np.stack([each.thumbnails[0] for each in found])
    described = _described(whole, values, pictures, settings, "images", notes)
    single = [thing for image in images for thing in boxes[image.name]]
    if not single:
        return Embedding([], described, encoder.about, notes)
    values = np.concatenate([each.values[1:] for each in found])
    pictures = np.concatenate([each.thumbnails[1:] for each in found])
    return Embedding(
        _described(single, values, pictures, settings, "boxes", notes),
        described,
        encoder.about,
        notes,
    )


def uncovered(
    embedding: Embedding, parts: Mapping[str, str], whole: bool = False
) -> dict[str, int]:
    """Part → combinations of class and cluster that train and are not in it.

    Args:
        embedding: of the data set.
        parts: image name → part.
        whole: count clusters of whole images instead.
    """
    rows = [
        row
        for (label, _), row in embedding.coverage(parts).items()
        if bool(label) != whole and row["train"]
    ]
    return {part: sum(not row[part] for row in rows) for part in PARTS[1:]}


def _boxes(document: Mapping[str, Any], images: Sequence[AnnotatedImage]) -> dict[str, list[Thing]]:
    """Image name → its boxes; without crowds, which are no single objects."""
    names = {entry["id"]: entry["file_name"] for entry in document["images"]}
    ids: dict[str, list[int]] = defaultdict(list)
    for entry in document["annotations"]:
        ids[names[entry["image_id"]]].append(entry["id"])
    return {
        image.name: [
            Thing(image, number, shape.label)
            for number, shape in zip(
                ids[image.name], (s for s in image.shapes if s.kind is not Kind.TAG), strict=True
            )
            if not shape.crowd
        ]
        for image in images
    }


def _subject(image: AnnotatedImage, boxes: Sequence[Thing]) -> Subject:
    shapes = [shape for shape in image.shapes if shape.kind is not Kind.TAG and not shape.crowd]
    found = [box_on(shape, image) for shape in shapes]
    assert image.path is not None
    assert len(found) == len(boxes)
    return Subject(image.path, image.checksum, tuple(box for box in found if box))


def _described(
    things: Sequence[Thing],
    values: clustering.Points,
    pictures: NDArray[np.uint8],
    settings: SplitSettings,
    noun: str,
    notes: list[str],
) -> list[Thing]:
    """The things with their clusters, and with places where they are in the sample to show."""
    points = clustering.reduced(values, settings.seed)
    clusters = clustering.clustered(points, settings.clusters, settings.seed)
    shown = clustering.sampled(len(things), settings.tsne_boxes, settings.seed)
    places = np.zeros((0, 2))
    if len(shown) >= clustering.LEAST:
        places = clustering.placed(points[shown], settings.seed)
        if len(shown) < len(things):
            notes.append(
                f"the t-SNE picture shows a random sample of {len(shown)} of {len(things)} {noun}; "
                "the clusters are of all"
            )
    where = {int(index): place for index, place in zip(shown, places, strict=False)}
    return [
        Thing(
            thing.image,
            thing.annotation,
            thing.label,
            int(clusters[index]),
            (float(where[index][0]), float(where[index][1])) if index in where else None,
            pictures[index] if index in where else None,
        )
        for index, thing in enumerate(things)
    ]


def sizes(embedding: Embedding) -> str:
    """How much was described, for people."""
    return f"{counted(len(embedding.boxes), 'box', 'boxes')} and {len(embedding.images)} images"
