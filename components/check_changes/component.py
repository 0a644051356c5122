"""The Kubeflow face of `check_changes`; it returns yes or no, for `dsl.If`."""

from typing import Optional

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output

from components.check_changes.stage import STAGE
from components.core.docstrings import documented
from components.core.images import image


@dsl.component(base_image=image("data"), install_kfp_package=False)
@documented(STAGE)
def check_changes(
    dataset: Input[Dataset],
    decision: Output[Artifact],
    task: Optional[Input[Dataset]] = None,  # noqa: UP045
    only_if_changed: bool = False,
    repository: str = "",
    model_name: str = "",
) -> str:
    arguments = locals()
    from components.check_changes.stage import STAGE

    return STAGE.run_component(arguments)
