"""The networks, as Keras models; each takes clips in [0, 1] and gives probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import layers

from components.core.artifacts.model_bundle import ModelBundle
from components.core.errors import InputError
from components.train_keras.stage import TrainKerasSettings

INPUT, OUTPUT = "time_distributed_input", "dense"
"""What clients of served models call them."""

FILTERS = (4, 8, 14, 16)
"""Of the ConvLSTM layers."""

EACH_FRAME, BACKBONE = "each_frame", "backbone"
"""The part that sees one frame, and the network of keras.applications in it."""


@dataclass(frozen=True)
class _Backbone:
    """A network of keras.applications, and what it takes for an input."""

    make: Callable[..., Any]
    scale: float
    offset: float = 0.0
    options: tuple[tuple[str, Any], ...] = ()


_BACKBONES = {
    "efficientnetb0": _Backbone(keras.applications.EfficientNetB0, 255),
    "mobilenetv2": _Backbone(keras.applications.MobileNetV2, 2, -1),
    "mobilenetv3small": _Backbone(
        keras.applications.MobileNetV3Small, 2, -1, (("include_preprocessing", False),)
    ),
    "resnet50": _Backbone(keras.applications.ResNet50V2, 2, -1),
}


def architecture_of(settings: TrainKerasSettings, classes: int) -> dict[str, Any]:
    """Name and arguments of `build`, as a bundle records them; input_size is set."""
    arguments: dict[str, Any] = {
        "network": settings.network,
        "frames": settings.clip_frames,
        "size": settings.input_size,
        "classes": classes,
        "dropout": settings.dropout,
    }
    if settings.network == "convlstm":
        arguments["recurrent_dropout"] = settings.recurrent_dropout
    else:
        arguments |= {"backbone": settings.backbone, "units": settings.units}
    return {"name": "keras", "arguments": arguments}


def build(
    network: str,
    frames: int,
    size: int,
    classes: int,
    dropout: float,
    recurrent_dropout: float = 0.0,
    backbone: str = "",
    units: int = 0,
) -> keras.Model:
    """A network with random weights.

    Args:
        network: convlstm, attention or lstm.
        frames: of a clip.
        size: side in pixels of the frames.
        classes: number of them.
        dropout: between the layers.
        recurrent_dropout: convlstm: from one frame to the next.
        backbone: attention, lstm: the network that sees each frame.
        units: attention, lstm: width of the layer that looks along time.

    Returns:
        A model from INPUT, (B, frames, size, size, 3) float32 in [0, 1], RGB, to OUTPUT,
        (B, classes) float32: probabilities.
    """
    clip = keras.Input((frames, size, size, 3), name=INPUT)
    if network == "convlstm":
        seen = _convlstm(clip, dropout, recurrent_dropout)
    else:
        # keras' TimeDistributed would build the backbone once for each frame
        each = keras.ops.reshape(clip, (-1, size, size, 3))
        features = _backbone(backbone, size)(each)
        along = keras.ops.reshape(features, (-1, frames, features.shape[-1]))
        seen = _attention(along, units) if network == "attention" else layers.LSTM(units)(along)
        seen = layers.Dropout(dropout)(seen)
    chosen = layers.Dense(classes, activation="softmax", dtype="float32", name=OUTPUT)(seen)
    return keras.Model(clip, chosen, name=network)


def make_network(settings: TrainKerasSettings, classes: int) -> keras.Model:
    """The network with its first weights: pretrained ones, or random ones fixed by the seed.

    Raises:
        InputError: the pretrained file cannot be read or does not fit.
    """
    keras.utils.set_random_seed(settings.seed)
    model = build(**architecture_of(settings, classes)["arguments"])
    if settings.pretrained:
        _load(model, Path(settings.pretrained))
    if settings.freeze:
        model.get_layer(EACH_FRAME).trainable = False
    return model


def _convlstm(clip: Any, dropout: float, recurrent_dropout: float) -> Any:
    """PyTrain's architecture: four ConvLSTM layers, each followed by pooling in space."""
    seen = clip
    for number, filters in enumerate(FILTERS, 1):
        seen = layers.ConvLSTM2D(
            filters,
            3,
            recurrent_dropout=recurrent_dropout,
            return_sequences=True,
            data_format="channels_last",
        )(seen)
        seen = layers.MaxPooling3D((1, 2, 2), padding="same", data_format="channels_last")(seen)
        if number < len(FILTERS):
            seen = layers.TimeDistributed(layers.Dropout(dropout))(seen)
    return layers.Flatten()(seen)


def _backbone(name: str, size: int) -> keras.Model:
    """From one frame in [0, 1] to its features."""
    chosen = _BACKBONES[name]
    frame = keras.Input((size, size, 3))
    scaled = layers.Rescaling(chosen.scale, chosen.offset)(frame)
    network = chosen.make(
        include_top=False,
        weights=None,
        pooling="avg",
        input_shape=(size, size, 3),
        name=BACKBONE,
        **dict(chosen.options),
    )
    return keras.Model(frame, network(scaled), name=EACH_FRAME)


def _attention(along: Any, units: int) -> Any:
    """The mean of the frames (B, T, C), weighed by what each one shows."""
    shown = layers.Dense(units, activation="tanh", name="shown")(along)
    scores = layers.Dense(1, name="score")(shown)
    weights = layers.Softmax(axis=1, dtype="float32")(scores)
    return layers.Flatten()(layers.Dot(axes=1)([weights, along]))


def _load(model: keras.Model, path: Path) -> None:
    place = _whole(path)
    try:
        if place.suffix == ".keras":
            other = keras.models.load_model(place, compile=False)
            model.set_weights(other.get_weights())
        else:
            model.get_layer(EACH_FRAME).get_layer(BACKBONE).load_weights(place)
    except (OSError, ValueError, TypeError, KeyError) as error:  # Keras has no error of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"pretrained: {path} does not fit {model.name!r} ({reason}); give weights of this very "
            "network, or of its backbone without the last layer"
        ) from None


def _whole(path: Path) -> Path:
    """The file with the weights."""
    if not path.is_dir():
        return path
    return ModelBundle.load(path).file(path, "keras")
