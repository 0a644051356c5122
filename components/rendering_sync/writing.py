"""The data set of what was gathered."""

from __future__ import annotations

from components.core import files
from components.core.artifacts.renderings import RenderingDataset, RenderingFrame, SkippedFrame
from components.core.stage import Job
from components.core.wording import counted
from components.rendering_sync.gathering import Gathered
from components.rendering_sync.parts import divided
from components.rendering_sync.stage import RenderingSyncSettings
from components.rendering_sync.store import KINDS, named


def write(settings: RenderingSyncSettings, found: Gathered, job: Job) -> RenderingDataset:
    """Links everything into `frames` and says what it is.

    Raises:
        InputError: sets have too few frames for the parts.
    """
    places = {name: found.places[name] for name in found.ids}
    sizes = settings.val_size, settings.test_size
    parts = divided(places, *sizes, settings.test_indices, settings.seed)
    place, store = job.outputs["frames"], found.store.folder
    for kind in KINDS:
        (place / kind).mkdir(parents=True)
    frames = []
    for number, name in enumerate(found.ids):
        file, record = f"frames/{number:05d}.bin", found.records[name]
        files.link_or_copy(store / "frames" / f"{found.keys[name]}.bin", place / file)
        frames.append(RenderingFrame(id=name, part=parts[name], file=file, **record))
    for name in sorted({name for record in found.records.values() for name in named(record)}):
        files.link_or_copy(store / name, place / name)
    dataset = RenderingDataset.create(
        frames,
        source=found.uri,
        aux=found.aux,
        precision=32 if settings.full_precision else 16,
        near=settings.near,
        far=settings.far,
        pre_init_motion=settings.pre_init_motion,
        lod=settings.lod,
        skipped=[SkippedFrame(id=name, reason=why) for name, why in found.skipped.items()],
    )
    dataset.save(place)
    _tell(dataset, job)
    return dataset


def _tell(dataset: RenderingDataset, job: Job) -> None:
    counts = {part: len(dataset.positions(part)) for part in ("train", "val", "test")}
    job.report.message(
        f"{counted(len(dataset.frames), 'frame')} with {counted(dataset.aux, 'aux view')}: "
        + ", ".join(f"{number} {part}" for part, number in counts.items())
    )
    if blind := [f.id for f in dataset.frames if not any(view.coverage for view in f.aux)]:
        job.report.warn(
            f"{counted(len(blind), 'frame')} see nothing of their aux photos: "
            f"{', '.join(blind[:10])}; they can only be filled in"
        )
    for name in dataset.sets:
        frames = [frame for frame in dataset.frames if frame.set == name]
        empty = [sum(not f.aux[view].coverage for f in frames) for view in range(dataset.aux)]
        if any(empty):
            views = ", ".join(
                f"aux view {view} of {counted(count, 'frame')}"
                for view, count in enumerate(empty, 1)
                if count
            )
            job.report.warn(
                f"set {name}: no lookup is a place in the photo in {views}; it has "
                f"{counted(len(frames), 'frame')}"
            )
    job.metadata["frames"] = {
        "frames": len(dataset.frames),
        "sets": len(dataset.sets),
        "aux": dataset.aux,
        **counts,
        "skipped": len(dataset.skipped),
    }
