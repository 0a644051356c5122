"""A storage that is a folder of this machine or of a mounted volume."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from components.core import files
from components.core.errors import InputError
from components.core.storage.base import (
    CHUNK,
    ChangedError,
    Item,
    Received,
    is_hidden,
    safe_name,
    sha256_of,
    stop_if,
)

COPY_BYTES = 1 << 26
"""What the kernel copies at one call, between looks at whether to stop."""


class FolderStorage:
    """A folder behind the Storage interface; symbolic links below it are followed."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.uri = self.identity = str(self.root)

    def check(self) -> None:
        """See `Storage.check`."""
        if not self.root.exists():
            raise InputError(f"the folder {self.root} does not exist")
        if not self.root.is_dir():
            raise InputError(f"{self.root} is a file; a folder is needed")
        try:
            empty = next(self.root.iterdir(), None) is None
        except PermissionError:
            raise InputError(f"the folder {self.root} may not be read by this user") from None
        if empty:
            raise InputError(f"the folder {self.root} is empty")

    def items(self, folder: str = "") -> Iterator[Item]:
        """See `Storage.items`."""
        start = self.root / safe_name(folder) if folder else self.root
        if start.is_dir():
            yield from self._walk(start, frozenset())

    def _walk(self, folder: Path, above: frozenset[str]) -> Iterator[Item]:
        real = os.path.realpath(folder)
        if real in above:
            raise InputError(f"{folder} is a link to a folder that holds it; remove the link")
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except PermissionError:
            raise InputError(f"the folder {folder} may not be read by this user") from None
        for entry in entries:
            if is_hidden(entry.name):
                continue
            name = Path(entry.path).relative_to(self.root).as_posix()
            if entry.is_dir():
                yield Item(f"{name}/", 0, "", 0.0)
                yield from self._walk(Path(entry.path), above | {real})
            elif entry.is_file() or entry.is_symlink():
                yield self._item(name)

    def _item(self, name: str) -> Item:
        try:
            status = (self.root / name).stat()
        except FileNotFoundError:
            if (self.root / name).is_symlink():
                raise InputError(f"{self.root / name} is a link to nothing; remove it") from None
            raise ChangedError(str(self.root / name)) from None
        return Item(name, status.st_size, str(status.st_mtime_ns), status.st_mtime)

    def exists(self, name: str) -> bool:
        """See `Storage.exists`."""
        return (self.root / safe_name(name)).is_file()

    def read(self, name: str, limit: int = 1 << 26) -> bytes:
        """See `Storage.read`."""
        path = self.root / safe_name(name)
        if not path.is_file():
            raise InputError(f"the file {path} does not exist")
        with open(path, "rb") as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise InputError(f"{path} has more than {limit} bytes, too many for what it should be")
        return content

    def get(
        self, item: Item, destination: Path, stopped: Callable[[], bool] = lambda: False
    ) -> Received:
        """See `Storage.get`."""
        source = self.root / item.name
        if self._item(item.name) != item:
            raise ChangedError(str(source))
        with files.atomic_path(destination) as temporary:
            _copy(source, temporary, stopped)
            with open(temporary, "rb") as file:
                sha256 = sha256_of(file)
            if self._item(item.name) != item or temporary.stat().st_size != item.size:
                raise ChangedError(str(source))
        return Received(item.size, sha256)

    def put(self, source: Path, name: str) -> None:
        """See `Storage.put`."""
        with files.atomic_path(self.root / safe_name(name)) as temporary:
            _copy(source, temporary)

    def publish(self, source: Path, name: str, last: str) -> None:
        """See `Storage.publish`."""
        if not (source / last).is_file():
            raise InputError(f"{source} holds no {last}")
        destination = self.root / safe_name(name)
        taken = InputError(f"{destination} already exists; nothing was overwritten")
        if destination.exists():
            raise taken
        try:
            with files.atomic_path(destination) as temporary:
                shutil.copytree(source, temporary, copy_function=_copy)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # somebody else was faster
                raise taken from None
            raise

    def remove(self, name: str, first: str = "") -> None:
        """See `Storage.remove`."""
        path = self.root / safe_name(name)
        if path.is_dir() and not path.is_symlink():
            aside = files.partial_sibling(path)
            path.rename(aside)
            path = aside
        files.remove(path)


def _copy(
    source: str | Path, destination: str | Path, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Copies content only; shares the blocks where the file system can (Btrfs, XFS)."""
    with open(source, "rb") as reader, open(destination, "wb") as writer:
        size = os.fstat(reader.fileno()).st_size
        with suppress(OSError, AttributeError):  # other volumes or file systems, or not Linux
            while os.copy_file_range(reader.fileno(), writer.fileno(), COPY_BYTES):
                stop_if(stopped)
        if os.fstat(writer.fileno()).st_size == size:
            return
        reader.seek(0)
        writer.seek(0)
        while block := reader.read(CHUNK):
            writer.write(block)
            stop_if(stopped)
