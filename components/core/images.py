"""Container image references: the only place that knows registry, names and tag.

`python -m components.core.images data torch` prints the references, one a line.
"""

from __future__ import annotations

import os
import re
import sys

from components import __version__

IMAGES = ("data", "torch", "tensorflow", "tao", "tao-deploy")
"""One image per runtime; each has a folder `images/<name>` with a Dockerfile, and an extra."""

PATH = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
)
"""An image's reference without tag and digest."""

_VARIABLE = "TRAINYARD_IMAGE_REGISTRY"


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
    prefix = (registry or os.environ.get(_VARIABLE) or "trainyard").rstrip("/")
    return f"{prefix}/trainyard-{name}:{__version__}"


def registry_problem(registry: str = "") -> str:
    """What is wrong with the prefix that `image` would use, or an empty string."""
    prefix = registry or os.environ.get(_VARIABLE, "")
    if not prefix or PATH.fullmatch(f"{prefix.rstrip('/')}/image"):
        return ""
    return (
        f"{prefix!r} is no prefix of images; accepted are forms such as "
        "registry.example.org/vision or localhost:5000, without a scheme, spaces or upper case"
    )


if __name__ == "__main__":
    if problem := registry_problem():
        print(f"{_VARIABLE} (REGISTRY=…): {problem}", file=sys.stderr)
    try:
        print(*map(image, sys.argv[1:] or IMAGES), sep="\n")
    except ValueError as error:
        raise SystemExit(str(error)) from None
    raise SystemExit(bool(problem))
