"""The Kubeflow face of `triton_publish`."""

from typing import Optional

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.triton_publish.stage import STAGE


@dsl.component(base_image=image("torch"), install_kfp_package=False)
@documented(STAGE)
def triton_publish(
    model: Input[Model],
    evaluation: Input[Dataset],
    published: Output[Artifact],
    task: Optional[Input[Dataset]] = None,  # noqa: UP045 - kfp reads no other form
    model_name: str = "",
    repository: str = "",
    serve_as: str = "auto",
    keep_versions: int = 0,
    max_batch_size: int = 8,
    instances: int = 0,
    instance_kind: str = "auto",
    instance_gpus: list[int] = [],  # noqa: B006
    triton_url: str = "",
    triton_timeout: float = 120.0,
) -> None:
    arguments = locals()
    from components.triton_publish.stage import STAGE

    STAGE.run_component(arguments)
