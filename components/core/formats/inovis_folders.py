"""The folders that the Inovis viewer exports: one per kind of picture, one file in each per frame.

<set>/groundtruth/<stem>.png               the photo; larger than the renderings or as large
<set>/input_<level>_<lod>/<stem>.png       rendered points, level 0 (full size) to 3 (an eighth)
<set>/depth_<level>_<lod>/<stem>.png       their depth
<set>/nearest<K>_groundtruth_0/<stem>.png  aux photo K, from 1 on
<set>/nearest<K>_depth_0_<lod>/<stem>.png  its depth
<set>/nearest<K>_motion_0_<lod>/<stem>.bin where the rendered points are in it
<set>/mask/<stem>.png                      optional: white where pixels count

A stem is a name without its last ending: that of `Image0001.png.bin` is `Image0001.png`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from components.core.errors import InputError
from components.core.rendering.layout import LEVELS
from components.core.wording import counted

TARGET, MASK = "groundtruth", "mask"

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bin"})
"""Endings of files that are read; others are ignored."""

_AUX = re.compile(r"nearest(\d+)_(?:groundtruth_0|depth_0_.+|motion_0_.+)")
_LEVEL = re.compile(r"(?:input|depth)_\d_(.+)")

SHOWN = 5


@dataclass(frozen=True)
class FrameFiles:
    """The files of one frame."""

    id: str
    """`<set>/<stem>`."""
    files: dict[str, str]
    """Sub-folder → name below the source."""


@dataclass(frozen=True)
class FoundSet:
    """A folder that holds the frames of one scene."""

    name: str
    aux: int
    """Aux views that have their three sub-folders."""
    frames: list[FrameFiles]
    """The complete ones, by name."""
    incomplete: dict[str, str]
    """Frame id → what it lacks."""
    masked: bool = False
    """Whether there is a folder of masks with files in it, readable or not."""
    lost_masks: tuple[str, ...] = ()
    """Stems of the masks that belong to no frame, complete or not."""


def input_folder(level: int, lod: str) -> str:
    """Sub-folder of the renderings of a level."""
    return f"input_{level}_{lod}"


def depth_folder(level: int, lod: str) -> str:
    """Sub-folder of their depths."""
    return f"depth_{level}_{lod}"


def aux_folders(number: int, lod: str) -> tuple[str, str, str]:
    """Sub-folders of the photo, the depth and the coordinates of an aux view, from 1 on."""
    name = f"nearest{number}"
    return f"{name}_groundtruth_0", f"{name}_depth_0_{lod}", f"{name}_motion_0_{lod}"


def needed_folders(aux: int, lod: str) -> list[str]:
    """All sub-folders that a set must have."""
    views = [name for number in range(1, aux + 1) for name in aux_folders(number, lod)]
    inputs = [input_folder(level, lod) for level in range(LEVELS)]
    depths = [depth_folder(level, lod) for level in range(LEVELS)]
    return [TARGET, *inputs, *depths, *views]


def found_sets(names: Iterable[str], lod: str, own_name: str, aux: int = 0) -> list[FoundSet]:
    """The sets among files, by name.

    Args:
        names: of files below the source, parts separated by `/`.
        lod: level of detail, as in the names of sub-folders.
        own_name: of the set, where the source is one itself.
        aux: views to take; 0 for all.

    Raises:
        InputError: there is no set, or sets lack sub-folders; all are told.
    """
    sets: dict[str, dict[str, dict[str, list[str]]]] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        if len(path.parts) < 2:
            continue
        place = path.parent.parent.as_posix()
        if path.suffix.lower() not in PICTURES:
            if path.parent.name == MASK and not path.name.startswith("."):
                sets.setdefault(place, {}).setdefault(MASK, {})
            continue
        stems = sets.setdefault(place, {}).setdefault(path.parent.name, {})
        stems.setdefault(path.stem, []).append(name)
    sets = {place: folders for place, folders in sets.items() if _is_set(folders)}
    if not sets:
        raise InputError(
            "there is no exported set: no folder with the sub-folders groundtruth, "
            f"input_0_{lod}, …; name a set or the folder that holds sets"
        )
    found, problems = [], []
    for place, folders in sets.items():
        title = own_name if place == "." else place
        views = aux or _aux_count(folders)
        if missing := [name for name in needed_folders(max(views, 1), lod) if name not in folders]:
            problems.append(f"{title}: {_missing(missing, folders, lod)}")
            continue
        found.append(_matched(title, folders, views, lod))
    if problems:
        raise InputError("\n".join(["sets cannot be used as they are:", *_listed(problems)]))
    return found


def _matched(title: str, folders: dict[str, dict[str, list[str]]], aux: int, lod: str) -> FoundSet:
    needed = needed_folders(aux, lod)
    frames, incomplete = [], {}
    stems = sorted({stem for name in needed for stem in folders[name]})
    for stem in stems:
        lacks = [name for name in needed if stem not in folders[name]]
        wanted = [*needed, MASK] if stem in folders.get(MASK, {}) else needed
        twice = [name for name in wanted if len(folders[name].get(stem, [])) > 1]
        if lacks:
            incomplete[f"{title}/{stem}"] = f"no file in {_shown(lacks)}"
        elif twice:
            incomplete[f"{title}/{stem}"] = f"several files of this name in {_shown(twice)}"
        else:
            files = {name: folders[name][stem][0] for name in wanted}
            frames.append(FrameFiles(f"{title}/{stem}", files))
    lost = tuple(stem for stem in sorted(folders.get(MASK, {})) if stem not in stems)
    return FoundSet(title, aux, frames, incomplete, MASK in folders, lost)


def _is_set(folders: Iterable[str]) -> bool:
    return any(name == TARGET or name.startswith("input_0_") for name in folders)


def _aux_count(folders: Iterable[str]) -> int:
    return max((int(match[1]) for match in map(_AUX.fullmatch, folders) if match), default=0)


def _missing(missing: list[str], folders: Iterable[str], lod: str) -> str:
    lods = {match[1] for match in map(_LEVEL.fullmatch, folders) if match} - {lod}
    hint = f"; it has lod {' and '.join(sorted(lods))}" if lods else ""
    return (
        f"{counted(len(missing), 'sub-folder')} missing or empty: {_shown(missing)}{hint}; export "
        "the set again, or take fewer aux views"
    )


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _listed(lines: Iterable[str]) -> list[str]:
    return [f"  - {line}" for line in lines]
