"""The Kubeflow face of `tao_prune`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.tao_prune.stage import STAGE


@dsl.component(base_image=image("tao"), install_kfp_package=False)
@documented(STAGE)
def tao_prune(
    model: Input[Model],
    records: Input[Dataset],
    pruned: Output[Model],
    project: str,
    experiment: str,
    release: str = "",
    prune_threshold: float = 0.5,
    processes: int = 0,
    amp: bool = False,
) -> None:
    arguments = locals()
    from components.tao_prune.stage import STAGE

    STAGE.run_component(arguments)
