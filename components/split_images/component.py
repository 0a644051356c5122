"""The Kubeflow face of `split_images`."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Output

from components.core.docstrings import documented
from components.core.images import image
from components.split_images.stage import STAGE


@dsl.component(base_image=image("torch"), install_kfp_package=False)
@documented(STAGE)
def split_images(
    dataset: Input[Dataset],
    split: Output[Dataset],
    report: Output[HTML],
    strategy: str = "groups",
    train_size: float = 0.0,
    val_size: float = 0.15,
    test_size: float = 0.15,
    published_test: bool = True,
    allow_missing: bool = False,
    folds: int = 0,
    fold: int = 0,
    group_by: str = "group",
    group_pattern: str = "",
    frame_window: int = 0,
    frame_gap: int = 0,
    seed: int = 0,
    embedding_backbone: str = "resnet18",
    embedding_weights: str = "",
    embedding_size: int = 128,
    clusters: int = 8,
    tsne_boxes: int = 5000,
    embedding_batch: int = 64,
    device: str = "auto",
    workers: int = 0,
) -> None:
    arguments = locals()
    from components.split_images.stage import STAGE

    STAGE.run_component(arguments)
