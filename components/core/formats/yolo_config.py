"""What belongs to YOLO labels: class names, and which images are of which part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from components.core.errors import InputError
from components.core.formats.image_files import normal_name
from components.core.formats.reading import text_of
from components.core.formats.shapes import part_of

PARTS = ("train", "val", "valid", "test")
ACCEPTED = "data.yaml with `names`, classes.txt, obj.names, or the names as an argument"


@dataclass
class YoloConfig:
    """A data set in YOLO's layout."""

    folder: Path
    classes: list[str]
    file: Path
    """That says the classes."""
    keypoints: bool = False
    """The lines hold keypoints after the box."""
    folders: list[tuple[Path, str]] = field(default_factory=list)
    """Folders of images → part."""
    listed: dict[str, str] = field(default_factory=dict)
    """Names below the folder in lists of images → part."""
    elsewhere: dict[str, set[str]] = field(default_factory=dict)
    """File names in lists of images that lie somewhere else by now → parts."""
    others: set[Path] = field(default_factory=set)
    """Text files that are no labels."""
    problems: list[str] = field(default_factory=list)

    def part(self, image: Path) -> str:
        """The part that the configuration gives to an image, or ''."""
        if image.is_relative_to(self.folder):
            name = image.relative_to(self.folder).as_posix()
            if name in self.listed:
                return self.listed[name]
        if len(parts := self.elsewhere.get(image.name, set())) == 1:
            return next(iter(parts))
        place = image.resolve()
        return next((part for folder, part in self.folders if place.is_relative_to(folder)), "")


def read_config(source: Path, classes: Sequence[str] = ()) -> YoloConfig:
    """Finds class names and parts.

    Raises:
        InputError: no such folder, no class names, or a damaged YAML file.
    """
    folder = source if source.is_dir() else source.parent
    if not source.exists():
        raise InputError(f"{source} is not there; expected the folder of a YOLO data set")
    config = YoloConfig(folder, list(classes), source)
    for path in _yaml_files(source):
        _read_yaml(path, config)
    for path in sorted([*folder.rglob("classes.txt"), *folder.rglob("*.names")]):
        config.others.add(path)
        if not config.classes:
            names = [line.strip() for line in text_of(path).splitlines()]
            config.classes, config.file = [name for name in names if name], path
    if not config.classes:
        raise InputError(f"{source} does not name its classes; expected {ACCEPTED}")
    if len(set(config.classes)) < len(config.classes):
        config.problems.append("a class name is there twice: both numbers are taken as one class")
    for part in PARTS:
        if (path := folder / f"{part}.txt").is_file():
            _read_list(path, part_of(part), config)
    return config


def _yaml_files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    return sorted([*source.glob("*.yaml"), *source.glob("*.yml")])


def _read_yaml(path: Path, config: YoloConfig) -> None:
    try:
        content = yaml.safe_load(text_of(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML: {error}") from None
    if not isinstance(content, dict) or "names" not in content:
        config.problems.append(f"{path.name} has no `names`: passed over")
        return
    names = _names(content["names"], path)
    if not config.classes:
        config.classes, config.file = names, path
    if content.get("nc", len(names)) != len(names):
        config.problems.append(f"nc is {content['nc']}, but there are {len(names)} names")
    config.keypoints = config.keypoints or "kpt_shape" in content
    root = path.parent / str(content.get("path") or "")
    for key in PARTS:
        given = content.get(key) or []
        for place in given if isinstance(given, list) else [given]:
            _read_place(str(place), part_of(key), root, config)


def _names(given: Any, path: Path) -> list[str]:
    if isinstance(given, Mapping):
        if sorted(given) != list(range(len(given))):
            raise InputError(f"{path}: the keys of `names` are not 0, 1, 2 … without gaps")
        return [str(given[number]) for number in range(len(given))]
    if isinstance(given, list):
        return [str(name) for name in given]
    raise InputError(f"{path}: `names` is no list or mapping of class names")


def _read_place(place: str, part: str, root: Path, config: YoloConfig) -> None:
    """A folder of images or a list; such paths are often wrong by one level."""
    inside = "/".join(name for name in place.split("/") if name != "..")
    tried = [root / place, root / inside, config.folder / inside]
    for path in tried:
        if path.is_file():
            _read_list(path, part, config)
            return
        if path.is_dir():
            config.folders.append((path.resolve(), part))
            return
    config.problems.append(f"{part}: {place!r} is not there")


def _read_list(path: Path, part: str, config: YoloConfig) -> None:
    config.others.add(path)
    for line in text_of(path).splitlines():
        name = normal_name(line.strip()).removeprefix("data/")
        if (config.folder / name).is_file():
            config.listed.setdefault(name, part)
        elif name:
            config.elsewhere.setdefault(PurePosixPath(name).name, set()).add(part)
