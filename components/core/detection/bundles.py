"""What every bundle of a detector says of its inputs, outputs and preprocessing."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.core.artifacts.model_bundle import ModelBundle, Tensor
from components.core.errors import InputError

TASK = "object_detection"
"""`ModelBundle.task` of a detector."""


class Preprocessing(BaseModel):
    """How an image becomes the input: resized whole, or cut into tiles as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_size: int = Field(0, ge=0)
    """Pixels of the shorter side; 0 keeps the image's size."""
    max_size: int = Field(0, ge=0)
    """Most pixels of the longer side; 0 for any."""
    tile_size: int = Field(0, ge=0)
    """Side in pixels of square tiles that the image is cut into; 0 for none."""
    tile_overlap: int = Field(0, ge=0)
    """Pixels that neighbouring tiles share, at least."""
    size_divisor: int = Field(32, ge=1)
    """The network pads its input to a multiple of this by itself."""

    @classmethod
    def of(cls, bundle: ModelBundle) -> Self:
        """Those of a bundle.

        Raises:
            InputError: the bundle's are not those of a detector.
        """
        try:
            return cls(**bundle.preprocessing)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"model {bundle.name}: preprocessing, {where}: {first['msg']}; accepted are "
                f"{', '.join(cls.model_fields)}"
            ) from None


def tensors(detections: int) -> dict[str, Any]:
    """`inputs` and `outputs` of a detector's bundle.

    Args:
        detections: rows of the outputs, that is most detections on an image.
    """
    return {
        "inputs": [
            Tensor(
                name="image",
                dtype="float32",
                shape=[-1, 3, -1, -1],
                layout="B,C,H,W",
                range=[0, 1],
                meaning="RGB",
            )
        ],
        "outputs": [
            Tensor(
                name="boxes",
                dtype="float32",
                shape=[-1, detections, 4],
                layout="B,N,4",
                meaning="boxes",
            ),
            Tensor(
                name="scores",
                dtype="float32",
                shape=[-1, detections],
                layout="B,N",
                range=[0, 1],
                meaning="scores",
            ),
            Tensor(
                name="labels",
                dtype="int64",
                shape=[-1, detections],
                layout="B,N",
                meaning="labels",
            ),
        ],
    }


ANSWERS = ("boxes", "scores", "labels")
"""Meanings of the outputs of a network that gives detections."""


def gives_detections(bundle: ModelBundle) -> bool:
    """Whether a detector's outputs are detections; those of other exporters need a decoder."""
    return {*ANSWERS} <= {output.meaning for output in bundle.outputs}


LARGEST_EXAMPLE = 640
"""Pixels per side of an example at most: enough for every level of a pyramid."""


def example_side(bundle: ModelBundle) -> int:
    """Side in pixels of a square image of about the size that the detector is made for."""
    size = Preprocessing.of(bundle)
    return min(size.min_size or size.tile_size or LARGEST_EXAMPLE, LARGEST_EXAMPLE)
