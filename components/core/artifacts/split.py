"""Split: which clip (or image) belongs to train, val or test. Small, so no video moves."""

from __future__ import annotations

from typing import ClassVar

from components.core.artifacts.base import Index
from components.core.state import digest

PARTS = ("train", "val", "test")


class Split(Index):
    """Index of a Split directory: one `index.json`."""

    SCHEMA: ClassVar[str] = "trainyard/split"

    parent: str
    """Fingerprint of the data set that was split."""
    parts: dict[str, str]
    """Item id → `train`, `val` or `test`; unusable items are absent."""
    counts: dict[str, dict[str, int]]
    """Class → part → number of items."""

    @classmethod
    def create(cls, parent: str, parts: dict[str, str], counts: dict[str, dict[str, int]]) -> Split:
        """Builds the index; the fingerprint covers the assignment and the parent."""
        return cls(fingerprint=digest([parent, parts]), parent=parent, parts=parts, counts=counts)

    def ids(self, part: str) -> list[str]:
        """Item ids of one part, in stable order."""
        return sorted(item for item, where in self.parts.items() if where == part)
