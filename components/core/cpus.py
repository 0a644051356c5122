"""How many CPUs this process may use: its affinity and the container's quota."""

from __future__ import annotations

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""`<microseconds or max> <period>` of control groups, version 2."""


def usable_cpus() -> int:
    """CPUs that may be used, at least 1; in a container with a CPU limit, that limit."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return max(1, min(count, _quota(count)))


def _quota(otherwise: int) -> int:
    try:
        limit, period = QUOTA.read_text(encoding="ascii").split()
        return -(-int(limit) // int(period))
    except (OSError, ValueError):  # no such file, or `max`
        return otherwise
