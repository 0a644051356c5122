"""Brings frames that the Inovis viewer exported into one data set for training renderers.

The source is a folder or `s3://bucket/prefix` with one exported set or several. Every frame must
have its files in all sub-folders; headers, sizes and ranges are checked. The data set holds each
photo once, and everything so that crops can be read without decoding. Only frames that are new or
changed are converted again.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from components.core.errors import TrainyardError
from components.core.settings import PLACE, RUNTIME, Settings
from components.core.stage import Job, Stage


class RenderingSyncSettings(Settings):
    """Settings of `rendering_sync`."""

    source: str = Field(
        min_length=1,
        description="Folder or s3://bucket/prefix: a set that the viewer exported (it holds "
        "groundtruth, input_0_lod0, …), or a folder of such sets",
        json_schema_extra=PLACE,
    )
    sets: list[str] = Field([], description="Sets to take, by folder name; empty for all")
    lod: str = Field(
        "lod0",
        pattern=r"^[A-Za-z0-9.-]+$",
        description="Level of detail of the point cloud, as in the names of the sub-folders",
    )
    aux_views: int = Field(
        0, ge=0, le=6, description="Aux photos of each frame, the most similar ones; 0 for all"
    )
    max_frames: int = Field(0, ge=0, description="Take the first frames of each set; 0 for all")
    val_size: float = Field(
        0.1, ge=0, description="Validation part: fraction (< 1) or frames of each set"
    )
    test_size: float = Field(
        0.1,
        ge=0,
        description="Test part: fraction (< 1) or frames of each set; not used with test_indices",
    )
    test_indices: list[int] = Field(
        [],
        description="Frames to test with: positions from 0 in the sorted frames of each set; "
        "positions past the end of a set are none of its",
    )
    seed: int = Field(0, ge=0, description="Seed of everything that is random")
    near: float = Field(
        0.0,
        ge=0,
        description="Distance of the near plane, to store depths as distances / far; 0 keeps the "
        "depths of the window, which the viewer gives to networks",
    )
    far: float = Field(0.0, ge=0, description="Distance of the far plane; needed with near")
    full_precision: bool = Field(
        False,
        description="Store depths and coordinates as float32 instead of 16 bits; twice the space",
    )
    pre_init_motion: bool = Field(
        False,
        description="The sets were exported with Pre Init MV: holes have coordinates, too; a "
        "renderer trained with them tells the viewer",
    )
    max_bad_fraction: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of frames that may be incomplete or damaged before the stage fails; "
        "they are left out and told",
    )
    workers: int = Field(
        0,
        ge=0,
        description="Frames converted at the same time; 0 for one per usable CPU",
        json_schema_extra=RUNTIME,
    )
    connections: int = Field(
        32,
        ge=1,
        le=256,
        description="Connections to an object store kept open at most",
        json_schema_extra=RUNTIME,
    )

    @field_validator("test_indices")
    @classmethod
    def _positions(cls, values: list[int]) -> list[int]:
        if odd := [value for value in values if value < 0]:
            raise ValueError(f"{odd}: positions start at 0")
        if len({*values}) < len(values):
            raise ValueError("positions are named more than once")
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        if (self.near or self.far) and not 0 < self.near < self.far:
            problems.append(
                f"near {self.near:g}, far {self.far:g}: set both, near below far, as the cloud "
                "was exported; or leave both 0"
            )
        fractions = {"val_size": self.val_size}
        if not self.test_indices:
            fractions["test_size"] = self.test_size
        shares = {name: size for name, size in fractions.items() if size < 1}
        if sum(shares.values()) >= 1:
            problems.append(f"{' and '.join(shares)}: together below 1, else nothing trains")
        if odd := [name for name, size in fractions.items() if size >= 1 and size % 1]:
            problems.append(f"{', '.join(odd)}: a fraction below 1, or a whole number of frames")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def check(settings: RenderingSyncSettings) -> list[TrainyardError]:
    """Whether the source can be listed; takes a few seconds at most."""
    from components.core.storage import open_storage

    try:
        open_storage(settings.source).check()
    except TrainyardError as error:
        return [type(error)(f"source: {error}")]
    return []


def sync(settings: RenderingSyncSettings, job: Job) -> None:
    """Converts what is new or changed, and writes `frames` and `report`.

    Raises:
        InputError: no sets, sets or sub-folders that are missing, too many frames that are
            incomplete or damaged, or too few for the parts.
        ServiceError: the object store fails in spite of retries.
    """
    from components.rendering_sync.gathering import gathered
    from components.rendering_sync.report import html_report
    from components.rendering_sync.writing import write

    found = gathered(settings, job)
    dataset = write(settings, found, job)
    job.outputs["report"].write_text(html_report(dataset, job.outputs["frames"]), encoding="utf-8")


STAGE = Stage(
    name="rendering_sync",
    settings=RenderingSyncSettings,
    function=sync,
    outputs={
        "frames": "renderings, photos and lookup coordinates (RenderingDataset)",
        "report": "sets, parts and sample frames, one HTML file",
    },
    external=True,
    check=check,
)
