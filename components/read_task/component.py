"""The Kubeflow face of `read_task`."""

from kfp import dsl
from kfp.dsl import Artifact, Output

from components.core.docstrings import documented
from components.core.images import image
from components.read_task.stage import STAGE


@dsl.component(base_image=image("data"), install_kfp_package=False)
@documented(STAGE)
def read_task(wanted: Output[Artifact], task: str = "") -> None:
    arguments = locals()
    from components.read_task.stage import STAGE

    STAGE.run_component(arguments)
