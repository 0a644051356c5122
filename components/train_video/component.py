"""The Kubeflow face of `train_video`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.train_video.stage import STAGE


@dsl.component(base_image=image("torch"), install_kfp_package=False)
@documented(STAGE)
def train_video(
    frames: Input[Dataset],
    split: Input[Dataset],
    study: Input[Dataset],
    model: Output[Model],
    clip_frames: int = 32,
    clip_stride: int = 1,
    input_size: int = 0,
    network: str = "i3d",
    target_size: int = 112,
    resblocks: int = 1,
    read_at: int = 0,
    apply_at: int = 7,
    width: float = 1.0,
    multi_label: bool = False,
    dropout: float = 0.5,
    pretrained: str = "",
    pretrained_resizer: str = "",
    freeze: str = "",
    epochs: int = 30,
    batch_size: int = 8,
    accumulate: int = 1,
    optimizer: str = "adamw",
    learning_rate: float = 0.001,
    weight_decay: float = 0.0001,
    momentum: float = 0.9,
    schedule: str = "cosine",
    warmup_epochs: float = 1.0,
    milestones: list[float] = [],  # noqa: B006
    milestone_unit: str = "epoch",
    gradient_clip: float = 0.0,
    label_smoothing: float = 0.0,
    localisation: float = 0.0,
    class_weighting: str = "",
    flip: bool = False,
    flip_pairs: str = "",
    ema: float = 0.0,
    monitor: str = "val_macro_f1",
    early_stop: int = 0,
    keep_every: int = 0,
    checkpoint_minutes: float = 10.0,
    seed: int = 0,
    deterministic: bool = False,
    precision: str = "auto",
    device: str = "auto",
    processes: int = 0,
    workers: int = 0,
    channels_last: bool = True,
    compile: bool = False,
) -> None:
    arguments = locals()
    from components.train_video.stage import STAGE

    STAGE.run_component(arguments)
