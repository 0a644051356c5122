"""A small TAO project to try things with: three experiments, their specifications and data.

The two of the first README, for heads of TensorFlow 1, and one for a head of PyTorch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from components.core import files
from components.core.formats import coco, kitti_labels
from components.core.formats.shapes import AnnotatedImage
from pipelines import demo_tao_specs as texts
from pipelines.demo_shapes import ANNOTATIONS, CLASSES, write_images

PROJECT = "example"
EXPERIMENTS = ("dssd_resnet18_01", "detectnetv2_resnet18_01", "dino_fan_01")

SIDE = 128
"""Pixels of an image's side, a multiple of 16."""

VALIDATION = 4
"""Every so many-th image is one for validation."""

WEIGHTS = (
    "pretrained_object_detection/pretrained_object_detection_vresnet18/resnet_18.hdf5",
    "pretrained_detectnet_v2/pretrained_detectnet_v2_vresnet18/resnet18.hdf5",
    "pretrained_dino_nvimagenet/pretrained_dino_nvimagenet_vfan_small/fan_small.pth",
)
"""Below `repositories`; the files of the demo stand for weights, but hold none."""


def write_project(folder: Path, model_key: str = "") -> Path:
    """Writes `projects/example` and `repositories` into a folder, and returns the former.

    Data: `kitti_detection` with the subsets full, train and val, `kitti_detection_128x128` with
    full, and `coco_detection` with train and val. A folder that has the project is left as it is.

    Args:
        folder: to make, or an existing one.
        model_key: is written into experiments.yml as plain text; '' leaves it to the environment.
    """
    project = folder / "projects" / PROJECT
    if project.exists():
        return project
    shapes = write_images(folder / "shapes", recordings=2, frames=6, side=SIDE)
    with files.atomic_path(project) as made:
        _data(shapes, made / "data")
        (made / "models").mkdir()
        line = f"    model_key: {model_key}\n" if model_key else ""
        _write(made / "experiments.yml", texts.EXPERIMENTS.replace("    #key\n", line))
        for experiment, tasks in texts.SPECS.items():
            for name, text in tasks.items():
                _write(made / "specs" / experiment / name, text)
    for weights in WEIGHTS:
        _write(folder / "repositories" / weights, f"stands for {Path(weights).name}\n")
    mounts = {
        "Mounts": [
            {"source": str(folder.absolute() / name), "destination": f"/workspace/{name}"}
            for name in ("projects", "repositories")
        ],
        "Envs": [
            {"variable": "CUDA_VISIBLE_DEVICES", "value": "0"},
            {"variable": "DALI_DISABLE_NVML", "value": "1"},
        ],
        "DockerOptions": {"shm_size": "16G", "user": "1000:1000"},
    }
    files.write_text(folder / ".tao_mounts.json", json.dumps(mounts, indent=4) + "\n")
    return project


def _data(shapes: Path, data: Path) -> None:
    """KITTI and COCO data of one set of images; the images are hard links."""
    images = [
        AnnotatedImage(
            image.name.replace("/", "_"), image.width, image.height, image.shapes, path=image.path
        )
        for image in coco.read(shapes / ANNOTATIONS, shapes).images
    ]
    validation = images[::VALIDATION]
    training = [image for image in images if image not in validation]
    for dataset in ("kitti_detection", f"kitti_detection_{SIDE}x{SIDE}"):
        _kitti(images, data / dataset / "full")
    _kitti(training, data / "kitti_detection" / "train")
    _kitti(validation, data / "kitti_detection" / "val")
    for part, chosen in (("train", training), ("val", validation)):
        folder = data / "coco_detection" / part
        _link(chosen, folder / "images")
        coco.write(folder / ANNOTATIONS, chosen, CLASSES)


def _kitti(images: Sequence[AnnotatedImage], folder: Path) -> None:
    _link(images, folder / "image_2")
    kitti_labels.write(folder, images, "label_2")


def _link(images: Sequence[AnnotatedImage], folder: Path) -> None:
    folder.mkdir(parents=True)
    for image in images:
        assert image.path is not None
        files.link_or_copy(image.path, folder / image.name)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
