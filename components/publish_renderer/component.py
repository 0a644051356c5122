"""The Kubeflow face of `publish_renderer`."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.publish_renderer.stage import STAGE


@dsl.component(base_image=image("torch"), install_kfp_package=False)
@documented(STAGE)
def publish_renderer(
    model: Input[Model],
    evaluation: Input[Dataset],
    published: Output[Artifact],
    networks: str = "",
    network_name: str = "",
) -> None:
    arguments = locals()
    from components.publish_renderer.stage import STAGE

    STAGE.run_component(arguments)
