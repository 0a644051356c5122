"""From checked inputs to a trained network and its bundle."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from components import __version__
from components.core.artifacts import base
from components.core.artifacts.frames import FrameReader
from components.core.artifacts.model_bundle import ModelBundle, Tensor
from components.core.artifacts.split import Split
from components.core.cpus import usable_cpus
from components.core.errors import InputError, SettingsError
from components.core.events import Reporter
from components.core.stage import Job
from components.core.state import digest
from components.core.training import clip_checks
from components.core.training.clip_checks import Parts
from components.core.training.clip_views import ClipViews, balanced_weights
from components.core.training.plan import share_problems
from components.core.training.views import Augmentation, Window
from components.train_keras import devices, export
from components.train_keras.data import ClipBatches
from components.train_keras.fit import Fit, FitResult
from components.train_keras.networks import INPUT, OUTPUT, architecture_of, build, make_network
from components.train_keras.stage import TrainKerasSettings

FORMATS = {"savedmodel": "model.savedmodel", "onnx": "model.onnx", "keras": "model.keras"}


@dataclass(frozen=True)
class Source:
    """What is trained on."""

    reader: FrameReader
    split: Split
    parts: Parts


def run(settings: TrainKerasSettings, job: Job) -> None:
    """See `stage.train_keras`."""
    reader, split = FrameReader(job.inputs["frames"]), Split.load(job.inputs["split"])
    size = settings.input_size or reader.index.frame_size
    settings = settings.model_copy(update={"input_size": size})
    source = Source(reader, split, Parts.of(reader, split))
    strategy = _checked(settings, source)
    train, val = _views(settings, source)
    with strategy.scope():
        model = make_network(settings, len(reader.index.classes))
        adam = keras.optimizers.Adam(settings.learning_rate)
        model.compile(adam, loss="categorical_crossentropy", metrics=["accuracy"])
    _describe(settings, source, model, strategy.num_replicas_in_sync, job.report)
    clips = _batches(settings, source, train), _batches(settings, source, val)
    result = Fit(model, *clips, settings, job.work / "fit", job.report).run()
    bundle = _write_bundle(job.outputs["model"], settings, source, result, job.report)
    numbers = {"epoch": result.best, "parameters": model.count_params()}
    job.metadata["model"] = {**bundle.metrics, **numbers}


def _checked(settings: TrainKerasSettings, source: Source) -> Any:
    """The strategy, where settings and inputs fit together."""
    reader, parts = source.reader, source.parts
    problems = [
        *clip_checks.origin_problems(reader, source.split),
        *clip_checks.part_problems(parts),
        *clip_checks.class_problems(reader, parts, "label each clip once, or use train_video"),
        *settings.size_problems(settings.input_size),
        *clip_checks.crop_problems(settings.input_size, reader, parts),
        *clip_checks.batch_problems(settings.batch_size, parts),
    ]
    strategy = None
    try:
        strategy = devices.prepare(settings)
    except InputError as error:
        problems.append(str(error))
    if strategy and not problems:
        shares = len(parts.train), settings.batch_size, strategy.num_replicas_in_sync
        problems += [text.replace("processes", "replicas") for text in share_problems(*shares)]
    if problems:
        raise SettingsError(problems, "train_keras")
    return strategy


def _views(settings: TrainKerasSettings, source: Source) -> tuple[ClipViews, ClipViews]:
    """Random views of the training clips, and the middle of the validation clips."""
    window, random = _window(settings), Augmentation(settings.seed)
    return (
        ClipViews(source.reader, source.parts.train, window, augmentation=random),
        ClipViews(source.reader, source.parts.val, window),
    )


def _window(settings: TrainKerasSettings) -> Window:
    return Window(settings.clip_frames, settings.clip_stride, settings.input_size)


def _batches(settings: TrainKerasSettings, source: Source, views: ClipViews) -> ClipBatches:
    classes = len(source.reader.index.classes)
    weights = None
    if settings.class_weighting == "balanced":
        weights = balanced_weights(views.targets, classes)
    return ClipBatches(views, classes, weights, settings.workers or usable_cpus())


def _describe(
    settings: TrainKerasSettings,
    source: Source,
    model: keras.Model,
    replicas: int,
    report: Reporter,
) -> None:
    parts, classes = source.parts, source.reader.index.classes
    report.message(
        f"{settings.network} with {model.count_params():,} parameters, {settings.clip_frames} "
        f"frames of {settings.input_size}x{settings.input_size}; {len(parts.train)} clips to "
        f"train, {len(parts.val)} to validate, {len(classes)} classes"
    )
    where = ", ".join(devices.device_names()) or "CPU"
    shares = f" in {replicas} replicas" if replicas > 1 else ""
    report.message(f"training on {where}{shares} in {keras.mixed_precision.dtype_policy().name}")
    if lost := clip_checks.lost_clips(source.reader, source.split):
        report.warn(f"{lost} clips of these parts have no frames and are left out")


def _write_bundle(
    directory: Path,
    settings: TrainKerasSettings,
    source: Source,
    result: FitResult,
    report: Reporter,
) -> ModelBundle:
    """Writes the best epoch in all formats, compared with one another, and the training log."""
    index = source.reader.index
    keras.mixed_precision.set_global_policy("float32")
    architecture = architecture_of(settings, len(index.classes))
    model = build(**architecture["arguments"])
    model.set_weights(result.weights)
    directory.mkdir()
    places = {name: directory / path for name, path in FORMATS.items()}
    report.message(f"exporting epoch {result.best} of {len(result.history)}")
    export.export_savedmodel(model, places["savedmodel"])
    export.export_onnx(model, places["onnx"])
    model.save(places["keras"])
    difference = export.verify(
        model, places["savedmodel"], places["onnx"], _clips(settings, source)
    )
    report.message(f"SavedModel, ONNX and Keras agree within {difference:.1e}")
    shutil.copytree(result.logs, directory / "log")
    row = result.history[result.best - 1]
    bundle = ModelBundle(
        fingerprint=digest([_weights_digest(result.weights), architecture, index.classes]),
        name=settings.network,
        formats=FORMATS,
        task="clip_classification",
        classes=index.classes,
        architecture=architecture,
        inputs=[
            Tensor(
                name=INPUT,
                dtype="float32",
                shape=[-1, *model.input_shape[1:]],
                layout="B,T,H,W,C",
                range=[0.0, 1.0],
                meaning="RGB",
            )
        ],
        outputs=[
            Tensor(
                name=OUTPUT,
                dtype="float32",
                shape=[-1, len(index.classes)],
                layout="B,K",
                meaning="probabilities",
            )
        ],
        preprocessing=_window(settings).preprocessing(index),
        training={**settings.model_dump(mode="json"), "epoch": result.best, **_origin(settings)},
        dataset=index.fingerprint,
        split=source.split.fingerprint,
        code_version=__version__,
        metrics={name: value for name, value in row.items() if name.startswith("val_")},
        curves=result.history,
    )
    bundle.save(directory)
    return bundle


def _origin(settings: TrainKerasSettings) -> dict[str, str]:
    path = settings.pretrained
    return {"pretrained_content": base.content(Path(path))} if path else {}


def _weights_digest(weights: list[NDArray[Any]]) -> str:
    """SHA-256 (hex) of the weights; files of exported models hold times and random names too."""
    found = hashlib.sha256()
    for value in weights:
        found.update(repr((value.shape, str(value.dtype))).encode())
        found.update(np.ascontiguousarray(value).tobytes())
    return found.hexdigest()


def _clips(settings: TrainKerasSettings, source: Source) -> NDArray[Any]:
    """Random and real clips to compare the exported models on, as the network takes them."""
    views = _views(settings, source)[1]
    frames = np.empty(views.shape(2), np.uint8)
    views.fill(0, [0, len(views) - 1], frames)
    noise = np.random.default_rng(0).uniform(0, 1, frames.shape)
    return np.concatenate([frames / 255.0, noise]).astype(np.float32)
