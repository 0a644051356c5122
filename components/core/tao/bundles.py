"""ModelBundles of networks that TAO trained: the checkpoint, what it was trained with, and how.

model.json
weights/<checkpoint>    format `tao`: NVIDIA's own file, which only its programs read
training/               specification, log and status.json
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from components import __version__
from components.core import files
from components.core.artifacts import base
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.tao_data import TaoData
from components.core.detection.bundles import TASK
from components.core.errors import InputError
from components.core.state import digest
from components.core.tao import status
from components.core.tao.heads import Head
from components.core.tao.specs import SpecTree, lookup, lookup_all, mapping
from components.core.tao.task import Task
from components.core.tao.training import LOG, RESULTS, Trained

FORMAT = "tao"
WEIGHTS, TRAINING = "weights", "training"
LABELS = "labels.txt"

MAPPING = "dataset_config.target_class_mapping"


def classes(head: Head, spec: SpecTree, data: TaoData) -> list[str]:
    """Names in the order of the head's outputs, without background.

    DetectNet_v2 has that of its cost function, other TensorFlow 1 heads the alphabet's, those that
    read COCO that of the categories.
    """
    if head.data != "kitti-tfrecord":
        return list(data.classes)
    if head.name == "detectnet_v2":
        named = lookup_all(spec, "cost_function_config.target_classes.name")
        if named:
            return [str(name) for name in named]
    values = {str(name) for name in mapping(spec, MAPPING).values()}
    return sorted(values or data.classes)


def input_size(head: Head, spec: SpecTree) -> tuple[int, int]:
    """Height and width of the input in pixels; 0 where the specification does not say."""
    found = [lookup(spec, place, 0) for place in head.size]
    height, width = (int(value) if isinstance(value, int | float) else 0 for value in found)
    return height, width


def size_problems(head: Head, spec: SpecTree) -> list[str]:
    """What of the input size a head refuses: DetectNet_v2 and others want multiples of 16."""
    step = 16 if head.name == "detectnet_v2" else 32 if head.name.startswith("yolo") else 1
    found = []
    for place, value in zip(head.size, input_size(head, spec), strict=True):
        if value and value % step:
            less = max(value // step, 1) * step
            found.append(
                f"{spec.path}:{spec.line(place)}: {place}: {head.name} needs a multiple of {step}, "
                f"got {value}; use {less} or {less + step}"
            )
    return found


@dataclass(frozen=True)
class Origin:
    """What a bundle comes from, beside its training."""

    kind: str
    """`trained` or `pruned`."""
    details: dict[str, float | str]


def write(
    out: Path, task: Task, trained: Trained, records: Path, spec: SpecTree, origin: Origin
) -> ModelBundle:
    """Writes the bundle of a training; `spec` is what it was trained with."""
    data = TaoData.load(records)
    (out / WEIGHTS).mkdir(parents=True)
    (out / TRAINING).mkdir()
    source = trained.checkpoint.path
    files.link_or_copy(source, out / WEIGHTS / source.name)
    told = status.file_in(trained.folder / RESULTS)
    for path in (trained.spec, trained.folder / LOG, told):
        if path and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            files.write_text(out / TRAINING / path.name, task.key.hidden(text))
    height, width = input_size(task.head, spec)
    bundle = ModelBundle(
        fingerprint=digest([base.content(source), task.head.name, data.fingerprint]),
        name=task.experiment.name,
        formats={FORMAT: f"{WEIGHTS}/{source.name}"},
        task=TASK,
        classes=classes(task.head, spec, data),
        architecture={
            "head": task.head.name,
            "backbone": task.experiment.backbone,
            "input_height": height,
            "input_width": width,
            "encrypted": source.suffix == ".tlt",
        },
        training={
            "project": task.project.name,
            "experiment": task.experiment.name,
            "release": task.release.tag,
            "specification": f"{TRAINING}/{trained.spec.name}",
            "command": trained.command,
            "checkpoint": source.name,
            "epoch": trained.checkpoint.epoch,
            "chosen": trained.why,
            origin.kind: True,
            **origin.details,
        },
        dataset=data.content,
        code_version=__version__,
        metrics=trained.figures,
        curves=trained.curves,
    )
    bundle.save(out)
    return bundle


def fitting(model: Path, task: Task) -> tuple[ModelBundle, Path]:
    """A bundle that TAO trained for this experiment, and its checkpoint.

    Raises:
        InputError: another kind of model, or another head's.
    """
    bundle = ModelBundle.load(model)
    head = bundle.architecture.get("head", "")
    if head != task.head.name:
        what = f"that of the head {head}" if head else f"no model of TAO's ({bundle.task})"
        raise InputError(
            f"{model} is {what}; {task.experiment.name} of {task.project.name} has the head "
            f"{task.head.name}"
        )
    return bundle, bundle.file(model, FORMAT)


def fitting_data(records: Path, task: Task) -> TaoData:
    """The records of this experiment.

    Raises:
        InputError: those of another one.
    """
    data = TaoData.load(records)
    if (data.head, data.experiment) != (task.head.name, task.experiment.name):
        raise InputError(
            f"{records} holds the data of {data.experiment} ({data.head}), not of "
            f"{task.experiment.name} ({task.head.name}); run tao_convert for it"
        )
    return data


def foreign(bundle: ModelBundle, data: TaoData) -> str:
    """What a user should know of a model that was not trained on this data; '' where it was."""
    if bundle.dataset == data.content:
        return ""
    return (
        f"{bundle.name} was trained on other data ({bundle.dataset[:12]}) than the records are of "
        f"({data.content[:12]}): {data.experiment} has been changed since, or these are not the "
        "records of the training"
    )


def summary(bundle: ModelBundle) -> dict[str, object]:
    """What the Kubeflow UI shows of a bundle."""
    told: dict[str, object] = {"checkpoint": bundle.training["checkpoint"], **bundle.metrics}
    return json.loads(json.dumps(told))  # type: ignore[no-any-return]
