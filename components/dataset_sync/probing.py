"""Looks at many clips at once, in processes of their own: a decoder may crash on a bad file."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from components.core.lifetime import die_with_parent
from components.core.video.probe import Probe, probe


def probe_all(paths: Mapping[str, Path], workers: int) -> Iterator[tuple[str, Probe]]:
    """Probes files in parallel; yields each key with its result, in the order they come.

    A file that brings its process down gets an `error` like any other bad file.

    Args:
        paths: the files by a key of the caller's choice.
        workers: processes; 0 for one per usable CPU.
    """
    left = dict(paths)
    workers = min(workers or len(os.sched_getaffinity(0)), len(left))
    try:
        for key, result in _pooled(left, workers):
            del left[key]
            yield key, result
    except BrokenProcessPool:
        # Any of the files then being probed may be the cause: each of the rest goes alone.
        for key, path in left.items():
            yield key, _alone(key, path)


def _pooled(paths: Mapping[str, Path], workers: int) -> Iterator[tuple[str, Probe]]:
    if not paths:
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=die_with_parent)
    try:
        futures = {pool.submit(probe, path): key for key, path in paths.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _alone(key: str, path: Path) -> Probe:
    try:
        return next(_pooled({key: path}, 1))[1]
    except BrokenProcessPool:
        return Probe(error="the decoder crashed on it")
