"""The Kubeflow face of `evaluate_clips`."""

from kfp import dsl
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.evaluate_clips.stage import STAGE


@dsl.component(base_image=image("torch"), install_kfp_package=False)
@documented(STAGE)
def evaluate_clips(
    model: Input[Model],
    frames: Input[Dataset],
    split: Input[Dataset],
    evaluation: Output[Dataset],
    metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
    report: Output[HTML],
    part: str = "test",
    checkpoints: str = "",
    select_by: str = "macro_f1",
    threshold: str = "tuned",
    top_k: int = 5,
    views: int = 1,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    baseline: bool = True,
    train_confusion: bool = False,
    mistakes: int = 12,
    resizer_samples: int = 4,
    sample_clips: list[str] = [],  # noqa: B006
    array_names: list[str] = [],  # noqa: B006
    seed: int = 0,
    device: str = "auto",
    batch_size: int = 8,
    workers: int = 0,
) -> None:
    arguments = locals()
    from components.evaluate_clips.stage import STAGE

    STAGE.run_component(arguments)
