"""The Kubeflow face of `triton_publish`."""

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
    model_name: str = "",
    repository: str = "",
    keep_versions: int = 0,
    max_batch_size: int = 8,
    triton_url: str = "",
    triton_timeout: float = 120.0,
) -> None:
    arguments = locals()
    from components.triton_publish.stage import STAGE

    STAGE.run_component(arguments)
