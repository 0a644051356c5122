"""Which files of a source are clips, and of which class; finds everything wrong with the names."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from components.core.errors import InputError
from components.core.storage import Item
from components.dataset_sync.selection import Selection

SHOWN = 10
"""Names that a message lists before it only counts."""


@dataclass(frozen=True)
class Catalogue:
    """What a source holds."""

    clips: list[Item]
    """Videos in class folders that are taken, in the order of their names."""
    left_out: list[Item] = field(default_factory=list)
    """Videos of classes that are not taken."""
    ignored: Counter[str] = field(default_factory=Counter)
    """Extension (with its dot, or the bare name) → files that are no videos."""
    rootless: list[str] = field(default_factory=list)
    """Videos above the class folders, which have no class."""


def read_catalogue(
    items: Iterable[Item],
    source: str,
    extensions: Collection[str],
    selection: Selection,
    kept: Collection[str] = (),
) -> Catalogue:
    """Sorts a listing into clips and the rest.

    Args:
        items: the listing.
        source: where it is from, for messages.
        extensions: of videos, lower case, without the dot.
        selection: which clips are taken.
        kept: names of clips that stay in the data set though the source lacks them now.

    Raises:
        InputError: with every empty class folder, unusable name, pair of classes that only differ
            by case, and class without clips; or there is no clip at all.
    """
    catalogue = Catalogue([])
    folders: dict[str, Counter[str]] = defaultdict(Counter)
    sources: set[str] = set()
    for item in items:
        parts = item.name.rstrip("/").split("/")
        if selection.ignores(item.name):
            continue
        if item.is_folder or len(parts) > 1:
            sources.add(parts[0])
        has_class = len(parts) + item.is_folder > selection.depth + 1
        folder = selection.folder("/".join(parts))
        if item.is_folder:
            if has_class:
                folders[folder].update()
        elif (extension := PurePosixPath(item.name).suffix.lower())[1:] not in extensions:
            catalogue.ignored[extension or parts[-1]] += 1
            if has_class:
                folders[folder][extension or parts[-1]] += 1
        elif not has_class:
            catalogue.rootless.append(item.name)
        elif selection.label(item.name) is None:
            catalogue.left_out.append(item)
        else:
            catalogue.clips.append(item)
    catalogue.clips.sort(key=lambda item: item.name)
    names = {item.name for item in catalogue.clips} | set(kept)
    others = {item.name for item in catalogue.left_out}
    empty = set(folders) - {selection.folder(name) for name in names | others}
    problems = [
        *_empty_sources(sources - {name.partition("/")[0] for name in {*names, *others, *folders}}),
        *_empty_folders(folders, {name for name in empty if selection.label(name) is not None}),
        *_unusable_names(names),
        *_class_problems(names, selection),
    ]
    if names or others:
        problems += selection.unmet(names, others)
    elif not problems:
        problems = [_nothing(catalogue, extensions, selection)]
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise InputError(f"{source} cannot be used as it is:\n{lines}")
    return catalogue


def shown(names: Iterable[str]) -> str:
    """A list of names for a message, cut short when it is long."""
    ordered = sorted(names)
    rest = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return ", ".join(ordered[:SHOWN]) + rest


def kinds(files: Counter[str]) -> str:
    """The most frequent kinds of file with their numbers, for a message."""
    ordered = sorted(files.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count} {kind}" for kind, count in ordered[:5])


def _empty_sources(empty: set[str]) -> list[str]:
    return [
        f"source {name!r} holds no class folder: put clips there as {name}/<class>/<clip>, remove "
        "it, or name it in ignore_folders"
        for name in sorted(empty)
    ]


def _empty_folders(folders: dict[str, Counter[str]], empty: set[str]) -> list[str]:
    problems = []
    for folder in sorted(empty):
        problem, fix = "is empty", "put clips there, remove it, or name it in ignore_folders"
        if others := folders[folder]:
            problem = f"holds only {kinds(others)}"
            fix += "; or name its kind of file in extensions"
        problems.append(f"class folder {folder!r} {problem}: {fix}")
    return problems


def _unusable_names(names: set[str]) -> list[str]:
    problems = []
    for name in sorted(names):
        if "" in name.split("/"):
            problems.append(f"{name!r} has an empty folder name: rename it")
        elif any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            problems.append(f"{name!r} has characters that are no text: rename it")
    parents = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    for name in sorted(names & parents):
        problems.append(f"{name!r} is the name of a clip and of a folder: rename one")
    return problems


def _class_problems(names: set[str], selection: Selection) -> list[str]:
    labels = {name: selection.label(name) or "" for name in names}
    spellings: dict[str, set[str]] = defaultdict(set)
    for label in labels.values():
        spellings[label.casefold()].add(label)
    problems = [
        f"classes {' and '.join(map(repr, sorted(variants)))} only differ by case: rename one"
        for _, variants in sorted(spellings.items())
        if len(variants) > 1
    ]
    if "" in spellings:
        nameless = {selection.folder(name) for name, label in labels.items() if not label}
        problems.append(
            f"class_rule first_underscore leaves no class name of {shown(map(repr, nameless))}: "
            "rename them or use class_rule folder"
        )
    return problems


def _nothing(catalogue: Catalogue, extensions: Collection[str], selection: Selection) -> str:
    place = "<source>/<class>/<clip>" if selection.depth else "<class>/<clip>"
    wanted = f"expected {place} with the extensions {', '.join(extensions)}"
    if catalogue.rootless:
        return f"all {len(catalogue.rootless)} videos lie directly in it, in no class: {wanted}"
    found = f"; found {kinds(catalogue.ignored)}" if catalogue.ignored else ""
    return f"it holds no clips: {wanted}{found}"
