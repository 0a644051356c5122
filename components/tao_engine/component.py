"""The Kubeflow face of `tao_engine`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.tao_engine.stage import STAGE


@dsl.component(base_image=image("tao-deploy"), install_kfp_package=False)
@documented(STAGE)
def tao_engine(
    exported: Input[Model],
    records: Input[Dataset],
    engine: Output[Model],
    project: str,
    experiment: str,
    deploy_release: str = "",
    build_engine: str = "always",
    export_type: str = "",
    calibration_batches: int = 10,
    calibration_batch_size: int = 8,
    max_batch_size: int = 8,
) -> None:
    arguments = locals()
    from components.tao_engine.stage import STAGE

    STAGE.run_component(arguments)
