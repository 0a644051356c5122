"""The Kubeflow face of `evaluate_detections`."""

from kfp import dsl
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.evaluate_detections.stage import STAGE


@dsl.component(base_image=image("torch"), install_kfp_package=False)
@documented(STAGE)
def evaluate_detections(
    model: Input[Model],
    dataset: Input[Dataset],
    split: Input[Dataset],
    evaluation: Output[Dataset],
    metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
    report: Output[HTML],
    part: str = "test",
    threshold: str = "tuned",
    iou: float = 0.5,
    other_data: bool = False,
    bootstrap: int = 200,
    confidence: float = 0.95,
    gallery: int = 12,
    seed: int = 0,
    device: str = "auto",
    batch_size: int = 8,
    workers: int = 0,
) -> None:
    arguments = locals()
    from components.evaluate_detections.stage import STAGE

    STAGE.run_component(arguments)
