"""The report of a split: clips per class, or folder, and part."""

from __future__ import annotations

from collections.abc import Mapping

from components.core.artifacts.clips import Clip
from components.core.artifacts.split import PARTS

Rows = dict[str, dict[str, int]]
"""Name → part → clips."""


def by_class(clips: list[Clip], assigned: Mapping[str, str], classes: list[str]) -> Rows:
    """The clips of each class in each part."""
    table = {name: dict.fromkeys(PARTS, 0) for name in classes}
    for clip in clips:
        if clip.id in assigned:
            for label in clip.labels:
                table[label][assigned[clip.id]] += 1
    return table


def by_folder(clips: list[Clip], assigned: Mapping[str, str]) -> dict[str, Rows]:
    """Class → folder → part → clips; also of folders of which none is taken."""
    table: dict[str, Rows] = {}
    for clip in clips:
        folder = clip.id.rpartition("/")[0]
        for label in clip.labels:
            row = table.setdefault(label, {}).setdefault(folder, dict.fromkeys(PARTS, 0))
            if clip.id in assigned:
                row[assigned[clip.id]] += 1
    return table


def rendered(
    table: Rows,
    sizes: Mapping[str, int],
    folders: Mapping[str, Rows],
    short: Mapping[str, int],
) -> str:
    """The tables as text.

    Args:
        table: by class.
        sizes: clips in each part; those with several labels count once.
        folders: by class and folder; empty where folders do not matter.
        short: class → clips that are lacking from what was asked for; empty where none is.
    """
    lines = [("class", [*PARTS, *(["short"] if short else [])])]
    for name, row in table.items():
        lacking = [f"{short.get(name) or ''}"] if short else []
        lines.append((name, [*(str(row[part]) for part in PARTS), *lacking]))
        for folder, own in sorted(folders.get(name, {}).items()):
            lines.append((f"  {folder}", [str(own[part]) for part in PARTS]))
    lines.append(("all", [str(sizes[part]) for part in PARTS]))
    width = max(len(title) for title, _ in lines)
    return "\n".join(
        f"  {title:<{width}}" + "".join(f"{cell:>8}" for cell in cells) for title, cells in lines
    )
