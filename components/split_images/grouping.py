"""Images that stay together: of one recording or window of it, and copies of one file."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from components.core.formats.image_files import folder_of
from components.core.formats.shapes import AnnotatedImage
from components.core.splitting.connected import connected
from components.split_images.stage import SplitSettings

DIGITS = re.compile(r"(\d+)\D*$")
"""The last number in a name, as in `film frame0017.png`."""

Recordings = dict[str, list[AnnotatedImage]]
"""Recording → its images in the order of their frames."""


def grouped(
    images: Iterable[AnnotatedImage], settings: SplitSettings
) -> dict[str, list[AnnotatedImage]]:
    """Images that stay together, in order of names: those of a recording and those of one content.

    With `frame_window`, the windows of recordings are what stays together.
    """
    listed = sorted(images, key=lambda image: image.name)
    window = _windows(listed, settings)

    def keys(image: AnnotatedImage) -> list[str]:
        place = window.get(image.name)
        named = f"{recording(image, settings)}" + ("" if place is None else f" window {place}")
        return [named, *([f"content {image.checksum}"] if image.checksum else [])]

    return connected(listed, keys)


def recording(image: AnnotatedImage, settings: SplitSettings) -> str:
    """What `settings` take as the recording of an image; of an image without one, itself."""
    alone = _alone(image)
    if settings.group_pattern:
        found = re.search(settings.group_pattern, image.name)
        if found is None:
            return alone
        return f"recording {found.group(1) if found.re.groups else found.group()}"
    if settings.group_by == "folder":
        return f"folder {folder_of(image.name) or '.'}"
    if settings.group_by == "task" and image.task:
        return f"task {image.task}"
    if settings.group_by in ("task", "group") and image.group:
        return f"group {image.group}"
    return alone


def unknown(images: Iterable[AnnotatedImage], settings: SplitSettings) -> list[AnnotatedImage]:
    """The images of which `settings` know no recording, though these were not to be divided."""
    if settings.group_by == "image" and not settings.group_pattern:
        return []
    return [image for image in images if recording(image, settings) == _alone(image)]


def recordings(images: Iterable[AnnotatedImage], settings: SplitSettings) -> Recordings:
    """The images of every recording, as far as it is known, however they are grouped.

    It is what the source names, and where it names none what `settings` take for it.
    """

    def key(image: AnnotatedImage) -> str:
        if image.group and not settings.group_pattern:
            return f"group {image.group}"
        own = recording(image, settings)
        if own == _alone(image) and image.task:
            return f"task {image.task}"
        return own

    return by_frames(images, key)


def _alone(image: AnnotatedImage) -> str:
    return f"image {image.name}"


def by_frames(images: Iterable[AnnotatedImage], key: Callable[[AnnotatedImage], str]) -> Recordings:
    """Images with the same key, each list in the order of the frames."""
    found: Recordings = {}
    for image in images:
        found.setdefault(key(image), []).append(image)
    for own in found.values():
        numbers = frames(own)
        own.sort(key=lambda image: (numbers[image.name], image.name))
    return found


def frames(images: Sequence[AnnotatedImage]) -> dict[str, int]:
    """Image name → number of its frame in the recording.

    It is what the source says, or for all images of a recording the last number in their names, or
    their place in the order of names.
    """
    if all(image.frame is not None for image in images):
        return {image.name: image.frame or 0 for image in images}
    named = {image.name: DIGITS.search(PurePosixPath(image.name).stem) for image in images}
    if all(named.values()):
        return {name: int(found.group(1)) for name, found in named.items() if found}
    return {name: place for place, name in enumerate(sorted(named))}


def too_near(
    images: Iterable[AnnotatedImage], parts: Mapping[str, str], settings: SplitSettings
) -> set[str]:
    """Names of the images to leave out: within `frame_gap` of a frame in another part.

    Training images go first, then validation images near test images; a test image stays.

    Args:
        images: of all parts.
        parts: image name → part.
        settings: of the stage.
    """
    out: set[str] = set()
    if not settings.frame_gap:
        return out
    used = [image for image in images if image.name in parts]
    for own in recordings(used, settings).values():
        numbers = frames(own)
        for part, others in (("val", {"test"}), ("train", {"val", "test"})):
            guarded = sorted(
                numbers[image.name]
                for image in own
                if parts[image.name] in others and image.name not in out
            )
            out |= {
                image.name
                for image in own
                if parts[image.name] == part
                and _distance(numbers[image.name], guarded) <= settings.frame_gap
            }
    return out


def _distance(number: int, ordered: Sequence[int]) -> float:
    """How far the nearest of some numbers is."""
    place = bisect.bisect_left(ordered, number)
    return min((abs(other - number) for other in ordered[max(0, place - 1) : place + 1]),
               default=float("inf"))  # fmt: skip


def _windows(images: Sequence[AnnotatedImage], settings: SplitSettings) -> dict[str, int]:
    """Image name → number of its window in the recording; empty where recordings stay whole."""
    if not settings.frame_window:
        return {}
    found: dict[str, int] = {}
    for own in by_frames(images, lambda image: recording(image, settings)).values():
        numbers = frames(own)
        first = min(numbers.values())
        found |= {name: (n - first) // settings.frame_window for name, n in numbers.items()}
    return found
