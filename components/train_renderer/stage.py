"""Trains the INOVIS network, which renders photographs from points and nearby photographs.

The epoch with the best validation figure is kept, the last one too, and on request a series; each
comes with a TorchScript trace for the viewer that was reloaded and compared, the best one with an
ONNX model, too. Training continues where it was, after a stop or a kill, and ends with the same
weights. The old command line (`run_name -batch_size=2 --upsample_mode=bilinear`) is understood.

Frames are independent of each other: the viewer's mode that shows a network its last picture in
place of the nearest photograph is not trained for; aux_dropout and aux_shuffle prepare for
photographs that come and go.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from components.core.errors import InputError, TrainyardError
from components.core.models.inovis_options import MULTIPLE, network_problems
from components.core.settings import CONTENT, RUNTIME, Settings
from components.core.stage import Job, Stage
from components.core.training.options import milestone_problems, step_problems
from components.core.training.rendering_loss_names import chosen_loss, loss_problems, needs_vgg

FIXED = {"in_channels_current": [4, 4, 4, 4], "in_channels_gt": 4, "out_channels": 3}
"""Arguments of the network that the data sets: colour and depth in, colour out."""

NETWORK = (
    "in_gt_frame_amount",
    "feature_amount_current",
    "feature_amount_gt",
    "feature_extraction_depth",
    "mask_warped",
    "warp_rgbd",
    "extract_lowres_features",
    "reweight_with_low_res",
    "conv_block_extraction_pr",
    "conv_block_extraction_gt",
    "conv_block_reweighting",
    "conv_block_reconstruction",
    "upsample_mode",
    "pooling_mode",
    "feature_scale",
    "filter_sizes",
    "fe_current_filter_base",
    "fe_gt_filter_base",
    "disable_reweighting",
    "normalization",
    "sampling",
    "reweight_with_validity",
)
"""Settings that are arguments of the network."""

NAME_VARIABLE = "TRAINYARD_TRAINING_NAME"
"""Environment variable with the whole name of a training, in place of its date and run_name."""

LONGEST_NAME = 100
"""Bytes of run_name."""

Block = Literal["gated", "basic"]


class TrainRendererSettings(Settings):
    """Settings of `train_renderer`; those of the network are called as in INOVIS."""

    run_name: str = Field(
        "", description="Name of the training; with its date it is that of the traces"
    )
    input_width: int = Field(
        512,
        ge=0,
        description="Pixels of the middle of each frame that is validated; 0 for all of it",
    )
    input_height: int = Field(512, ge=0, description="The same downwards")
    crop_width: int = Field(
        0, ge=0, description="Pixels of the crops that are trained with; 0 for half the input_width"
    )
    crop_height: int = Field(0, ge=0, description="The same downwards; 0 for half the input_height")
    flip: bool = Field(True, description="Mirror half of the crops")
    exposure: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Largest change of brightness of a crop and its photographs, such as 0.2",
    )
    aux_dropout: float = Field(
        0.0, ge=0, lt=1, description="Chance of each photograph but one to be left out of a crop"
    )
    aux_shuffle: bool = Field(False, description="Give the photographs of a crop in random order")
    in_gt_frame_amount: int = Field(
        4, ge=1, le=6, description="Nearby photographs that the network sees"
    )
    feature_amount_current: int = Field(8, ge=1, description="Features of each level of the points")
    feature_amount_gt: int = Field(12, ge=1, description="Features of each photograph")
    feature_extraction_depth: int = Field(
        0, ge=0, le=3, description="Halvings of the photographs' features (deprecated)"
    )
    mask_warped: bool = Field(
        True,
        description="Set what no point was drawn at to 0 in the warped photographs, as it is in "
        "training; without it the viewer shows the middle of the photographs there",
    )
    warp_rgbd: bool = Field(True, description="Warp colours and depth along with the features")
    extract_lowres_features: bool = Field(
        True, description="Extract features of the lower levels, too"
    )
    reweight_with_low_res: bool = Field(
        False, description="Show the lowest level to what weighs the photographs"
    )
    conv_block_extraction_pr: Block = Field(
        "gated", description="Blocks that look at the points: gated or basic"
    )
    conv_block_extraction_gt: Block = Field(
        "gated", description="Blocks that look at the photographs: gated or basic"
    )
    conv_block_reweighting: Block = Field(
        "basic", description="Blocks that weigh the photographs: gated or basic"
    )
    conv_block_reconstruction: Block = Field(
        "gated", description="Blocks of the U-Net: gated or basic"
    )
    upsample_mode: Literal["bilinear", "deconv"] = Field(
        "bilinear", description="How the U-Net enlarges: bilinear or deconv"
    )
    pooling_mode: Literal["max", "avg"] = Field(
        "max", description="How the U-Net shrinks: max or avg"
    )
    feature_scale: int = Field(
        4, ge=1, description="Divisor of the U-Net's usual filters where filter_sizes is []"
    )
    filter_sizes: list[int] = Field(
        [32, 32, 32, 32, 32], description="Filters of the U-Net's five levels; [] for the usual"
    )
    fe_current_filter_base: int = Field(
        32, ge=1, description="Filters inside what looks at the points"
    )
    fe_gt_filter_base: int = Field(
        16, ge=1, description="Filters inside what looks at the photographs"
    )
    disable_reweighting: bool = Field(False, description="Take all photographs as equally good")
    normalization: Literal["batch", "group"] = Field(
        "batch", description="batch, as published; or group, which no batch is too small for"
    )
    sampling: Literal["nearest", "bilinear"] = Field(
        "nearest", description="How photographs are looked up: nearest, as published, or bilinear"
    )
    reweight_with_validity: bool = Field(
        False, description="Also show to what weighs the photographs where each shows anything"
    )
    pretrained: str = Field(
        "",
        description="Fine-tune: weights to start from, everything else is new; a bundle or results "
        "folder, .safetensors, .pt, or an old model_zoo.pth; '' starts afresh",
        json_schema_extra=CONTENT,
    )
    resume_from: str = Field(
        "",
        description="Resume: the results folder of a training that goes on with its optimizer, "
        "epoch and history; only epochs may be others; '' starts afresh",
        json_schema_extra=CONTENT,
    )
    loss_function: str = Field(
        "",
        description="INOVIS, XIAO, VGG, MSE, L1, SSIM, Spectral or L1_SSIM; '' is INOVIS with "
        "vgg_weights, and L1_SSIM without",
    )
    vgg_weights: str = Field(
        "",
        description="ImageNet weights of VGG-16 (.pth as torchvision has them, or .safetensors), "
        "which VGG, XIAO and INOVIS need",
        json_schema_extra=CONTENT,
    )
    epochs: int = Field(1001, ge=1, description="Passes over the training part, at most")
    batch_size: int = Field(2, ge=1, description="Crops per batch, over all GPUs")
    accumulate: int = Field(1, ge=1, description="Batches per optimizer step")
    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        "adam", description="adamw, adam or sgd (with plain momentum)"
    )
    learning_rate: float = Field(5e-4, gt=0, description="Highest learning rate")
    weight_decay: float = Field(0.0, ge=0, description="Weight decay")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of sgd")
    schedule: Literal["plateau", "cosine", "multistep", "step", "constant"] = Field(
        "plateau",
        description="Learning rate after the warm-up: plateau (times gamma where the validation "
        "loss no longer falls), cosine to 0, multistep (times gamma at each of the milestones), "
        "step (times gamma every step_size epochs) or constant",
    )
    warmup_epochs: float = Field(0.0, ge=0, description="Epochs over which the rate rises")
    milestones: list[float] = Field([], description="Epochs at which multistep lowers the rate")
    step_size: int = Field(0, ge=0, description="Epochs after which step lowers the rate")
    gamma: float = Field(
        0.75, gt=0, lt=1, description="What plateau, multistep and step multiply by"
    )
    patience: int = Field(
        10, ge=0, description="Epochs without a lower validation loss that plateau lets pass"
    )
    cooldown: int = Field(25, ge=0, description="Epochs after a change before plateau counts again")
    lowest_rate: float = Field(5e-5, ge=0, description="plateau goes no lower")
    gradient_clip: float = Field(
        0.0, ge=0, description="Largest norm of the gradient; 0 for no limit"
    )
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of a moving average of the weights, such as 0.999, which is then "
        "validated and kept; 0 for none",
    )
    monitor: Literal["val_loss", "val_psnr", "val_ssim"] = Field(
        "val_loss", description="Validation figure that chooses the best epoch"
    )
    early_stop: int = Field(
        0, ge=0, description="End after so many epochs without a better one; 0 trains all epochs"
    )
    keep_every: int = Field(
        0, ge=0, description="Also keep the network of every so many epochs; 0 for best and last"
    )
    write_output_nth_epoch: int = Field(
        100, ge=0, description="Epochs between pictures of the results, with the last; 0 for none"
    )
    output_images: int = Field(8, ge=1, description="Validation frames in those pictures, at most")
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
        description="Processes that load crops for each training process; 0 for its share of the "
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = milestone_problems(self.schedule, self.milestones, "epoch", self.epochs)
        problems += step_problems(self.schedule, self.step_size)
        problems += self._size_problems()
        problems += network_problems(self.architecture["arguments"] | {"output_warped": False})
        long = len(self.run_name.encode()) > LONGEST_NAME
        if self.run_name and (long or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.run_name)):
            problems.append(
                f"run_name: got {self.run_name!r}, accepted are up to {LONGEST_NAME} bytes of "
                "letters, digits, '.', '_' and '-' that begin with a letter or digit (a to z, 0 to "
                "9): the viewer's list of networks takes no spaces"
            )
        problems += loss_problems(self.loss_function, self.vgg_weights)
        if self.pretrained and self.resume_from:
            problems.append(
                "pretrained, resume_from: give one of them: pretrained starts a new training from "
                "weights, resume_from goes on with an old one"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _size_problems(self) -> list[str]:
        names = ("input_width", "input_height", "crop_width", "crop_height")
        sizes = {name: getattr(self, name) for name in names}
        problems = [
            f"{name}: {size} is no multiple of {MULTIPLE}; use {_nearest(size)}"
            for name, size in sizes.items()
            if size % MULTIPLE
        ]
        for side in ("width", "height"):
            whole, crop = sizes[f"input_{side}"], sizes[f"crop_{side}"]
            if whole and not whole % MULTIPLE and not crop and (whole // 2) % MULTIPLE:
                problems.append(
                    f"crop_{side}: half the input_{side} of {whole} is no multiple of {MULTIPLE}; "
                    f"give one, such as {_nearest(whole // 2)}"
                )
            if not whole and not crop:
                problems.append(
                    f"crop_{side}: input_{side} is 0, so there is no half of it; give a number, "
                    "such as 256"
                )
        return problems

    @property
    def architecture(self) -> dict[str, Any]:
        """Builder name and arguments of the network."""
        own = {name: getattr(self, name) for name in NETWORK}
        return {"name": "inovis", "arguments": {**FIXED, **own}}

    @property
    def crop(self) -> tuple[int, int]:
        """Width and height of training crops, pixels."""
        return self.crop_width or self.input_width // 2, self.crop_height or self.input_height // 2

    @property
    def loss_name(self) -> str:
        """The loss that is trained with."""
        return chosen_loss(self.loss_function, self.vgg_weights)[0]


def _nearest(size: int) -> int:
    return int(MULTIPLE * max(round(size / MULTIPLE), 1))


def check(settings: TrainRendererSettings) -> list[TrainyardError]:
    """Problems with files outside the inputs; weights of VGG-16 are read."""
    given = {
        "pretrained": settings.pretrained,
        "resume_from": settings.resume_from,
        "vgg_weights": settings.vgg_weights,
    }
    problems: list[TrainyardError] = [
        InputError(f"{name}: {path} does not exist; give a file or folder")
        for name, path in given.items()
        if path and not Path(path).exists()
    ]
    weights = settings.vgg_weights
    if weights and Path(weights).exists() and needs_vgg(settings.loss_name):
        from components.core.models.vgg_features import VggFeatures

        try:
            VggFeatures(weights)
        except InputError as error:
            problems.append(error)
    return problems


def train_renderer(settings: TrainRendererSettings, job: Job) -> None:
    """Reads `frames`, writes `model` and `results`.

    Raises:
        SettingsError: settings and inputs that do not fit together, all at once.
        StoppedError: a signal asked to stop; the state is saved.
        TrainyardError: training diverged, or a trace computes something else.
    """
    # Read when torch loads its threads, see train_video.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from components.train_renderer.training import run

    run(settings, job)


STAGE = Stage(
    name="train_renderer",
    settings=TrainRendererSettings,
    function=train_renderer,
    inputs={"frames": "RenderingDataset with points, photographs and lookup coordinates"},
    outputs={
        "model": "ModelBundle of the best epoch, with the last one and the training log",
        "results": "folder with out_results, out_checkpoints and out_runs",
    },
    check=check,
)
