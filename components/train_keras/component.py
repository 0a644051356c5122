"""The Kubeflow face of `train_keras`."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.core.docstrings import documented
from components.core.images import image
from components.train_keras.stage import STAGE


@dsl.component(base_image=image("tensorflow"), install_kfp_package=False)
@documented(STAGE)
def train_keras(
    frames: Input[Dataset],
    split: Input[Dataset],
    study: Input[Dataset],
    model: Output[Model],
    clip_frames: int = 20,
    clip_stride: int = 1,
    input_size: int = 0,
    network: str = "convlstm",
    backbone: str = "efficientnetb0",
    units: int = 128,
    pretrained: str = "",
    freeze: bool = False,
    dropout: float = 0.2,
    recurrent_dropout: float = 0.2,
    epochs: int = 50,
    shuffle_size: int = 0,
    batch_size: int = 8,
    learning_rate: float = 0.0001,
    class_weighting: str = "",
    monitor: str = "val_macro_f1",
    early_stop: int = 10,
    checkpoint_minutes: float = 10.0,
    seed: int = 0,
    deterministic: bool = False,
    precision: str = "auto",
    device: str = "auto",
    replicas: int = 0,
    workers: int = 0,
) -> None:
    arguments = locals()
    from components.train_keras.stage import STAGE

    STAGE.run_component(arguments)
