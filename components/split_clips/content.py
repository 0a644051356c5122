"""Clips that have the same content under several ids: copies of one file."""

from __future__ import annotations

from collections.abc import Iterable

from components.core.artifacts.clips import Clip
from components.core.splitting.connected import connected
from components.core.wording import counted

SHOWN = 5
"""Clips that a message names, in pairs."""


def grouped(clips: Iterable[Clip]) -> dict[str, list[Clip]]:
    """Clips that stay together: those of one group and those of one content, in order of ids.

    A clip without either stands alone; groups that share a content are one.
    """
    return connected(sorted(clips, key=lambda clip: clip.id), _keys)


def once(clips: Iterable[Clip]) -> tuple[list[Clip], list[str]]:
    """The clips without the copies of a file within a class: the first stays, in order of ids.

    Returns:
        The clips that stay, and the ids of the others, each with that of the clip it is like.
    """
    first: dict[tuple[str, frozenset[str]], str] = {}
    kept, copies = [], []
    for clip in sorted(clips, key=lambda clip: clip.id):
        same = first.setdefault((clip.checksum or clip.id, frozenset(clip.labels)), clip.id)
        if same == clip.id:
            kept.append(clip)
        else:
            copies.append(f"{clip.id} = {same}")
    return kept, copies


def contradictions(clips: Iterable[Clip]) -> str:
    """A warning about copies with other labels than the first; '' where there are none."""
    seen: dict[str, Clip] = {}
    found = []
    for clip in sorted(clips, key=lambda clip: clip.id):
        other = seen.setdefault(clip.checksum, clip) if clip.checksum else clip
        if set(other.labels) != set(clip.labels):
            found.append(f"{other.id} ({_labels(other)}) and {clip.id} ({_labels(clip)})")
    if not found:
        return ""
    listed = "; ".join(found[:SHOWN]) + ("; …" if len(found) > SHOWN else "")
    have = "has" if len(found) == 1 else "have"
    return (
        f"{counted(len(found), 'clip')} {have} the content of another clip but other labels: "
        f"{listed}; correct the labels, or remove the copies"
    )


def _keys(clip: Clip) -> list[str]:
    """What a clip shares with those that it has to stay with."""
    named = f"group {clip.group}" if clip.group else f"clip {clip.id}"
    return [named, *([f"content {clip.checksum}"] if clip.checksum else [])]


def _labels(clip: Clip) -> str:
    return ", ".join(clip.labels) or "no label"
