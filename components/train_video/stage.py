"""Trains I3D on frames of labelled clips and publishes the best network as a bundle.

The epoch with the best validation figure is kept, the last one too, and on request a series.
Training continues where it was, after a stop or a kill, and ends with the same weights. The bundle
holds safetensors weights and an ONNX model that was compared with them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from components.core.errors import InputError, TrainyardError
from components.core.models.sizes import Network, network_problems, point_problems
from components.core.settings import CONTENT, RUNTIME, Settings
from components.core.stage import Job, Stage
from components.core.training.options import milestone_problems

ANY_SIZE = 64
"""Side in pixels that every network takes, while the real one is not known."""


class TrainSettings(Settings):
    """Settings of `train_video`."""

    clip_frames: int = Field(32, ge=8, description="Frames of a clip that the network sees")
    clip_stride: int = Field(
        1, ge=1, description="Stored frames from one seen frame to the next; 1 sees all of them"
    )
    input_size: int = Field(
        0,
        ge=0,
        description="Side in pixels of the crop that the network sees; 0 for the frame_size that "
        "the frames were extracted with",
    )
    network: Network = Field(
        "i3d",
        description="i3d; or I3D behind something that enlarges small clips to target_size: a "
        "resizer network (resizer_2d, resizer_3d), a spatial transformer and a resizer network "
        "(stn_resizer_2d, stn_resizer_3d), a resizer network with the transformer inside "
        "(transformer_resizer, or its earlier form transformer_resizer_3d), or plain "
        "interpolation (trilinear)",
    )
    target_size: int = Field(
        112, ge=16, le=1024, description="Side in pixels that small clips are enlarged to for I3D"
    )
    resblocks: int = Field(
        1, ge=1, le=16, description="Residual blocks of the resizer network; the study used 1 to 4"
    )
    read_at: int = Field(
        0,
        ge=0,
        le=8,
        description="transformer_resizer: where the transformation is read, from 0 (input) to 8 "
        "(output)",
    )
    apply_at: int = Field(
        7,
        ge=0,
        le=8,
        description="transformer_resizer: where the transformation is applied; not before read_at",
    )
    width: float = Field(
        1.0, gt=0, le=4, description="Factor on the channels of every layer; 0.25 suits a laptop"
    )
    multi_label: bool = Field(
        False, description="Clips may have several labels: sigmoid per class instead of softmax"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="Dropout before the last layer")
    pretrained: str = Field(
        "",
        description="Weights to start from, of I3D or of the whole network: .pt, .safetensors or "
        "a bundle folder; '' starts afresh",
        json_schema_extra=CONTENT,
    )
    pretrained_resizer: str = Field(
        "",
        description="Weights of the resizer network to start from: .pt, .safetensors or a bundle "
        "folder; '' starts afresh",
        json_schema_extra=CONTENT,
    )
    freeze: str = Field(
        "",
        description="What of I3D keeps its pretrained weights: '' nothing, 'backbone' all but the "
        "last layer, or a layer's name such as Mixed_4f: everything up to it",
    )
    epochs: int = Field(30, ge=1, description="Passes over the training part, at most")
    batch_size: int = Field(8, ge=1, description="Clips per batch, over all GPUs")
    accumulate: int = Field(1, ge=1, description="Batches per optimizer step")
    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        "adamw", description="adamw, adam or sgd (with plain momentum)"
    )
    learning_rate: float = Field(1e-3, gt=0, description="Highest learning rate")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of sgd")
    schedule: Literal["cosine", "multistep", "constant"] = Field(
        "cosine",
        description="Learning rate after the warm-up: cosine to 0, multistep (a tenth at each of "
        "the milestones) or constant",
    )
    warmup_epochs: float = Field(1.0, ge=0, description="Epochs over which the rate rises")
    milestones: list[float] = Field(
        [], description="Epochs, or optimizer steps, at which multistep lowers the rate"
    )
    milestone_unit: Literal["epoch", "step"] = Field(
        "epoch", description="What milestones count: epoch, or (optimizer) step"
    )
    gradient_clip: float = Field(
        0.0, ge=0, description="Largest norm of the gradient; 0 for no limit"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of each target that is spread over all classes"
    )
    localisation: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the loss that is on the labels of each frame, for clips with time "
        "segments (0.5 in the published recipe of I3D on Charades); needs multi_label",
    )
    class_weighting: Literal["", "balanced"] = Field(
        "", description="'balanced' gives rare classes more weight in the loss; '' treats all alike"
    )
    flip: bool = Field(
        False,
        description="Mirror half of the clips; off by default because it destroys classes that "
        "differ by direction (see flip_pairs)",
    )
    flip_pairs: str = Field(
        "",
        description="Classes that mirroring exchanges, such as turning_left=turning_right; several "
        "with commas between them",
    )
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of a moving average of the weights, such as 0.999, which is then "
        "validated and kept; 0 for none",
    )
    monitor: Literal["val_macro_f1", "val_micro_f1", "val_accuracy", "val_loss"] = Field(
        "val_macro_f1", description="Validation figure that chooses the best epoch"
    )
    early_stop: int = Field(
        0, ge=0, description="End after so many epochs without a better one; 0 trains all epochs"
    )
    keep_every: int = Field(
        0, ge=0, description="Also keep the network of every so many epochs; 0 for best and last"
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
        description="auto (a GPU if there is one), cpu, cuda or cuda:<number>",
        json_schema_extra=RUNTIME,
    )
    processes: int = Field(
        0,
        ge=0,
        description="Training processes on this machine, one per GPU; 0 for one per visible GPU, "
        "and a single one on the CPU. Each takes its share of every batch",
        json_schema_extra=RUNTIME,
    )
    workers: int = Field(
        0,
        ge=0,
        description="Processes that load clips for each training process; 0 for its share of the "
        "usable CPUs beside a GPU, and none when training on the CPU",
        json_schema_extra=RUNTIME,
    )
    channels_last: bool = Field(
        True, description="Channels-last memory format", json_schema_extra=RUNTIME
    )
    compile: bool = Field(
        False,
        description="Compile the network (torch.compile): minutes at the start, faster after",
        json_schema_extra=RUNTIME,
    )

    @field_validator("flip_pairs", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if isinstance(value, str):  # a list in brackets is one too
            value = [pair for pair in value.strip("[] ").split(",") if pair.strip()]
        if not isinstance(value, list):
            return value
        pairs = [str(pair).strip() for pair in value]
        bad = [pair for pair in pairs if len([s for s in pair.split("=") if s.strip()]) != 2]
        if bad:
            raise ValueError(f"expected pairs like turning_left=turning_right, not {bad}")
        return ", ".join(pairs)

    def size_problems(self, input_size: int) -> list[str]:
        """What is wrong with sizes and points, where clips of this side in pixels come in."""
        return network_problems(
            self.network,
            input_size,
            self.target_size,
            self.clip_frames,
            self.read_at,
            self.apply_at,
        )

    @property
    def mirrored(self) -> list[str]:
        """The pairs of `flip_pairs`, one by one."""
        return self.flip_pairs.split(", ") if self.flip_pairs else []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = milestone_problems(
            self.schedule, self.milestones, self.milestone_unit, self.epochs
        )
        if self.flip_pairs and not self.flip:
            problems.append("flip_pairs: they have no effect without flip: true")
        if self.freeze and not self.pretrained:
            problems.append(
                f"freeze: {self.freeze!r} would freeze random weights; give pretrained as well"
            )
        problems += self.size_problems(self.input_size or ANY_SIZE)
        if self.network != "transformer_resizer":
            problems += point_problems(self.read_at, self.apply_at, ANY_SIZE, (ANY_SIZE, ANY_SIZE))
        if self.pretrained_resizer and self.network in ("i3d", "trilinear"):
            problems.append(
                f"pretrained_resizer: network {self.network!r} has no resizer network; choose "
                "another network, or give weights of I3D as pretrained"
            )
        if self.localisation and not self.multi_label:
            problems.append("localisation: it has no effect without multi_label: true")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def check(settings: TrainSettings) -> list[TrainyardError]:
    """Problems with files outside the inputs."""
    given = {"pretrained": settings.pretrained, "pretrained_resizer": settings.pretrained_resizer}
    return [
        InputError(f"{name}: {path} does not exist; give a file or bundle folder")
        for name, path in given.items()
        if path and not Path(path).exists()
    ]


def train_video(settings: TrainSettings, job: Job) -> None:
    """Reads `frames` and `split`, writes `model`.

    Raises:
        SettingsError: settings and inputs that do not fit together, all at once.
        StoppedError: a signal asked to stop; the state is saved.
        TrainyardError: training diverged, or the exported model computes something else.
    """
    # Read when torch loads its threads: spinning while waiting makes them several times slower
    # as soon as anything else runs on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from components.train_video.training import run

    run(settings, job)


STAGE = Stage(
    name="train_video",
    settings=TrainSettings,
    function=train_video,
    inputs={
        "frames": "FrameDataset with the clips' frames",
        "split": "Split that says which clips train and which validate",
        "study": "Study whose best settings take the place of those given (optional)",
    },
    outputs={"model": "ModelBundle of the best epoch, with the last one and the training log"},
    check=check,
)
