"""Items that stay together because they share something."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def connected(items: Iterable[T], keys: Callable[[T], Sequence[str]]) -> dict[str, list[T]]:
    """Items by what connects them, directly or through others.

    Args:
        items: in the order in which they are to be.
        keys: what an item shares with those that it has to stay with; at least one.

    Returns:
        One key of each group → its items, both in the order of `items`.
    """
    first: dict[str, str] = {}
    listed = [(item, keys(item)) for item in items]
    for _, own in listed:
        root = _root(first, own[0])
        for key in own[1:]:
            first[_root(first, key)] = root
    groups: dict[str, list[T]] = {}
    for item, own in listed:
        groups.setdefault(_root(first, own[0]), []).append(item)
    return groups


def _root(first: dict[str, str], key: str) -> str:
    """The key that stands for all that belong together; a new one stands for itself."""
    while (above := first.setdefault(key, key)) != key:
        first[key] = first[above]  # shortens the way for the next
        key = above
    return key
