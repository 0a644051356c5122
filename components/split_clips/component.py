"""The Kubeflow face of `split_clips`."""

from typing import Optional

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.core.docstrings import documented
from components.core.images import image
from components.split_clips.stage import STAGE


@dsl.component(base_image=image("data"), install_kfp_package=False)
@documented(STAGE)
def split_clips(
    clips: Input[Dataset],
    split: Output[Dataset],
    task: Optional[Input[Dataset]] = None,  # noqa: UP045
    train_size: float = 0.0,
    val_size: float = 0.15,
    test_size: float = 0.15,
    published_test: bool = True,
    allow_missing: bool = False,
    spread: bool = False,
    allow_short: bool = False,
    folds: int = 0,
    fold: int = 0,
    seed: int = 0,
) -> None:
    arguments = locals()
    from components.split_clips.stage import STAGE

    STAGE.run_component(arguments)
