"""The Kubeflow face of `annotation_sync`."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Output

from components.annotation_sync.stage import STAGE
from components.core.docstrings import documented
from components.core.images import image


@dsl.component(base_image=image("data"), install_kfp_package=False)
@documented(STAGE)
def annotation_sync(
    dataset: Output[Dataset],
    report: Output[HTML],
    origin: str = "files",
    annotations: str = "",
    format: str = "auto",
    images: str = "",
    one_based: bool = False,
    database: bool = False,
    remove_vanished: bool = False,
    tasks: list[str] = [],  # noqa: B006
    task_status: str = "completed",
    classes: list[str] = [],  # noqa: B006
    merge_classes: list[str] = [],  # noqa: B006
    ignored_classes: list[str] = [],  # noqa: B006
    excluded_images: list[str] = [],  # noqa: B006
    full_hd: bool = False,
    crop_quality: int = 0,
    keep_empty: bool = True,
    strict: bool = False,
    connections: int = 32,
) -> None:
    arguments = locals()
    from components.annotation_sync.stage import STAGE

    STAGE.run_component(arguments)
