"""Decodes, samples and resizes the clips of a data set and packs them for training.

Frames are chosen by their timestamps, turned as the camera was held, deinterlaced where needed,
and stored in shards, as JPEG or raw. Clips that cannot be decoded are left out and listed with
the reason. Work goes on where it stopped: finished shards are kept.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from components.core import files
from components.core.artifacts.clips import Clip, ClipDataset
from components.core.cpus import usable_cpus
from components.core.errors import InputError
from components.core.settings import RUNTIME, Settings
from components.core.stage import Job, Stage

if TYPE_CHECKING:
    from components.core.artifacts.frame_shards import ShardWriter
    from components.core.video.encoded import EncodedClip
    from components.core.video.pool import Failure
    from components.frame_extraction.extract import Recipe

_LISTED = 20
"""Reasons that an error message quotes."""


class ExtractionSettings(Settings):
    """Settings of `frame_extraction`."""

    sampling: Literal["uniform", "fps", "all"] = Field(
        "uniform",
        description="Which frames: `uniform` (sample_frames, evenly over the clip), `fps` "
        "(sample_fps per second), or `all`",
    )
    sample_frames: int = Field(32, ge=1, description="Frames per clip with sampling=uniform")
    sample_fps: float = Field(12.5, gt=0, description="Frames per second with sampling=fps")
    resize: Literal["stretch", "letterbox", "short_side"] = Field(
        "stretch",
        description="How pictures become frames: `stretch` to a square, `letterbox` into a square "
        "with black bars, or `short_side` (shape kept, shorter side fitted)",
    )
    frame_size: int = Field(
        112, ge=1, le=8192, description="Side in pixels of the frames that training crops"
    )
    crop_margin: int = Field(
        16, ge=0, le=8192, description="Pixels stored beyond frame_size, for random crops"
    )
    storage: Literal["jpeg", "raw"] = Field(
        "jpeg",
        description="`jpeg`, or `raw`: about 14 times the size, 1.5 times the reading rate",
    )
    jpeg_quality: int = Field(90, ge=1, le=100, description="JPEG quality with storage=jpeg")
    max_bad_fraction: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of clips that may be unusable before the stage fails",
    )
    clip_timeout: float = Field(
        120.0, ge=1, description="Seconds without progress after which a clip is given up"
    )
    shard_mb: int = Field(64, ge=1, description="Size in MiB at which a shard is closed")
    workers: int = Field(
        0, ge=0, description="Worker processes; 0 for one per usable CPU", json_schema_extra=RUNTIME
    )


def extract_frames(settings: ExtractionSettings, job: Job) -> None:
    """Reads `clips`, writes `frames`.

    Raises:
        InputError: no clip can be used, or more than `max_bad_fraction` cannot.
        OutOfSpaceError: the volume is too small.
    """
    from components.core.artifacts.frame_shards import ShardWriter
    from components.core.artifacts.frames import FrameDataset
    from components.frame_extraction.space import check_space

    dataset = ClipDataset.load(job.inputs["clips"])
    _check_bad(settings, dataset, [(c.id, c.error) for c in dataset.clips if c.error])
    recipe = _recipe(settings)
    parts = job.work / "parts"
    files.remove(parts)
    parts.mkdir(parents=True)
    writer = ShardWriter(job.work / "shards", settings.shard_mb << 20)
    if writer.done:
        job.report.message(f"{writer.done} of {len(dataset.clips)} clips were extracted before")
    left = dataset.clips[writer.done :]
    check_space((clip for clip in left if not clip.error), recipe, job.work, job.report)
    try:
        _extract(settings, job, dataset, recipe, writer)
        writer.finish(job.outputs["frames"])
    finally:
        writer.discard()
        files.remove(parts)
    index = FrameDataset.create(
        writer,
        parent=dataset.fingerprint,
        classes=dataset.classes,
        storage=settings.storage,
        jpeg_quality=settings.jpeg_quality,
        frame_size=settings.frame_size,
        crop_margin=settings.crop_margin,
        resize=settings.resize,
        sampling=recipe.sampling.record(),
    )
    index.save(job.outputs["frames"])
    job.metadata["frames"] = {
        "clips": len(index.clips),
        "frames": sum(clip.frames for clip in index.clips),
        "skipped": len(index.skipped),
        "megabytes": round(sum(index.shard_sizes) / 1e6, 1),
    }


def _recipe(settings: ExtractionSettings) -> Recipe:
    from components.core.video.convert import Fit
    from components.core.video.sampling import Sampling
    from components.frame_extraction.extract import Recipe

    sampling = Sampling(settings.sampling, settings.sample_frames, settings.sample_fps)
    fit = Fit(settings.resize, settings.frame_size, settings.crop_margin)
    return Recipe(sampling, fit, settings.storage, settings.jpeg_quality)


def _extract(
    settings: ExtractionSettings,
    job: Job,
    dataset: ClipDataset,
    recipe: Recipe,
    writer: ShardWriter,
) -> None:
    """Appends every clip that `writer` does not hold yet, in the data set's order."""
    from components.core.video.pool import Failure

    left = dataset.clips[writer.done :]
    total = len(dataset.clips)
    job.report.progress(writer.done, total, "clips")
    with closing(_outcomes(settings, job, dataset, recipe, left)) as outcomes:
        for clip, outcome in zip(left, outcomes, strict=True):
            if isinstance(outcome, Failure):
                if not clip.error:
                    job.report.warn(f"{clip.id}: {outcome.reason}; left out")
                writer.skip(clip.id, outcome.reason)
                later = [(c.id, c.error) for c in dataset.clips[writer.done :] if c.error]
                skipped = [(s.id, s.reason) for s in writer.skipped]
                _check_bad(settings, dataset, skipped + later)
            else:
                writer.add(clip.id, clip.labels, clip.group, outcome, clip.segments)
                if isinstance(outcome.payload, Path):
                    outcome.payload.unlink()
            job.report.progress(writer.done, total, "clips")
    if total == len(writer.skipped):
        raise InputError("the data set holds no usable clip; see the reasons above")


