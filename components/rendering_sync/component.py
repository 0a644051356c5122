"""The Kubeflow face of `rendering_sync`."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Output

from components.core.docstrings import documented
from components.core.images import image
from components.rendering_sync.stage import STAGE


@dsl.component(base_image=image("data"), install_kfp_package=False)
@documented(STAGE)
def rendering_sync(
    source: str,
    frames: Output[Dataset],
    report: Output[HTML],
    sets: list[str] = [],  # noqa: B006
    lod: str = "lod0",
    aux_views: int = 0,
    max_frames: int = 0,
    val_size: float = 0.1,
    test_size: float = 0.1,
    test_indices: list[int] = [],  # noqa: B006
    seed: int = 0,
    near: float = 0.0,
    far: float = 0.0,
    full_precision: bool = False,
    pre_init_motion: bool = False,
    max_bad_fraction: float = 0.0,
    workers: int = 0,
    connections: int = 32,
) -> None:
    arguments = locals()
    from components.rendering_sync.stage import STAGE

    STAGE.run_component(arguments)
