"""The detectors of NVIDIA's TAO Toolkit: what each is called, needs, writes and can.

Sources as in `releases`. Adding a head is one row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from components.core.settings import closest
from components.core.tao.releases import DEFAULTS, NAMES, Framework, Release, release_of

DataFormat = Literal["kitti-tfrecord", "coco-tfrecord", "coco"]

SUFFIXES = ("hdf5", "tlt", "pth")
"""Of checkpoints: 5.x of TensorFlow 1 writes hdf5, earlier ones tlt; PyTorch pth."""

KERAS = r"{name}_[\w.-]+?_epoch_(?P<epoch>\d+)\.(?:hdf5|tlt)"
DETECTNET = r"(?:model|{name}).*?\.epoch-(?P<epoch>\d+)\.(?:hdf5|tlt)"
LIGHTNING = r".*?epoch[_=](?P<epoch>\d+)(?:[-_]step[_=](?P<step>\d+))?\.(?:pth|tlt)"
EFFICIENTDET = r"(?:efficientdet-d\d\w*)_(?P<epoch>\d+)\.(?:tlt|hdf5)"


@dataclass(frozen=True)
class Resume:
    """How a head goes on with an interrupted training, and retrains a pruned model."""

    how: Literal["folder", "argument", "spec", "override"]
    """`folder`: by itself, from what lies in its results; `argument`: `-m` and `--initial_epoch`;
    `spec`: by a field of the spec; `override`: by a Hydra override."""
    field: str = ""
    """Of the spec, or the override, that names the checkpoint to go on with."""
    pruned: str = ""
    """Likewise for the pruned model; '' where `-m` names it."""
    instead: tuple[str, ...] = ()
    """Fields beside it that must not be set with either."""


@dataclass(frozen=True)
class Head:
    """A detector."""

    name: str
    framework: Framework
    data: DataFormat
    checkpoints: str
    """Regular expression of a checkpoint's file name, with its `epoch`."""
    resume: Resume
    size: tuple[str, str]
    """Fields of the spec that give height and width of the input in pixels."""
    prunes: bool = True
    plugins: bool = True
    """Whether its exported ONNX holds TensorRT's own operators, which only TensorRT runs."""
    pretrained: Literal["spec", "argument"] = "spec"
    """Where weights to start from are named; `argument`: `-m`."""
    memory: bool = False
    """Whether anything in this row is from memory."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """What its program does, besides inference."""
        convert = () if self.data == "coco" else ("dataset_convert",)
        prune = ("prune",) if self.prunes else ()
        return (*convert, "train", "evaluate", *prune, "export")

    def pattern(self) -> re.Pattern[str]:
        """Matches the names of its checkpoints, with the group `epoch`."""
        return re.compile(self.checkpoints.format(name=re.escape(self.name)))


_KERAS_SIZE = ("augmentation_config.output_height", "augmentation_config.output_width")
_LOAD = ("resume_model_path", "pretrain_model_path", "pruned_model_path")
_BY_FIELD = Resume(
    "spec", "training_config.resume_model_path", "training_config.pruned_model_path", _LOAD
)
_BY_ARGUMENT = Resume("argument")
_LIGHTNING = Resume("override", "train.resume_training_checkpoint_path")


def _keras(name: str, resume: Resume = _BY_FIELD, **others: object) -> Head:
    return Head(name, "tf1", "kitti-tfrecord", KERAS, resume, _KERAS_SIZE, **others)  # type: ignore[arg-type]


def _lightning(name: str, plugins: bool) -> Head:
    size = ("export.input_height", "export.input_width")
    return Head(name, "pyt", "coco", LIGHTNING, _LIGHTNING, size, prunes=False, plugins=plugins)


_ALL = (
    Head(
        "detectnet_v2",
        "tf1",
        "kitti-tfrecord",
        DETECTNET,
        Resume("folder", pruned="model_config.pretrained_model_file"),
        (
            "augmentation_config.preprocessing.output_image_height",
            "augmentation_config.preprocessing.output_image_width",
        ),
        plugins=False,
    ),
    _keras("ssd", _BY_ARGUMENT, pretrained="argument"),
    _keras("dssd", _BY_ARGUMENT, pretrained="argument"),
    _keras("retinanet"),
    _keras("yolo_v3"),
    _keras("yolo_v4"),
    _keras("yolo_v4_tiny"),
    Head(
        "faster_rcnn",
        "tf1",
        "kitti-tfrecord",
        r"(?:frcnn|faster_rcnn)[\w.-]*?\.?epoch_?(?P<epoch>\d+)\.(?:hdf5|tlt)",
        Resume(
            "spec",
            "training_config.resume_from_model",
            "training_config.retrain_pruned_model",
            ("resume_from_model", "pretrained_weights", "retrain_pruned_model"),
        ),
        (
            "model_config.input_image_config.size_height_width.height",
            "model_config.input_image_config.size_height_width.width",
        ),
        memory=True,
    ),
    Head(
        "efficientdet_tf2",
        "tf2",
        "coco-tfrecord",
        EFFICIENTDET,
        Resume("folder", pruned="train.pruned_model_path"),
        ("model.input_height", "model.input_width"),
        memory=True,
    ),
    _lightning("dino", plugins=True),
    _lightning("deformable_detr", plugins=True),
    _lightning("rtdetr", plugins=False),
)

HEADS: dict[str, Head] = {head.name: head for head in _ALL}
"""Name → head."""

OLDER_NAMES = {
    "efficientdet": "efficientdet_tf2",
    "rt_detr": "rtdetr",
    "detectnetv2": "detectnet_v2",
}


def head_problem(name: str, known: Iterable[str] = HEADS) -> str:
    """Why `name` is no head; '' where it is one."""
    if name in HEADS:
        return ""
    meant = OLDER_NAMES.get(name)
    hint = f"; did you mean {meant!r}?" if meant else closest(name, known)
    return f"head: got {name!r}, accepted are {', '.join(HEADS)}{hint}"


def release_for(head: Head, tag: str) -> tuple[Release | None, str]:
    """The release that runs a head, or why the tag names none.

    Args:
        head: the detector.
        tag: of the image; '' takes the default of the head's framework.
    """
    release, problem = release_of(tag or DEFAULTS[head.framework])
    if release is None:
        return None, problem
    if release.framework != head.framework:
        return None, (
            f"release: {head.name} runs with {NAMES[head.framework]}, which {release.tag} does not "
            f"hold; use {DEFAULTS[head.framework]}"
        )
    if head.name == "rtdetr" and release.version < (6, 0, 0):
        return None, f"release: rtdetr came with 6.0, so {release.tag} has none; use 6.25.7-pyt"
    return release, ""
