"""TaoData: what one experiment of a TAO project trains on, as TAO's programs read it.

index.json    schema, fingerprint, head, release, classes and counts
data/         TFRecords, or nothing where a head reads the data set itself
convert/      the rendered specification, the log and status.json of the conversion
dataset/      a copy of the data set, only where the data set cannot be used as it is
"""

from __future__ import annotations

from typing import ClassVar

from components.core.artifacts.base import Index

DATA, CONVERT, COPY = "data", "convert", "dataset"


class TaoData(Index):
    """Index of a TaoData directory."""

    SCHEMA: ClassVar[str] = "trainyard/tao-data"

    project: str
    """Name of the project."""
    experiment: str
    head: str
    release: str
    """Tag of the image that converted it; '' where nothing had to be converted."""
    form: str
    """`kitti-tfrecord`, `coco-tfrecord` or `coco`."""
    source: str
    """Folder of the data set, or `dataset` for the copy; its images are read while training."""
    content: str
    """SHA-256 (hex) over images and labels of the data set."""
    classes: dict[str, int]
    """Class → annotations, in the data set."""
    images: int
    empty: int = 0
    """Images on which nothing is annotated."""
    files: list[str] = []
    """Of `data`, relative to it."""
    command: str = ""
    """That converted it; the key is not in it."""
    notes: list[str] = []
    """What a reader should know about the data set."""
