"""The Kubeflow face of `tao_evaluate`."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.tao_evaluate.stage import STAGE


@dsl.component(base_image=image("tao"), install_kfp_package=False)
@documented(STAGE)
def tao_evaluate(
    model: Input[Model],
    records: Input[Dataset],
    evaluation: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
    project: str,
    experiment: str,
    release: str = "",
) -> None:
    arguments = locals()
    from components.tao_evaluate.stage import STAGE

    STAGE.run_component(arguments)
