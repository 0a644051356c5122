"""The Kubeflow face of `dataset_sync`."""

from typing import Optional

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.core.docstrings import documented
from components.core.images import image
from components.dataset_sync.stage import STAGE


@dsl.component(base_image=image("data"), install_kfp_package=False)
@documented(STAGE)
def dataset_sync(
    source: str,
    clips: Output[Dataset],
    task: Optional[Input[Dataset]] = None,  # noqa: UP045
    layout: str = "folders",
    sources: list[str] = [],  # noqa: B006
    classes: list[str] = [],  # noqa: B006
    other_class: str = "",
    extensions: list[str] = [],  # noqa: B006
    class_rule: str = "folder",
    ignore_folders: list[str] = [],  # noqa: B006
    groups: str = "",
    segments: str = "",
    frame_rate: float = 30.0,
    mirror: bool = False,
    max_bad_fraction: float = 0.05,
    workers: int = 0,
    connections: int = 32,
) -> None:
    arguments = locals()
    from components.dataset_sync.stage import STAGE

    STAGE.run_component(arguments)
