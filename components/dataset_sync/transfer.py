"""Brings the mirror up to date: transfers what is new or changed, looks at it, drops what went."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from components.core.errors import InputError
from components.core.stage import Job
from components.core.storage import ChangedError, Item
from components.dataset_sync.catalogue import shown
from components.dataset_sync.mirror import Mirror, Source

if TYPE_CHECKING:
    from components.dataset_sync.stage import SyncSettings


def update(
    mirror: Mirror,
    items: Sequence[Item],
    source: Source,
    where: str,
    settings: SyncSettings,
    job: Job,
) -> None:
    """Transfers those items of which this version is not here, and looks into them.

    Args:
        mirror: begun.
        items: what should be here.
        source: gives them.
        where: what they are and where from, for messages, such as `clips in /data`.
        settings: how many connections and processes may work.
        job: where siblings of the mirror are found, and the reporter.

    Raises:
        InputError: files changed or vanished meanwhile.
    """
    known = set(mirror.clips)
    wanted = mirror.missing(items)
    siblings = (path / "work" for path in job.work.parent.parent.iterdir())
    if linked := mirror.adopt(wanted, siblings):
        wanted = mirror.missing(wanted)
    changed = sum(item.name in known for item in wanted)
    job.report.message(
        f"{len(items)} {where}: {len(wanted) - changed} new, {changed} changed, "
        f"{len(items) - len(wanted)} here already"
        + (f" ({linked} of them in mirrors with other settings)" if linked else "")
    )
    unstable = []
    done = 0.0
    total = sum(item.size for item in wanted) / 1e6
    for outcome in mirror.fetch(source, wanted, settings.connections):
        if isinstance(outcome, ChangedError):
            unstable.append(outcome.name)
        else:
            done += outcome.size / 1e6
            job.report.progress(round(done, 3), round(total, 3), "MB")
    if unstable:
        raise InputError(
            f"{len(unstable)} files changed or vanished while they were read: {shown(unstable)}; "
            "run again when their writer is done, the rest is kept"
        )
    _probe(mirror, settings.workers, job)


def drop(clips: Collection[str], remove: bool, job: Job) -> None:
    """Says what happens to clips that the source has no more."""
    if clips and remove:
        job.report.message(f"removed {len(clips)} clips the source has no more: {shown(clips)}")
    elif clips:
        job.report.warn(
            f"{len(clips)} clips are no more in the source but stay in the data set "
            f"(mirror: true removes them): {shown(clips)}"
        )


def _probe(mirror: Mirror, workers: int, job: Job) -> None:
    unknown = {record.sha256 for record in mirror.clips.values()} - set(mirror.probes)
    paths = {sha256: mirror.file(sha256) for sha256 in sorted(unknown)}
    if not paths:
        return
    from components.dataset_sync.probing import probe_all  # loads PyAV

    results = job.report.track(probe_all(paths, workers), len(paths), "clips probed")
    for sha256, result in results:
        mirror.remember(sha256, asdict(result))
