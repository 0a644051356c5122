"""What is converted already, kept for the next run.

<work>/store/frames/<key>.bin, .json  a frame and its record; the key covers its files and options
<work>/store/photos/<name>.bin        named by their content
<work>/store/depths/<name>.bin
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.core import files
from components.core.artifacts.renderings import AuxView
from components.rendering_sync.conversion import Converted, Picture, stored_photo

KINDS = ("frames", "photos", "depths")


class Store:
    """The store of one run's settings; it also takes what runs with other settings have."""

    def __init__(self, work: Path) -> None:
        """Clears what a killed process left."""
        self.folder = work / "store"
        for kind in KINDS:
            (self.folder / kind).mkdir(parents=True, exist_ok=True)
            files.remove_partials(self.folder / kind)
        siblings = sorted(path / "work" / "store" for path in work.parent.parent.iterdir())
        self._others = [path for path in siblings if path != self.folder and path.is_dir()]
        self._photos: dict[str, Picture] = {}
        self._lock = threading.Lock()

    def record(self, key: str) -> dict[str, Any] | None:
        """The record of a frame that is here with its photos; linked from others where needed."""
        for folder in (self.folder, *self._others):
            path = folder / "frames" / f"{key}.json"
            try:
                record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
                for name in (f"frames/{key}.bin", *named(record)):
                    self._take(folder / name, self.folder / name)
            except (OSError, ValueError):  # not there, or just being tidied
                continue
            if folder != self.folder:
                files.write_json(self.folder / "frames" / f"{key}.json", record)
            return record
        return None

    def add(self, key: str, frame: Converted) -> dict[str, Any]:
        """Keeps a frame whose photos and depths are here; gives its record."""
        _write(self.folder / "frames" / f"{key}.bin", frame.content)
        record = {
            "height": frame.layout.height,
            "width": frame.layout.width,
            "photo": frame.target.name,
            "photo_height": frame.target.height,
            "photo_width": frame.target.width,
            "aux": [view.model_dump() for view in frame.aux],
            "mask": frame.layout.mask,
            "checksum": hashlib.sha256(frame.content).hexdigest(),
        }
        files.write_json(self.folder / "frames" / f"{key}.json", record)
        return record

    def photo(self, data: bytes, name: str) -> Picture:
        """The photo in a file; the same file is decoded once."""
        key = hashlib.sha256(data).hexdigest()
        with self._lock:
            known = self._photos.get(key)
        if known is None:
            made = stored_photo(data, name)
            self._keep("photos", made)
            known = Picture(made.name, made.height, made.width, b"")
            with self._lock:
                self._photos[key] = known
        return known

    def depth(self, picture: Picture) -> None:
        """Keeps the depth of a photo."""
        self._keep("depths", picture)

    def tidy(self, keys: Iterable[str], records: Iterable[dict[str, Any]]) -> None:
        """Removes what no frame needs any more."""
        wanted = {f"frames/{key}{ending}" for key in keys for ending in (".bin", ".json")}
        wanted.update(name for record in records for name in named(record))
        for kind in KINDS:
            for path in (self.folder / kind).iterdir():
                if f"{kind}/{path.name}" not in wanted:
                    path.unlink()

    def _keep(self, kind: str, picture: Picture) -> None:
        path = self.folder / kind / f"{picture.name}.bin"
        if not path.exists():
            _write(path, picture.content)

    def _take(self, source: Path, target: Path) -> None:
        if source != target and not target.exists():
            with files.atomic_path(target) as temporary:
                files.link_or_copy(source, temporary)
        if not target.exists():
            raise FileNotFoundError(target)


def named(record: dict[str, Any]) -> list[str]:
    """The files of photos and depths that a frame's record names."""
    views = [AuxView(**view) for view in record["aux"]]
    names = [f"photos/{record['photo']}.bin"]
    for view in views:
        names += [f"photos/{view.photo}.bin", f"depths/{view.depth}.bin"]
    return names


def _write(path: Path, content: bytes) -> None:
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(content)
        temporary.chmod(0o444)
