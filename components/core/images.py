"""Container image references: the only place that knows registry, names and tag.

`python -m components.core.images data torch` prints the references, one a line.
"""

from __future__ import annotations

import os
import sys

from components import __version__

IMAGES = ("data", "torch", "tensorflow", "tao")
"""One image per runtime; each has a folder `images/<name>` with a Dockerfile, and an extra."""


def image(name: str, registry: str = "") -> str:
    """The full reference of a runtime image; the tag is the package version.

    Args:
        name: of the image, one of IMAGES.
        registry: prefix, for example `registry.example.org/vision`; '' for
            `TRAINYARD_IMAGE_REGISTRY`, or the default where that is not set.

    Raises:
        ValueError: there is no such image.
    """
    if name not in IMAGES:
        raise ValueError(f"unknown image {name!r}; the images are {', '.join(IMAGES)}")
    prefix = (registry or os.environ.get("TRAINYARD_IMAGE_REGISTRY") or "trainyard").rstrip("/")
    return f"{prefix}/trainyard-{name}:{__version__}"


if __name__ == "__main__":
    try:
        print(*map(image, sys.argv[1:] or IMAGES), sep="\n")
    except ValueError as error:
        raise SystemExit(str(error)) from None
