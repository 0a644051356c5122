"""The Kubeflow face of `dataset_sync`."""

from kfp import dsl
from kfp.dsl import Dataset, Output

from components.core.docstrings import documented
from components.core.images import image
from components.dataset_sync.stage import STAGE


@dsl.component(base_image=image("data"), install_kfp_package=False)
@documented(STAGE)
def dataset_sync(
    source: str,
    clips: Output[Dataset],
    layout: str = "folders",
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
