"""Images in a folder: found by the names that annotations give them, and their sizes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from components.core.errors import InputError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm"})

MOST_PIXELS = 1_000_000_000
"""Of one image: what OpenCV reads too. Pillow's own limit, a fifth of it, excludes mosaics."""

Image.MAX_IMAGE_PIXELS = MOST_PIXELS

_ORIENTATION = 0x0112
"""The EXIF tag that says how a player turns the picture; from 5 on its sides change places."""


class ImageFiles:
    """The images below a folder."""

    def __init__(self, folder: Path, names: Iterable[str] | None = None) -> None:
        """Lists the folder, hidden files and folders left out; or takes `names` for its content."""
        self.folder = folder
        self.names = sorted(_walk(folder) if names is None else names)
        self._used: set[str] = set()
        self._known = set(self.names)
        self._folders = {folder_of(name) for name in self.names} - {""}
        self._by_file: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for name in self.names:
            path = PurePosixPath(name)
            self._by_file.setdefault(path.name, []).append(name)
            self._by_stem.setdefault(path.stem, []).append(name)

    def find(self, name: str) -> Path | None:
        """The file that an annotation calls `name`, or None.

        It is the file of this path below the folder; else the only one of this name in any folder,
        or of several the one whose folders agree best; else one that differs in its extension.
        Where there is a folder as `name` says, only files below it are taken.
        """
        best = self.candidates(name)
        if len(best) != 1:
            return None
        self._used.add(best[0])
        return self.folder / best[0]

    def candidates(self, name: str) -> list[str]:
        """The files, below the folder, that an annotation's `name` may mean: equally good ones."""
        wanted = normal_name(name)
        if wanted in self._known:
            return [wanted]
        path = PurePosixPath(wanted)
        stem = path.stem if path.suffix.lower() in EXTENSIONS else path.name
        found = self._by_file.get(path.name) or self._by_stem.get(stem, [])
        if (folder := folder_of(wanted)) in self._folders:
            found = [name for name in found if name.startswith(f"{folder}/")]
        return _best(wanted, found)

    def is_folder(self, name: str) -> bool:
        """Whether this folder, below the folder, holds images itself."""
        return name in self._folders

    def unused(self) -> list[str]:
        """Names, below the folder, of the images that were never found."""
        return [name for name in self.names if name not in self._used]


def normal_name(name: str) -> str:
    """A relative name with forward slashes: no drive, no leading slash, no `.` and `..`."""
    parts = name.replace("\\", "/").split("/")
    if parts and len(parts[0]) == 2 and parts[0].endswith(":"):
        parts = parts[1:]
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def folder_of(name: str) -> str:
    """The folders of a name; '' without any."""
    return name.rpartition("/")[0]


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels as displayed, that is after the rotation that EXIF asks for.

    Raises:
        InputError: no readable image, more than MOST_PIXELS, or pixels without a known range.
    """
    remedy = f"at most {MOST_PIXELS:,} are read: cut it into smaller images"
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:  # told before EXIF makes Pillow read all of a PNG
                raise Image.DecompressionBombError(f"{width} x {height} pixels")
            turned = image.getexif().get(_ORIENTATION, 1) >= 5
            unusable = without_range(image)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, TypeError) as error:
        raise InputError(f"{path} is no readable image: {error}") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is too large: {error}; {remedy}") from None
    if unusable:
        raise InputError(f"{path} is no readable image: {unusable}")
    return (height, width) if turned else (width, height)


def exif_orientation(path: Path) -> int:
    """How EXIF asks to show a readable image: 1 as stored, from 5 on with its sides changed."""
    with Image.open(path) as image:
        return int(image.getexif().get(_ORIENTATION, 1))


def without_range(image: Image.Image) -> str:
    """What is wrong with an opened image whose pixels have no known white; '' for others."""
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        kind = "floating-point numbers" if image.mode == "F" else "integers of 32 bits"
        return f"its pixels are {kind}, of which none is white: convert it to 8 or 16 bits"
    return ""


def _walk(folder: Path) -> Iterable[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and PurePosixPath(name).suffix.lower() in EXTENSIONS:
                yield (Path(place) / name).relative_to(folder).as_posix()


def _best(wanted: str, candidates: list[str]) -> list[str]:
    """The candidates whose folders agree best with those of the wanted name."""
    agreement = {name: _agreement(wanted, name) for name in candidates}
    best = max(agreement.values(), default=0)
    return [name for name in candidates if agreement[name] == best]


def _agreement(wanted: str, name: str) -> int:
    """How many folders of the wanted name are, from the last one on, among those of another."""
    folders = name.split("/")[:-1]
    count = 0
    for folder in reversed(wanted.split("/")[:-1]):
        if folder not in folders:
            break
        folders = folders[: len(folders) - 1 - folders[::-1].index(folder)]
        count += 1
    return count
