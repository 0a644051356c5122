"""The Kubeflow face of `train_detector`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.train_detector.stage import STAGE


@dsl.component(base_image=image("torch"), install_kfp_package=False)
@documented(STAGE)
def train_detector(
    dataset: Input[Dataset],
    split: Input[Dataset],
    study: Input[Dataset],
    model: Output[Model],
    variants: str = "resnet18",
    variant_settings: str = "",
    network: str = "faster_rcnn",
    v2: bool = False,
    channels: int = 256,
    min_size: int = 800,
    max_size: int = 1333,
    tile_size: int = 0,
    tile_overlap: int = 0,
    anchor_sizes: list[float] = [],  # noqa: B006
    aspect_ratios: list[float] = [],  # noqa: B006
    pretrained: str = "",
    trainable_layers: int = 5,
    batch_norm: str = "auto",
    negatives: bool = True,
    epochs: int = 30,
    batch_size: int = 8,
    accumulate: int = 1,
    optimizer: str = "sgd",
    learning_rate: float = 0.01,
    weight_decay: float = 0.0001,
    momentum: float = 0.9,
    schedule: str = "cosine",
    warmup_epochs: float = 1.0,
    milestones: list[float] = [],  # noqa: B006
    milestone_unit: str = "epoch",
    step_size: int = 5,
    gamma: float = 0.1,
    gradient_clip: float = 10.0,
    flip: bool = True,
    flip_vertical: bool = False,
    photometric: bool = True,
    scale_jitter: float = 0.0,
    crop: bool = False,
    ema: float = 0.0,
    monitor: str = "val_map",
    early_stop: int = 0,
    keep_every: int = 0,
    checkpoint_minutes: float = 10.0,
    min_score: float = 0.05,
    nms_iou: float = 0.5,
    max_boxes: int = 100,
    seed: int = 0,
    deterministic: bool = False,
    precision: str = "auto",
    device: str = "auto",
    processes: int = 0,
    workers: int = 0,
    channels_last: bool = True,
) -> None:
    arguments = locals()
    from components.train_detector.stage import STAGE

    STAGE.run_component(arguments)
