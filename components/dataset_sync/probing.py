"""Looks at many clips at once, in processes of their own: a decoder may crash or hang."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from components.core.cpus import usable_cpus
from components.core.video.pool import Failure, WorkerPool
from components.core.video.probe import Probe, probe

STALL_SECONDS = 60.0
"""A file on which reading makes no progress for so long is given up."""


def probe_all(paths: Mapping[str, Path], workers: int) -> Iterator[tuple[str, Probe]]:
    """Probes files in parallel; yields each key with its result, in the order of `paths`.

    A file that its process crashes or hangs on gets an `error` like any other bad file.

    Args:
        paths: the files by a key of the caller's choice.
        workers: processes; 0 for one per usable CPU.
    """
    pool = WorkerPool(probe, workers or usable_cpus(), STALL_SECONDS)
    results = pool.run(list(paths.values()))
    for key, result in zip(paths, results, strict=True):
        yield key, Probe(error=result.reason) if isinstance(result, Failure) else result
