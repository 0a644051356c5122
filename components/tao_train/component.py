"""The Kubeflow face of `tao_train`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.tao_train.stage import STAGE


@dsl.component(base_image=image("tao"), install_kfp_package=False)
@documented(STAGE)
def tao_train(
    records: Input[Dataset],
    model: Output[Model],
    project: str,
    experiment: str,
    release: str = "",
    processes: int = 0,
    amp: bool = False,
) -> None:
    arguments = locals()
    from components.tao_train.stage import STAGE

    STAGE.run_component(arguments)
