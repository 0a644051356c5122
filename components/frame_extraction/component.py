"""The Kubeflow face of `frame_extraction`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.core.docstrings import documented
from components.core.images import image
from components.frame_extraction.stage import STAGE


@dsl.component(base_image=image("data"), install_kfp_package=False)
@documented(STAGE)
def frame_extraction(
    clips: Input[Dataset],
    frames: Output[Dataset],
    sampling: str = "uniform",
    sample_frames: int = 32,
    sample_fps: float = 12.5,
    resize: str = "stretch",
    frame_size: int = 112,
    crop_margin: int = 16,
    storage: str = "jpeg",
    jpeg_quality: int = 90,
    max_bad_fraction: float = 0.05,
    clip_timeout: float = 120.0,
    shard_mb: int = 64,
    workers: int = 0,
) -> None:
    arguments = locals()
    from components.frame_extraction.stage import STAGE

    STAGE.run_component(arguments)
