"""Container image references: the only place that knows registry, names and tag."""

from __future__ import annotations

import os

from components import __version__

IMAGES = ("data", "torch")
"""One image per runtime; each has a folder `images/<name>` with a Dockerfile."""


def image(name: str) -> str:
    """The full reference of a runtime image; the tag is the package version.

    `TRAINYARD_IMAGE_REGISTRY` (for example `registry.example.org/vision`) replaces the default
    prefix when a pipeline is compiled.

    Raises:
        ValueError: there is no such image.
    """
    if name not in IMAGES:
        raise ValueError(f"unknown image {name!r}; the images are {', '.join(IMAGES)}")
    prefix = os.environ.get("TRAINYARD_IMAGE_REGISTRY", "trainyard").rstrip("/")
    return f"{prefix}/trainyard-{name}:{__version__}"
