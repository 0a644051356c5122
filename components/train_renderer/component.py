"""The Kubeflow face of `train_renderer`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.train_renderer.stage import STAGE


@dsl.component(base_image=image("torch"), install_kfp_package=False)
@documented(STAGE)
def train_renderer(
    frames: Input[Dataset],
    model: Output[Model],
    results: Output[Dataset],
    run_name: str = "",
    input_width: int = 512,
    input_height: int = 512,
    crop_width: int = 0,
    crop_height: int = 0,
    flip: bool = True,
    exposure: float = 0.0,
    aux_dropout: float = 0.0,
    aux_shuffle: bool = False,
    in_gt_frame_amount: int = 4,
    feature_amount_current: int = 8,
    feature_amount_gt: int = 12,
    feature_extraction_depth: int = 0,
    mask_warped: bool = True,
    warp_rgbd: bool = True,
    extract_lowres_features: bool = True,
    reweight_with_low_res: bool = False,
    conv_block_extraction_pr: str = "gated",
    conv_block_extraction_gt: str = "gated",
    conv_block_reweighting: str = "basic",
    conv_block_reconstruction: str = "gated",
    upsample_mode: str = "bilinear",
    pooling_mode: str = "max",
    feature_scale: int = 4,
    filter_sizes: list[int] = [32, 32, 32, 32, 32],  # noqa: B006
    fe_current_filter_base: int = 32,
    fe_gt_filter_base: int = 16,
    disable_reweighting: bool = False,
    normalization: str = "batch",
    sampling: str = "nearest",
    reweight_with_validity: bool = False,
    pretrained: str = "",
    resume_from: str = "",
    loss_function: str = "",
    vgg_weights: str = "",
    epochs: int = 1001,
    batch_size: int = 2,
    accumulate: int = 1,
    optimizer: str = "adam",
    learning_rate: float = 0.0005,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    schedule: str = "plateau",
    warmup_epochs: float = 0.0,
    milestones: list[float] = [],  # noqa: B006
    step_size: int = 0,
    gamma: float = 0.75,
    patience: int = 10,
    cooldown: int = 25,
    lowest_rate: float = 5e-05,
    gradient_clip: float = 0.0,
    ema: float = 0.0,
    monitor: str = "val_loss",
    early_stop: int = 0,
    keep_every: int = 0,
    write_output_nth_epoch: int = 100,
    output_images: int = 8,
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
    from components.train_renderer.stage import STAGE

    STAGE.run_component(arguments)
