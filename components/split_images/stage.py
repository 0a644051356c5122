"""Splits annotated images into train, val and test.

All images of a recording (or of a window of neighbouring frames) and all copies of one file are on
the same side; annotations per class and images without any are spread as the sizes ask for. With
`embedding` the look of the boxes counts as well: they are clustered, and every part gets its share
of every cluster. A report tells what each part covers, and what leaks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from components.core.errors import InputError, SettingsError, TrainyardError
from components.core.settings import CONTENT, RUNTIME, Settings
from components.core.stage import Job, Stage

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")

IMAGENET = "imagenet"
"""Value of `embedding_weights`: torchvision's own, which are downloaded."""

CHOSEN = ("groups", "embedding")
"""Strategies that choose what comes into which part."""


class SplitSettings(Settings):
    """Settings of `split_images`."""

    strategy: Literal["groups", "embedding", "every_tenth", "published"] = Field(
        "groups",
        description="groups: whole recordings, evenly by class; embedding: the same, and evenly by "
        "the look of boxes and images; every_tenth: each tenth image validates, whatever it is "
        "next to; published: the parts that the source names",
    )
    train_size: float = Field(
        0.0, ge=0, description="Training part: fraction (< 1) or images; 0 takes all the rest"
    )
    val_size: float = Field(0.15, ge=0, description="Validation part: fraction (< 1) or images")
    test_size: float = Field(
        0.15,
        ge=0,
        description="Test part: fraction (< 1) or images; not used when folds is set",
    )
    published_test: bool = Field(
        True,
        description="Keep the test part that the source itself names, where it names one; "
        "test_size is not used then",
    )
    allow_missing: bool = Field(
        False,
        description="Accept classes that are too rare to be in every part; they train first",
    )
    folds: int = Field(0, ge=0, description="Number of cross-validation folds; 0 turns them off")
    fold: int = Field(0, ge=0, description="Which fold is the test part, from 0")
    group_by: Literal["group", "task", "folder", "image"] = Field(
        "group",
        description="What stays together: group (the video or recording that the source names), "
        "task, folder, or each image for itself",
    )
    group_pattern: str = Field(
        "",
        description="Regular expression for image names instead: what its first parentheses match, "
        r"or all of it, is the recording, as in (.*)frame\d+",
    )
    frame_window: int = Field(
        0,
        ge=0,
        description="Divide recordings into windows of so many frames, each of which stays "
        "together, as a single video needs it; 0 keeps recordings whole",
    )
    frame_gap: int = Field(
        0,
        ge=0,
        description="Leave out frames that are no further than this from a frame of the same "
        "recording in another part, training ones first; 0 leaves out none",
    )
    seed: int = Field(0, ge=0, description="Seed of everything that is random")
    embedding_backbone: str = Field(
        "resnet18",
        description="Classification network of torchvision that describes boxes and images; not "
        "used where embedding_weights is a detector's bundle",
    )
    embedding_weights: str = Field(
        "",
        description="Weights of it: .pt or .safetensors, the bundle of a detector, or imagenet to "
        "download torchvision's; '' leaves it untrained, which finds little more than colours and "
        "coarse textures",
        json_schema_extra={**CONTENT, "words": [IMAGENET]},
    )
    embedding_size: int = Field(
        128, ge=32, description="Pixels to which boxes and images are scaled for it, in each side"
    )
    clusters: int = Field(8, ge=1, description="Clusters of boxes, and of whole images")
    tsne_boxes: int = Field(
        5000,
        ge=0,
        description="Boxes, and images, that get a place in the t-SNE pictures, at most; 0 turns "
        "these off",
    )
    embedding_batch: int = Field(
        64, ge=1, description="Boxes per run of the network", json_schema_extra=RUNTIME
    )
    device: str = Field(
        "auto",
        description="auto (a GPU if there is one), cpu, cuda or cuda:<number>",
        json_schema_extra=RUNTIME,
    )
    workers: int = Field(
        0,
        ge=0,
        description="Threads that read ahead; 0 for one per usable CPU",
        json_schema_extra=RUNTIME,
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*self._fold_problems(), *self._size_problems()]
        if self.strategy == "published" and not self.published_test:
            problems.append(
                "published_test: strategy published keeps the test part; leave it true, or choose "
                "the strategy groups"
            )
        if self.frame_window and self.group_by == "image" and not self.group_pattern:
            problems.append(
                "frame_window: windows are of a recording; choose another group_by than image"
            )
        try:
            re.compile(self.group_pattern)
        except re.error as error:
            problems.append(
                f"group_pattern: {self.group_pattern!r} is no regular expression: {error}"
            )
        if not DEVICE.fullmatch(self.device):
            problems.append(
                f"device: got {self.device!r}, accepted are auto, cpu, cuda and cuda:<number>"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _fold_problems(self) -> list[str]:
        problems = []
        if self.folds == 1:
            problems.append("folds: 1 fold leaves nothing to train on; use 0 or at least 2")
        if self.fold >= max(self.folds, 1):
            accepted = f"0 to {self.folds - 1}" if self.folds > 1 else "0, as folds is not set"
            problems.append(f"fold: got {self.fold}, accepted is {accepted}")
        if self.folds and self.strategy not in CHOSEN:
            problems.append(
                f"folds: strategy {self.strategy} has none; use 0, or the strategy "
                f"{' or '.join(CHOSEN)}"
            )
        return problems

    def _size_problems(self) -> list[str]:
        problems = [
            f"{name}: got {size:g}, accepted are a fraction below 1 and whole numbers of images"
            for name in ("train_size", "val_size", "test_size")
            if (size := getattr(self, name)) > 1 and size != int(size)
        ]
        sizes = [self.train_size, self.val_size, *([] if self.folds else [self.test_size])]
        total = sum(size for size in sizes if size < 1)
        if total > 1 + 1e-9 or (total > 1 - 1e-9 and not 0 < self.train_size < 1):
            problems.append(
                f"train_size, val_size, test_size: fractions add up to {total:g}; less than 1 is "
                "accepted, or 1 with a training part among them"
            )
        return problems

    @property
    def kept(self) -> tuple[str, ...]:
        """Parts that stay as the source names them, where it does."""
        if self.strategy == "published":
            return ("val", "test")
        return ("test",) if self.published_test else ()


def check(settings: SplitSettings) -> list[TrainyardError]:
    """The network and its weights, where they are to be used."""
    from components.core.models.backbone_names import feed_problems

    if settings.strategy != "embedding":
        return []
    problems: list[TrainyardError] = [
        SettingsError([f"embedding_backbone: {problem}"], "split_images")
        for problem in feed_problems(settings.embedding_backbone)
    ]
    path = settings.embedding_weights
    if path not in ("", IMAGENET) and not Path(path).exists():
        problems.append(
            InputError(
                f"embedding_weights: {path} does not exist; give a file, a bundle folder, "
                f"{IMAGENET}, or '' for an untrained network"
            )
        )
    return problems


def split_images(settings: SplitSettings, job: Job) -> None:
    """Reads `dataset`; writes `split`, with coordinates.csv where boxes are embedded, and `report`.

    Raises:
        InputError: a part would be empty or a class would be missing from one; says what it would
            need. Images or weights that cannot be read.
        SettingsError: folds of a data set that names its own test part.
    """
    from components.split_images.splitting import run

    run(settings, job)


STAGE = Stage(
    name="split_images",
    settings=SplitSettings,
    function=split_images,
    inputs={"dataset": "annotated images (DetectionDataset)"},
    outputs={
        "split": "Split: image name to train, val or test; and coordinates of embedded boxes",
        "report": "what each part covers, as one HTML file",
    },
    check=check,
    idle=lambda settings: settings.strategy != "embedding",
)
