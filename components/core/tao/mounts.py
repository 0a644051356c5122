"""`.tao_mounts.json`: where TAO's launcher puts folders of the host in its container.

Our steps run inside the image, without the launcher. What is left of the file are its paths, which
specifications may hold, and its environment variables. The file is read, never written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.core.errors import InputError, SettingsError
from components.core.formats.reading import text_of

NAME = ".tao_mounts.json"
PINNED = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
"""Variables that choose GPUs of the host: a step has its own, counted from 0."""


@dataclass(frozen=True)
class Mounts:
    """Folders and variables of a `.tao_mounts.json`; empty where there is none."""

    file: Path | None = None
    places: Mapping[str, Path] = field(default_factory=dict)
    """Path in the container → folder of the host."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for TAO's programs, without those that choose GPUs."""
    notes: tuple[str, ...] = ()
    """What of the file has no effect."""

    @classmethod
    def load(cls, file: Path) -> Mounts:
        """Reads the file.

        Raises:
            SettingsError: with everything that is wrong in it.
        """
        try:
            content = json.loads(text_of(file))
        except InputError as error:
            raise SettingsError([error], str(file)) from None
        except json.JSONDecodeError as error:
            problem = f"{file}:{error.lineno}: not valid JSON: {error.msg}"
            raise SettingsError([problem], str(file)) from None
        if not isinstance(content, dict):
            raise SettingsError([f"{file}:1: expected an object with Mounts and Envs"], str(file))
        problems: list[str] = []
        pairs = _pairs(content, "Mounts", ("source", "destination"), file, problems)
        variables = _pairs(content, "Envs", ("variable", "value"), file, problems)
        places = {}
        for source, destination in pairs:
            if not destination.startswith("/"):
                problems.append(
                    f"{file}: Mounts: the destination {destination!r} has no / in front"
                )
            places[destination.rstrip("/")] = Path(source).expanduser()
        if problems:
            raise SettingsError(problems, str(file))
        notes = [
            f"{file}: {name}={value} chooses GPUs of the host and has no effect"
            for name, value in variables
            if name in PINNED
        ]
        kept = {name: value for name, value in variables if name not in PINNED}
        return cls(file, places, kept, tuple(notes))

    def here(self, text: str, known: Mapping[str, Path]) -> str:
        """A specification's text with the folders of this machine in place of the container's.

        Paths that exist as they are written stay.

        Args:
            text: of the specification, its placeholders put in.
            known: last name of a destination → its folder here, before what the file says.
        """
        for inside, source in sorted(self.places.items(), key=lambda pair: -len(pair[0])):
            folder = known.get(inside.rpartition("/")[2], source)
            if not Path(inside).exists() and folder.exists():
                pattern = rf"(?<![\w./~-]){re.escape(inside)}(?=[/\"'\s,\]}}]|$)"
                escaped = str(folder).replace("\\", r"\\")
                text = re.sub(pattern, escaped, text, flags=re.MULTILINE)
        return text


def _pairs(
    content: Mapping[str, Any], name: str, keys: tuple[str, str], file: Path, problems: list[str]
) -> list[tuple[str, str]]:
    entries = content.get(name, [])
    if not isinstance(entries, list):
        problems.append(f"{file}: {name}: expected a list, got {entries!r}")
        return []
    found = []
    for number, entry in enumerate(entries, 1):
        values = [entry.get(key) for key in keys] if isinstance(entry, dict) else []
        if values and all(isinstance(value, str | int) and value != "" for value in values):
            found.append((str(values[0]), str(values[1])))
        else:
            wanted = " and ".join(keys)
            problems.append(f"{file}: {name}, entry {number}: expected {wanted}, got {entry!r}")
    return found
