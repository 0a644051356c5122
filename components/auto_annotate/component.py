"""The Kubeflow face of `auto_annotate`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.auto_annotate.stage import STAGE
from components.core.docstrings import documented
from components.core.images import image


@dsl.component(base_image=image("torch"), install_kfp_package=False)
@documented(STAGE)
def auto_annotate(
    model: Input[Model],
    evaluation: Input[Dataset],
    annotated: Output[Dataset],
    new_images: str = "",
    cvat_task: str = "",
    max_images: int = 0,
    score_threshold: float = 0.0,
    score_thresholds: str = "",
    overlap_iou: float = 0.1,
    overlap_per_class: bool = False,
    upload: bool = False,
    upload_to: str = "new",
    replace_automatic: bool = False,
    upload_name: str = "",
    upload_images: int = 0,
    share_prefix: str = "",
    pictures: int = 24,
    device: str = "auto",
    batch_size: int = 8,
    workers: int = 0,
) -> None:
    arguments = locals()
    from components.auto_annotate.stage import STAGE

    STAGE.run_component(arguments)
