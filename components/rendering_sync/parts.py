"""Which frames of a set train, validate and test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from components.core.errors import InputError
from components.core.wording import counted


def divided(
    places: Mapping[str, int], val: float, test: float, indices: Sequence[int], seed: int
) -> dict[str, str]:
    """Frame id → `train`, `val` or `test`, set by set.

    The order of a set is that of a hash of seed and name, so frames that are added later leave
    nearly all others in their part, and other sets do not matter.

    Args:
        places: `<set>/<stem>` of each frame → its position in the set, from 0.
        val: fraction (< 1) or frames of each set; at least one unless 0.
        test: likewise; not used with `indices`.
        indices: positions of the test frames in each set.
        seed: makes the result reproducible.

    Raises:
        InputError: sets with too few frames, or positions that no set has; all are told.
    """
    sets: dict[str, list[str]] = {}
    for name in places:
        sets.setdefault(name.rpartition("/")[0], []).append(name)
    parts: dict[str, str] = {}
    problems = []
    if absent := sorted({*indices} - {*places.values()}):
        problems.append(
            f"test_indices: no set has a usable frame at {', '.join(map(str, absent))}; positions "
            f"are 0 to {max(places.values(), default=0)}"
        )
    for title, own in sets.items():
        tests = [name for name in own if places[name] in indices]
        rest = sorted((name for name in own if name not in tests), key=lambda n: _rank(n, seed))
        if not indices:
            count = _count(test, len(own))
            tests, rest = rest[:count], rest[count:]
        count = _count(val, len(own))
        if count >= len(rest):
            problems.append(
                f"set {title}: {counted(len(own), 'frame')} are too few for {len(tests)} to test, "
                f"{count} to validate and at least one to train; use smaller parts or more frames"
            )
        parts |= dict.fromkeys(tests, "test") | dict.fromkeys(rest[count:], "train")
        parts |= dict.fromkeys(rest[:count], "val")
    if problems:
        raise InputError("; ".join(problems))
    return parts


def _count(size: float, total: int) -> int:
    return int(size) if size >= 1 else max(round(size * total), 1) if size else 0


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()
