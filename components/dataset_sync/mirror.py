"""Our copy of a source: files named by their checksum, and a journal of which file is which.

objects/<xx>/<sha256>   complete files, read-only, never changed
staging/                transfers in progress, cleared at the start
journal.jsonl           one line per fact, appended as it becomes true

Content never changes under its name, so the journal is true whenever the process is killed, a
snapshot can be hard links, and mirrors of one source can share files.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from components import __version__
from components.core import files
from components.core.errors import StoppedError
from components.core.storage import ChangedError, Item, Received
from components.core.storage.base import stop_if


class Source(Protocol):
    """Where items come from: a storage, or something that makes files out of what it holds."""

    def get(self, item: Item, destination: Path, stopped: Callable[[], bool]) -> Received:
        """See `Storage.get`."""


@dataclass(frozen=True)
class Assembled(Received):
    """What a source wrote that made one file out of several."""

    filled: int = 0
    """Frames that repeat another, because theirs is missing or damaged."""
    damaged: int = 0
    """Of those, the damaged ones."""
    error: str = ""
    """Why no clip could be made; then the file is empty."""


@dataclass(frozen=True)
class Record:
    """A mirrored file."""

    size: int
    """`Item.size`: bytes in the source."""
    tag: str
    """`Item.tag` of the version that was transferred."""
    sha256: str
    stored: int = -1
    """Bytes of our file; -1 where they are those of the source."""
    filled: int = 0
    damaged: int = 0
    error: str = ""
    """See `Assembled`."""

    @property
    def bytes(self) -> int:
        """Size of our file."""
        return self.size if self.stored < 0 else self.stored

    @classmethod
    def of(cls, item: Item, received: Received) -> Record:
        """The record of an item that was just received."""
        if not isinstance(received, Assembled):
            return cls(item.size, item.tag, received.sha256)
        made = {name: value for name, value in vars(received).items() if name != "size"}
        return cls(item.size, item.tag, stored=received.size, **made)


class Mirror:
    """The mirror of one source in one folder; only one process may write it at a time."""

    def __init__(self, folder: Path, source: str = "") -> None:
        """Reads what is there.

        Args:
            folder: where the mirror is or will be.
            source: `Storage.identity` of what it mirrors; clips from elsewhere are dropped. ''
                takes the mirror as it is, for looking at it only.
        """
        self.clips: dict[str, Record] = {}
        """Name in the source → what of it is here."""
        self.about: dict[str, dict[str, Any]] = {}
        """Clip → what its layout will want to know when the source says it no more."""
        self.probes: dict[str, dict[str, Any]] = {}
        """SHA-256 → what was found in the file (fields of `core.video.probe.Probe`)."""
        self.source = ""
        self._code = __version__
        self._mended = True
        self._folder, self._journal = folder, folder / "journal.jsonl"
        self._read()
        if source and self.source != source:
            self.source = source
            self.clips.clear()
            self.about.clear()
            self._mended = False

    def file(self, sha256: str) -> Path:
        """Where the content with this checksum lies."""
        return self._folder / "objects" / sha256[:2] / sha256

    def missing(self, items: Iterable[Item]) -> list[Item]:
        """Those items of which this version is not here, complete."""
        return [item for item in items if not self._holds(item)]

    def begin(self) -> None:
        """Prepares for writing: clears what a killed process left, mends the journal."""
        files.remove(self._staging)
        self._staging.mkdir(parents=True)
        if not self._mended:
            self._rewrite()

    def adopt(self, wanted: Collection[Item], others: Iterable[Path]) -> int:
        """Hard-links items from mirrors of the same source in other folders; returns how many.

        Another setting has another mirror; this way it costs neither a transfer nor space.
        """
        missing = list(wanted)
        for folder in others if missing else ():
            other = Mirror(folder)
            if other.source == self.source:
                for item in missing:
                    if other._holds(item):
                        self._take(other, item)
                missing = self.missing(missing)
        return len(wanted) - len(missing)

    def fetch(
        self, source: Source, items: Iterable[Item], connections: int
    ) -> Iterator[Item | ChangedError]:
        """Transfers items in parallel; yields each one that is here, or why it could not be."""
        stop = threading.Event()

        def transfer(item: Item) -> Record:
            staged = self._staging / uuid.uuid4().hex
            stop_if(stop.is_set)
            try:
                received = source.get(item, staged, stop.is_set)
            except ChangedError:
                raise
            except BaseException:  # the others need not even try
                stop.set()
                raise
            staged.chmod(0o444)
            target = self.file(received.sha256)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged, target)
            return Record.of(item, received)

        pool = ThreadPoolExecutor(connections, thread_name_prefix="transfer")
        try:
            pending = {pool.submit(transfer, item): item for item in items}
            for future in as_completed(pending):
                try:
                    record = future.result()
                except ChangedError as error:
                    yield error
                    continue
                except StoppedError:  # because of another's error, which is still to come
                    continue
                item = pending[future]
                self._note({"clip": item.name, **vars(record)})
                yield item
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)

    def forget(self, names: Iterable[str]) -> None:
        """Takes files, or what is known about clips, out of the mirror."""
        for name in names:
            self._note({"gone": name})

    def describe(self, clip: str, facts: dict[str, Any]) -> None:
        """Keeps `facts` about a clip, unless they are known."""
        if self.about.get(clip) != facts:
            self._note({"about": clip, **facts})

    def remember(self, sha256: str, probe: dict[str, Any]) -> None:
        """Keeps what was found in a file, so that it is looked at once only."""
        self._note({"probe": sha256, **probe})

    def tidy(self) -> None:
        """Removes files that no clip refers to any more."""
        used = {record.sha256 for record in self.clips.values()}
        stale = [p for p in self._folder.glob("objects/??/*") if p.name not in used]
        for path in stale:
            path.unlink()
        if stale:
            self.probes = {name: probe for name, probe in self.probes.items() if name in used}
            self._rewrite()

    @property
    def _staging(self) -> Path:
        return self._folder / "staging"

    def _holds(self, item: Item) -> bool:
        record = self.clips.get(item.name)
        if not record or (record.size, record.tag) != (item.size, item.tag):
            return False
        path = self.file(record.sha256)
        return path.is_file() and path.stat().st_size == record.bytes

    def _take(self, other: Mirror, item: Item) -> None:
        record = other.clips[item.name]
        target = self.file(record.sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with files.atomic_path(self._staging / record.sha256) as staged:
                files.link_or_copy(other.file(record.sha256), staged)
            os.replace(self._staging / record.sha256, target)
        except FileNotFoundError:  # the other mirror is just being tidied
            return
        self._note({"clip": item.name, **vars(record)})
        if record.sha256 in other.probes:
            self.remember(record.sha256, other.probes[record.sha256])

    def _note(self, fact: dict[str, Any]) -> None:
        with open(self._journal, "a", encoding="utf-8") as journal:
            journal.write(json.dumps(fact) + "\n")
        self._learn(fact)

    def _learn(self, fact: dict[str, Any]) -> None:
        kind, key = next(iter(fact.items()))
        rest = {name: value for name, value in fact.items() if name != kind}
        if kind == "source":
            self.source, self._code = key, rest["code"]
        elif kind == "clip":
            self.clips[key] = Record(**rest)
        elif kind == "gone":
            self.clips.pop(key, None)
            self.about.pop(key, None)
        elif kind == "about":
            self.about[key] = rest
        elif self._code == __version__:
            self.probes[key] = rest

    def _read(self) -> None:
        if not self._journal.exists():
            return
        for line in self._journal.read_text(encoding="utf-8").splitlines():
            try:
                fact = json.loads(line)
            except json.JSONDecodeError:  # the line that a killed process was writing
                self._mended = False
                continue
            self._learn(fact)

    def _rewrite(self) -> None:
        self._code = __version__
        facts: list[dict[str, Any]] = [{"source": self.source, "code": self._code}]
        facts += [{"clip": name, **vars(record)} for name, record in self.clips.items()]
        facts += [{"about": name, **rest} for name, rest in self.about.items()]
        facts += [{"probe": sha256, **probe} for sha256, probe in self.probes.items()]
        files.write_text(self._journal, "".join(json.dumps(fact) + "\n" for fact in facts))
