"""The Kubeflow face of `tao_export`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.tao_export.stage import STAGE


@dsl.component(base_image=image("tao"), install_kfp_package=False)
@documented(STAGE)
def tao_export(
    model: Input[Model],
    records: Input[Dataset],
    exported: Output[Model],
    project: str,
    experiment: str,
    release: str = "",
    export_type: str = "",
    calibration_batches: int = 10,
    calibration_batch_size: int = 8,
    max_batch_size: int = 8,
) -> None:
    arguments = locals()
    from components.tao_export.stage import STAGE

    STAGE.run_component(arguments)
