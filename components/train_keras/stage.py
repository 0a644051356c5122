"""Trains a Keras network on frames of labelled clips and publishes the best one as a bundle.

The network is a ConvLSTM, or a backbone that sees each frame followed by attention or an LSTM over
time. The epoch with the best validation figure is kept. Training continues where it was, after a
stop or a kill, and on the CPU ends with the same weights. The bundle holds a SavedModel and an ONNX
model, both compared with the network, whose input is `time_distributed_input` and whose output is
`dense`: the probabilities of the classes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self
from zipfile import is_zipfile

from pydantic import Field, model_validator

from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError, TrainyardError
from components.core.settings import CONTENT, RUNTIME, Settings
from components.core.stage import Job, Stage

HDF5 = b"\x89HDF\r\n\x1a\n"
"""First bytes of such a file."""

SMALLEST = {"convlstm": 31, "attention": 32, "lstm": 32}
"""Network → the smallest side in pixels that its layers take."""


class TrainKerasSettings(Settings):
    """Settings of `train_keras`."""

    clip_frames: int = Field(20, ge=1, description="Frames of a clip that the network sees")
    clip_stride: int = Field(
        1, ge=1, description="Stored frames from one seen frame to the next; 1 sees all of them"
    )
    input_size: int = Field(
        0,
        ge=0,
        description="Side in pixels of the crop that the network sees; 0 for the frame_size that "
        "the frames were extracted with",
    )
    network: Literal["convlstm", "attention", "lstm"] = Field(
        "convlstm",
        description="convlstm: four ConvLSTM layers; or a backbone that sees each frame, followed "
        "by attention over time (attention) or an LSTM (lstm)",
    )
    backbone: Literal["efficientnetb0", "mobilenetv2", "mobilenetv3small", "resnet50"] = Field(
        "efficientnetb0", description="attention, lstm: the network that sees each frame"
    )
    units: int = Field(
        128, ge=1, le=4096, description="attention, lstm: width of the layer that looks along time"
    )
    pretrained: str = Field(
        "",
        description="Weights to start from: of the backbone (.weights.h5 or .h5, without its last "
        "layer), or of the whole network (.keras or a bundle folder); '' starts afresh",
        json_schema_extra=CONTENT,
    )
    freeze: bool = Field(False, description="Keep the pretrained backbone as it is")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout between the layers")
    recurrent_dropout: float = Field(
        0.2, ge=0, lt=1, description="convlstm: dropout from one frame to the next"
    )
    epochs: int = Field(50, ge=1, description="Passes over the training part, at most")
    shuffle_size: int = Field(
        0, ge=0, description="Clips in the shuffling buffer; 0 shuffles the whole training part"
    )
    batch_size: int = Field(8, ge=1, description="Clips per batch, over all GPUs")
    learning_rate: float = Field(1e-4, gt=0, description="Learning rate of Adam")
    class_weighting: Literal["", "balanced"] = Field(
        "", description="'balanced' gives rare classes more weight in the loss; '' treats all alike"
    )
    monitor: Literal["val_macro_f1", "val_accuracy", "val_loss"] = Field(
        "val_macro_f1", description="Validation figure that chooses the best epoch"
    )
    early_stop: int = Field(
        10, ge=0, description="End after so many epochs without a better one; 0 trains all epochs"
    )
    checkpoint_minutes: float = Field(
        10.0,
        gt=0,
        description="Longest time between saves of the state that a restart continues from",
        json_schema_extra=RUNTIME,
    )
    seed: int = Field(0, ge=0, description="Seed of everything that is random")
    deterministic: bool = Field(
        False, description="Only algorithms that repeat exactly on a GPU, which are slower"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="Arithmetic: auto is bf16 on a GPU that has it, otherwise fp32"
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="auto (all GPUs, if there are any), cpu, cuda or cuda:<number>",
        json_schema_extra=RUNTIME,
    )
    replicas: int = Field(
        0,
        ge=0,
        le=64,
        description="Devices that train together, each with its share of every batch; 0 for all "
        "visible GPUs, and one on the CPU",
        json_schema_extra=RUNTIME,
    )
    workers: int = Field(
        0,
        ge=0,
        description="Threads that read batches ahead; 0 for one per usable CPU",
        json_schema_extra=RUNTIME,
    )

    def size_problems(self, input_size: int) -> list[str]:
        """What is wrong where clips of this side in pixels come in."""
        smallest = SMALLEST[self.network]
        if input_size >= smallest:
            return []
        return [
            f"input_size: {input_size} is too small for network {self.network!r}, whose layers "
            f"leave nothing of it; use at least {smallest}"
        ]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = self.size_problems(self.input_size) if self.input_size else []
        if self.freeze and not self.pretrained:
            problems.append("freeze: it would keep random weights; give pretrained as well")
        if self.freeze and self.network == "convlstm":
            problems.append("freeze: network 'convlstm' has no backbone; leave it out")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def check(settings: TrainKerasSettings) -> list[TrainyardError]:
    """Problems with files outside the inputs."""
    try:
        problem = _pretrained_problem(Path(settings.pretrained), settings.network)
    except InputError as error:
        problem = str(error)
    return [InputError(f"pretrained: {problem}")] if settings.pretrained and problem else []


def _pretrained_problem(path: Path, network: str) -> str:
    """Why weights of this network cannot come from there, as far as that is seen at a glance."""
    if path.is_dir():
        bundle = ModelBundle.load(path)
        bundle.file(path, "keras")
        if bundle.name == network:
            return ""
        return f"{path} is a {bundle.name}, but {network} is to be trained; choose that network"
    if not path.exists():
        return f"{path} does not exist; give a file or bundle folder"
    if path.suffix == ".keras":
        return "" if is_zipfile(path) else f"{path} is damaged: no file that Keras has written"
    if path.suffix != ".h5":
        return f"{path}: accepted are .keras, .weights.h5 and .h5 files, and bundle folders"
    if network == "convlstm":
        return (
            f"{path} is not a whole network; network 'convlstm' has no backbone, so give a .keras "
            "file or a bundle folder"
        )
    with open(path, "rb") as file:
        return "" if file.read(8) == HDF5 else f"{path} is damaged: no HDF5 file"


def train_keras(settings: TrainKerasSettings, job: Job) -> None:
    """Reads `frames` and `split`, writes `model`.

    Raises:
        SettingsError: settings and inputs that do not fit together, all at once.
        StoppedError: a signal asked to stop; the state is saved.
        TrainyardError: training diverged, or an exported model computes something else.
    """
    # Read when TensorFlow is loaded; it fills the log with what is no error, and raises what is.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    from components.train_keras.training import run

    run(settings, job)


STAGE = Stage(
    name="train_keras",
    settings=TrainKerasSettings,
    function=train_keras,
    inputs={
        "frames": "FrameDataset with the clips' frames",
        "split": "Split that says which clips train and which validate",
        "study": "Study whose best settings take the place of those given (optional)",
    },
    outputs={"model": "ModelBundle of the best epoch, with the training log"},
    check=check,
)
