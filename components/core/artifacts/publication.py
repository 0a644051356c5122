"""Publication: where a model was published, and its model card."""

from __future__ import annotations

from typing import Any, ClassVar

from components.core.artifacts.base import Index


class Publication(Index):
    """Index of a Publication directory: `index.json`, `model_card.json`, `README.md`."""

    SCHEMA: ClassVar[str] = "trainyard/publication"

    repository: str
    """Path or `s3://…` of the model repository; relative to the directory when it lies inside."""
    model: str
    """Name of the model in the repository."""
    version: int
    reused: bool
    """Whether this very model was there already."""
    removed: list[int] = []
    """Older versions that `keep_versions` removed."""
    bundle: str
    """Fingerprint of the ModelBundle."""
    served: dict[str, Any] = {}
    """What a running server answered: url, largest difference, tolerance; empty if not asked."""
