"""The Kubeflow face of `tao_convert`."""

from kfp import dsl
from kfp.dsl import Dataset, Output

from components.core.docstrings import documented
from components.core.images import image
from components.tao_convert.stage import STAGE


@dsl.component(base_image=image("tao"), install_kfp_package=False)
@documented(STAGE)
def tao_convert(
    records: Output[Dataset],
    project: str,
    experiment: str,
    release: str = "",
) -> None:
    arguments = locals()
    from components.tao_convert.stage import STAGE

    STAGE.run_component(arguments)