def _outcomes(
    settings: ExtractionSettings, job: Job, dataset: ClipDataset, recipe: Recipe, left: list[Clip]
) -> Generator[EncodedClip | Failure, None, None]:
    from components.core.video.pool import Failure, WorkerPool
    from components.frame_extraction.extract import Task, extract_clip

    source, parts = job.inputs["clips"].absolute(), job.work.absolute() / "parts"
    tasks = [
        Task(dataset.file(source, clip), parts / f"{number}.bin", recipe)
        for number, clip in enumerate(clip for clip in left if not clip.error)
    ]
    pool = WorkerPool(extract_clip, settings.workers or usable_cpus(), settings.clip_timeout)
    with closing(pool.run(tasks)) as results:
        for clip in left:
            yield Failure(clip.error) if clip.error else next(results)


def _check_bad(
    settings: ExtractionSettings, dataset: ClipDataset, bad: list[tuple[str, str]]
) -> None:
    total = len(dataset.clips)
    if not total:
        raise InputError("the data set holds no clips")
    if len(bad) <= settings.max_bad_fraction * total:
        return
    lines = [f"  - {clip}: {reason}" for clip, reason in bad[:_LISTED]]
    if len(bad) > _LISTED:
        lines.append(f"  - … and {len(bad) - _LISTED} more")
    raise InputError(
        f"{len(bad)} of {total} clips cannot be used, more than max_bad_fraction="
        f"{settings.max_bad_fraction:g} allows; repair or remove them, or raise the fraction:\n"
        + "\n".join(lines)
    )


STAGE = Stage(
    name="frame_extraction",
    settings=ExtractionSettings,
    function=extract_frames,
    inputs={"clips": "ClipDataset to decode"},
    outputs={"frames": "FrameDataset: sampled, resized frames in shards"},
)
