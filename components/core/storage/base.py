"""What every storage offers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from components.core.errors import InputError, StoppedError

CHUNK = 1 << 18
"""Bytes handled at a time while streaming."""


@dataclass(frozen=True)
class Item:
    """A file or object, or a folder that a listing names (then `name` ends in `/`)."""

    name: str
    """Relative to the storage, parts separated by `/`."""
    size: int
    """Bytes."""
    tag: str
    """Differs whenever the content differs: an S3 etag, or a file's modification time in ns."""
    modified: float
    """Seconds since 1970."""

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder, which has no content of its own."""
        return self.name.endswith("/")


@dataclass(frozen=True)
class Received:
    """What `Storage.get` wrote."""

    size: int
    """Bytes."""
    sha256: str
    """SHA-256 (hex) of the content."""


class ChangedError(InputError):
    """A file or object was replaced or removed after it was listed."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"{name} changed or vanished while it was read; run again when its writer is done"
        )


class Storage(Protocol):
    """A folder or a prefix in a bucket. Names are relative to it and use `/`.

    Every method may be called from several threads.
    """

    uri: str
    """Path or URL, for people; holds no credentials."""
    identity: str
    """Like `uri`, but different for equal names on different servers."""

    def check(self) -> None:
        """Makes sure within a few seconds that this place exists and can be listed.

        Raises:
            InputError: it does not exist, or holds nothing.
            ServiceError: the object store cannot be reached, refuses, or has no such bucket.
        """

    def items(self, folder: str = "") -> Iterator[Item]:
        """Everything below `folder`, in any depth; an absent folder is empty.

        A folder storage also yields each folder, an object store the markers that stand for one.
        Hidden files and folders (`.name`) are left out.
        """

    def exists(self, name: str) -> bool:
        """Whether a file or object of exactly this name is there."""

    def read(self, name: str, limit: int = 1 << 26) -> bytes:
        """The content of a small file.

        Raises:
            InputError: it does not exist or has more than `limit` bytes.
        """

    def get(
        self, item: Item, destination: Path, stopped: Callable[[], bool] = lambda: False
    ) -> Received:
        """Copies an item into the file `destination`, which appears whole and verified or not.

        Args:
            item: as `items` listed it.
            destination: the file to create or replace; its folder must exist.
            stopped: asked now and then; when it says yes the transfer ends in a StoppedError.

        Raises:
            ChangedError: the item is no longer what was listed.
            ServiceError: the object store fails in spite of retries.
        """

    def put(self, source: Path, name: str) -> None:
        """Stores a file under `name`, replacing what was there, at one stroke."""

    def publish(self, source: Path, name: str, last: str) -> None:
        """Stores a directory under `name`, whole or not recognisable as such.

        Two processes that publish the same name into an object store at once may mix their files.

        Args:
            source: the directory.
            name: where; nothing complete may be there yet.
            last: file in `source` (relative) whose presence says that the rest is there. In a
                folder the whole directory appears at one stroke; in an object store this object
                is written when all others are, and a directory without it is the leftover of an
                interrupted publication, which is replaced.

        Raises:
            InputError: `name` already holds something complete; it is left as it is.
        """

    def remove(self, name: str, first: str = "") -> None:
        """Removes a file, or a directory with all that it holds; absent is fine.

        Args:
            name: file or directory.
            first: what an object store removes first of a directory (the `last` of `publish`), so
                that nobody takes the rest for complete; a folder vanishes at one stroke anyway.
        """


def sha256_of(file: BufferedReader) -> str:
    """SHA-256 (hex) of an open file from its current position."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def stop_if(stopped: Callable[[], bool]) -> None:
    """Ends a transfer that nobody waits for any more.

    Raises:
        StoppedError: `stopped()` says so.
    """
    if stopped():
        raise StoppedError("the transfer was stopped")


def is_hidden(name: str) -> bool:
    """Whether a part of the name starts with a dot."""
    return name.startswith(".") or "/." in name


def safe_name(name: str) -> str:
    """`name` unchanged, if it stays below its storage.

    Raises:
        InputError: it is absolute, empty, or has empty, `.` or `..` parts.
    """
    if not name or any(part in ("", ".", "..") for part in name.rstrip("/").split("/")):
        raise InputError(f"{name!r} is not a name relative to a storage, such as `model/1/a.onnx`")
    return name
