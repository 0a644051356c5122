"""ModelBundle: a trained model in one or more formats with everything needed to use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from components.core.artifacts.base import Index
from components.core.errors import InputError


class Tensor(BaseModel):
    """A model input or output. -1 in `shape` is the dynamic batch axis."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    dtype: str
    """numpy name, e.g. `float32`."""
    shape: list[int]
    layout: str = ""
    """Axis letters, e.g. `B,C,T,H,W`."""
    range: list[float] = []
    """Smallest and largest value, e.g. [-1, 1]."""
    meaning: str = ""
    """e.g. `RGB`, `logits`, `probabilities`."""


class ModelBundle(Index):
    """Index of a ModelBundle directory: `model.json` and the files that `formats` names."""

    SCHEMA: ClassVar[str] = "trainyard/model-bundle"
    FILE: ClassVar[str] = "model.json"

    name: str
    formats: dict[str, str]
    """Format (`safetensors`, `onnx`, `savedmodel`, …) → path relative to the bundle."""
    task: str
    """e.g. `clip_classification`."""
    multi_label: bool = False
    classes: list[str] = []
    """Names in the order of the model's outputs."""
    architecture: dict[str, Any] = {}
    """Builder name and arguments that rebuild the network from the safetensors weights."""
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    preprocessing: dict[str, Any] = {}
    """How a clip becomes the input: frames, stride, size, resize, sampling."""
    training: dict[str, Any] = {}
    """The settings it was trained with."""
    dataset: str = ""
    """Fingerprint of the training data."""
    split: str = ""
    """Fingerprint of the Split whose train part was used."""
    code_version: str = ""
    metrics: dict[str, float] = {}
    """Validation figures of the kept checkpoint."""
    curves: list[dict[str, float]] = []
    """Per-epoch figures (`epoch`, `train_loss`, `val_loss`, `val_macro_f1`, …) for reports."""

    def file(self, directory: Path, kind: str) -> Path:
        """Path of one format's file.

        Raises:
            InputError: the bundle has no such format, or its file is missing.
        """
        if kind not in self.formats:
            have = ", ".join(self.formats) or "none"
            raise InputError(f"{directory} holds no {kind} model (formats: {have})")
        path = directory / self.formats[kind]
        if not path.exists():
            raise InputError(f"{directory}: {self.formats[kind]} is missing")
        return path


def kept(directory: Path) -> dict[str, Path]:
    """The bundles in a trained model's folder by name: `best` (the folder itself), `checkpoints/…`,
    `variants/…` and `last`. Several names may stand for the same network.
    """
    places = {"best": directory}
    for kind in ("checkpoints", "variants"):
        places |= {f"{kind}/{path.name}": path for path in sorted((directory / kind).glob("*"))}
    places["last"] = directory / "last"
    return {name: path for name, path in places.items() if (path / ModelBundle.FILE).is_file()}
