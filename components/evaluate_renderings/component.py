"""The Kubeflow face of `evaluate_renderings`."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.evaluate_renderings.stage import STAGE


@dsl.component(base_image=image("torch"), install_kfp_package=False)
@documented(STAGE)
def evaluate_renderings(
    model: Input[Model],
    frames: Input[Dataset],
    evaluation: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
    part: str = "test",
    lpips_weights: str = "",
    other_data: bool = False,
    save_renderings: bool = True,
    gallery: int = 3,
    bootstrap: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
    device: str = "auto",
) -> None:
    arguments = locals()
    from components.evaluate_renderings.stage import STAGE

    STAGE.run_component(arguments)
