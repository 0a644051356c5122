"""Brings the mirror up to date: transfers what is new or changed, looks at it, drops what went."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from components.core.errors import InputError
from components.core.stage import Job
from components.core.storage import ChangedError, Item
from components.core.wording import counted
from components.dataset_sync.catalogue import shown
from components.dataset_sync.mirror import Mirror, Record, Source

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


def drop(
    gone: Collection[str],
    clips: Mapping[str, Record],
    known: Collection[str],
    remove: bool,
    job: Job,
    lost: Collection[str] = (),
) -> set[str]:
    """Says what happens to clips that the source has no more; returns those that have to go.

    A clip whose content came under another name has moved: were both in the data set, the same
    content could be trained on and tested with, and have two labels.

    Args:
        gone: clips that the source does not name any more.
        clips: all that are here.
        known: those that were here before this sync.
        remove: whether all of them have to go.
        job: for messages.
        lost: clips that the source names, but has no more; they stay.
    """
    places = {
        record.sha256: name
        for name, record in sorted(clips.items(), reverse=True)
        if record.bytes and name not in known
    }
    moved = {name: places[clips[name].sha256] for name in gone if clips[name].sha256 in places}
    if moved:
        names = shown(f"{old} → {new}" for old, new in moved.items())
        job.report.message(f"{counted(len(moved), 'clip')} moved: {names}")
    rest = set(gone) - set(moved)
    if rest and remove:
        job.report.message(f"removed {len(rest)} clips the source has no more: {shown(rest)}")
    elif stay := rest | set(lost):
        job.report.warn(
            f"{len(stay)} clips are no more in the source but stay in the data set "
            f"(mirror: true removes them): {shown(stay)}"
        )
    return set(gone) if remove else set(moved)


def _probe(mirror: Mirror, workers: int, job: Job) -> None:
    unknown = {record.sha256 for record in mirror.clips.values()} - set(mirror.probes)
    paths = {sha256: mirror.file(sha256) for sha256 in sorted(unknown)}
    if not paths:
        return
    from components.dataset_sync.probing import probe_all  # loads PyAV

    results = job.report.track(probe_all(paths, workers), len(paths), "clips probed")
    for sha256, result in results:
        mirror.remember(sha256, asdict(result))
