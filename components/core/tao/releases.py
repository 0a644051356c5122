"""Releases of NVIDIA's TAO Toolkit: which image holds which framework, and how its programs differ.

A release is named by its image's tag, `<version>-<flavour>`, as in `5.0.0-tf1.15.5`. Sources: the
vendor's documentation and the code of its back ends (github.com/NVIDIA: tao_tensorflow1_backend,
tao_tensorflow2_backend, tao_pytorch_backend, tao_deploy); what comes from memory is marked so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Framework = Literal["tf1", "tf2", "pyt", "deploy"]

NAMES = {
    "tf1": "TensorFlow 1",
    "tf2": "TensorFlow 2",
    "pyt": "PyTorch",
    "deploy": "TensorRT (deploy)",
}

LAST = {"tf1": (5, 3, 0), "tf2": (6, 0, 0)}
"""Last version of a framework that the vendor has ended."""

DEFAULTS = {
    "tf1": "5.0.0-tf1.15.5",
    "tf2": "5.0.0-tf2.9.1",
    "pyt": "6.25.7-pyt",
    "deploy": "5.0.0-deploy",
}
"""Framework → tag that is taken where none is named."""

TAGS = {
    "3.22.05-tf1.15.5": "doc",
    "4.0.0-tf1.15.5": "doc",
    "5.0.0-tf1.15.5": "memory",
    "4.0.0-tf2.9.1": "doc",
    "5.0.0-tf2.9.1": "doc",
    "6.0.0-tf2": "memory",
    "4.0.0-pyt": "doc",
    "5.5.0-pyt": "doc",
    "6.0.0-pyt": "memory",
    "6.25.7-pyt": "doc",
    "4.0.0-deploy": "doc",
    "5.0.0-deploy": "doc",
    "6.0.0-deploy": "memory",
}
"""Tag → where it is known from. Others of the same form are taken as well."""

_FORM = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?-(tf1|tf2|pyt|deploy)(?:\.\d+)*(?:-py3)?")


@dataclass(frozen=True)
class Release:
    """What an image of the vendor holds."""

    tag: str
    version: tuple[int, int, int]
    framework: Framework

    @property
    def encrypts(self) -> bool:
        """Whether it writes encrypted `.tlt` and `.etlt` files, as those before 5.0 do."""
        return self.version < (5, 0, 0)

    @property
    def quantises(self) -> bool:
        """Whether `export` itself takes the data type, calibrates, and builds a TensorRT engine."""
        return self.encrypts and self.framework == "tf1"


RELEASES: dict[str, Release] = {}
"""Tag → release, of those in TAGS."""


def release_of(tag: str) -> tuple[Release | None, str]:
    """The release that a tag names, or why it names none.

    Args:
        tag: of the image; its whole reference is taken, too.
    """
    short = tag.rpartition("/")[2].rpartition(":")[2].partition("@")[0]
    match = _FORM.fullmatch(short)
    if not match:
        return None, (
            f"release: got {tag!r}, accepted are tags of nvcr.io/nvidia/tao/tao-toolkit such as "
            f"{', '.join(DEFAULTS.values())}"
        )
    version = (int(match[1]), int(match[2]), int(match[3] or 0))
    framework: Framework = match[4]  # type: ignore[assignment]
    if framework in LAST and version > LAST[framework]:
        last = ".".join(map(str, LAST[framework]))
        return None, (
            f"release: {tag!r} does not exist, {NAMES[framework]} ended with {last}; use "
            f"{DEFAULTS[framework]}"
        )
    return Release(short, version, framework), ""


RELEASES |= {tag: found for tag in TAGS if (found := release_of(tag)[0])}
