"""The Kubeflow face of `record_run`."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Markdown, Output

from components.core.docstrings import documented
from components.core.images import image
from components.record_run.stage import STAGE


@dsl.component(base_image=image("data"), install_kfp_package=False)
@documented(STAGE)
def record_run(
    published: Input[Artifact],
    evaluation: Input[Dataset],
    record: Output[Markdown],
    task: str = "",
) -> None:
    arguments = locals()
    from components.record_run.stage import STAGE

    STAGE.run_component(arguments)
