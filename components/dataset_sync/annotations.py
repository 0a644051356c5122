"""TinyVIRAT's annotations: `classes.txt`, and the tubes of `tiny_train.json`, `tiny_test.json`.

Demir et al., "TinyVIRAT: Low-resolution Video Action Recognition", ICPR 2020.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from components.core.errors import InputError
from components.core.storage import Storage
from components.dataset_sync.catalogue import SHOWN
from components.dataset_sync.segments import unknown_labels

CLASSES = "classes.txt"
FILES = {"train": "tiny_train.json", "test": "tiny_test.json"}
"""Part → the file that names its tubes."""

VIDEOS = "videos"
FRAMES = "_frames"
"""What follows a tube's name in that of its folder of pictures."""


@dataclass(frozen=True)
class Tube:
    """One clip as the annotations name it."""

    part: str
    """`train` or `test`."""
    path: str
    """`<scene>/<name>.mp4`, below the folder of the part."""
    labels: list[str]
    """In the order of the classes."""
    frames: int = 0
    """Frames that it should have; 0 where nothing is said."""

    @property
    def id(self) -> str:
        """`<part>/<scene>/<name>`."""
        return f"{self.part}/{PurePosixPath(self.path).with_suffix('')}"

    @property
    def video(self) -> str:
        """Where its video may lie in the source."""
        return f"{VIDEOS}/{self.part}/{self.path}"

    @property
    def pictures(self) -> str:
        """Folder in which its frames may lie as pictures."""
        return f"{VIDEOS}/{self.id}{FRAMES}"


@dataclass
class Annotations:
    """What the three files say."""

    classes: list[str] = field(default_factory=list)
    tubes: dict[str, Tube] = field(default_factory=dict)
    """By id, sorted."""
    problems: list[str] = field(default_factory=list)


def read_annotations(storage: Storage) -> Annotations:
    """Reads all three files; what is wrong with them is kept in `problems`.

    Raises:
        ServiceError: the object store cannot be reached or refuses.
    """
    found = Annotations()
    found.classes = _classes(storage, found.problems)
    tubes = []
    for part, file in FILES.items():
        entries = _entries(storage, file, found.problems)
        wrong: dict[str, list[str]] = {}
        for number, entry in enumerate(entries):
            tube, problem = _tube(part, entry, found.classes)
            if tube:
                tubes.append(tube)
            else:
                wrong.setdefault(problem, []).append(f"tubes[{number}]")
        for problem, places in wrong.items():
            found.problems.append(f"{file}: {_listed(places)}: {problem}")
    for clip, count in Counter(tube.id for tube in tubes).items():
        if count > 1:
            found.problems.append(f"{FILES[clip.partition('/')[0]]}: {clip} is named {count} times")
    if found.classes:
        labels = Counter(label for tube in tubes for label in tube.labels)
        found.problems += unknown_labels(labels, found.classes)
    if not tubes and not found.problems:
        found.problems.append(f"{' and '.join(FILES.values())} name no tube")
    found.tubes = {tube.id: tube for tube in sorted(tubes, key=lambda tube: tube.id)}
    return found


def _classes(storage: Storage, problems: list[str]) -> list[str]:
    text = _text(storage, CLASSES, problems)
    if text is None:
        return []
    names = [line.strip() for line in text.splitlines() if line.strip()]
    problems += [
        f"{CLASSES}: {name!r} is there {count} times"
        for name, count in Counter(names).items()
        if count > 1
    ]
    if not names:
        problems.append(f"{CLASSES} is empty; expected one class name per line")
    return names


def _entries(storage: Storage, file: str, problems: list[str]) -> list[Any]:
    text = _text(storage, file, problems)
    if text is None:
        return []
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        problems.append(f"{file} is damaged: {error}")
        return []
    tubes = content.get("tubes") if isinstance(content, dict) else None
    if not isinstance(tubes, list):
        problems.append(f'{file}: expected an object like {{"tubes": [...]}}')
        return []
    return tubes


def _text(storage: Storage, file: str, problems: list[str]) -> str | None:
    try:
        return storage.read(file).decode("utf-8-sig")
    except InputError as error:
        problems.append(str(error))
    except UnicodeDecodeError:
        problems.append(f"{file} is not UTF-8 text")
    return None


def _tube(part: str, entry: Any, classes: list[str]) -> tuple[Tube | None, str]:
    """A tube, or what is wrong with it."""
    if not isinstance(entry, dict):
        return None, "expected an object with path, dim and label"
    path, labels, dim = entry.get("path"), entry.get("label"), entry.get("dim", [])
    if not isinstance(path, str) or not _is_inside(path):
        return None, f"path {path!r} is not like <scene>/<name>.mp4, below the folder of its part"
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        return None, f"label {labels!r} is no list of class names"
    if dim and not _is_size(dim):
        return None, f"dim {dim!r} is not [frames, height, width]"
    order = {name: number for number, name in enumerate(classes)}
    ordered = sorted(set(labels), key=lambda label: (order.get(label, len(order)), label))
    return Tube(part, path, ordered, dim[0] if dim else 0), ""


def _is_inside(path: str) -> bool:
    parts = path.split("/")
    is_text = not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in path)
    return (
        is_text
        and "\\" not in path
        and len(parts) == 2
        and not any(part in ("", ".", "..") for part in parts)
        and bool(PurePosixPath(path).suffix)
    )


def _is_size(dim: Any) -> bool:
    return isinstance(dim, list) and len(dim) == 3 and all(type(n) is int and n > 0 for n in dim)


def _listed(places: Iterable[str]) -> str:
    ordered = list(places)
    rest = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return ", ".join(ordered[:SHOWN]) + rest
