"""The Kubeflow face of `hpo_sweep`."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.core.docstrings import documented
from components.core.images import image
from components.hpo_sweep.stage import STAGE


@dsl.component(base_image=image("torch"), install_kfp_package=False)
@documented(STAGE)
def hpo_sweep(
    data: Input[Dataset],
    split: Input[Dataset],
    study: Output[Dataset],
    trainer: str = "train_video",
    settings: str = "",
    trial_settings: str = "",
    search_space: dict[str, Any] = {},  # noqa: B006
    n_trials: int = 0,
    sweep_minutes: float = 0.0,
    sampler: str = "tpe",
    pruner: str = "median",
    monitor: str = "",
    direction: str = "",
    startup_trials: int = 8,
    try_defaults: bool = True,
    initial_trials: list[dict[str, Any]] = [],  # noqa: B006
    sweep_epochs: int = 0,
    repeats: int = 1,
    constraints: list[str] = [],  # noqa: B006
    study_name: str = "",
    seed: int = 0,
    worker: int = 0,
    heartbeat_seconds: int = 30,
) -> None:
    arguments = locals()
    from components.hpo_sweep.stage import STAGE

    STAGE.run_component(arguments)
