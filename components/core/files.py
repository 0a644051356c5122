"""Atomic writes and publishing: a name either holds something whole or does not exist."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.core.errors import InputError, OutOfSpaceError

PARTIAL = ".partial-"
"""Marks temporary siblings; anything with it in its name may be deleted when no process runs."""

_FICLONE = 0x40049409
"""Linux: ioctl of a new file that makes it share the blocks of another."""


def partial_sibling(path: Path) -> Path:
    """A temporary name beside `path`, on the same file system, unique to this call."""
    return path.with_name(f".{path.name}{PARTIAL}{uuid.uuid4().hex[:8]}")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary sibling to write (file or directory); renames it to `path` on success.

    An existing file is replaced; an existing non-empty directory is an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = partial_sibling(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a whole text file atomically and durably."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON document atomically, strictly (no NaN), with a final newline."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def remove(path: Path) -> None:
    """Removes a file or directory tree of ours, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Clears what killed processes left half-written in a folder that we have locked."""
    if folder.is_dir():
        for entry in folder.iterdir():
            if PARTIAL in entry.name:
                remove(entry)


def link_or_copy(source: Path, destination: Path) -> None:
    """Makes `destination` the same file as `source`: a hard link, or a copy across volumes."""
    try:
        os.link(source, destination)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EEXIST):
            raise
        shutil.copy2(source, destination)


def clone_or_copy(source: Path, destination: Path) -> None:
    """Makes `destination` a file of its own with the content of `source`, for files of others.

    A change of one does not reach the other. Where the file system can (Btrfs, XFS), both share
    their blocks until then.

    Raises:
        FileExistsError: something is at `destination`; it stays.
    """
    with open(source, "rb") as reader, open(destination, "xb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            cloned = False
        else:
            cloned = True
    if cloned:
        shutil.copystat(source, destination)
    else:
        shutil.copy2(source, destination)


def publish(source: Path, destination: Path) -> None:
    """Makes a complete file or directory appear at `destination`, whole or not at all.

    Files are hard-linked where the volume allows it, so publishing large data is free.

    Raises:
        InputError: `destination` already holds something else; it is left as it is.
    """
    if destination.is_dir() and not any(destination.iterdir()):
        destination.rmdir()
    if destination.exists():
        if same_tree(source, destination):
            return
        raise InputError(occupied(destination))
    with atomic_path(destination) as temporary:
        if source.is_dir():
            _link_tree(source, temporary)
        else:
            link_or_copy(source, temporary)


def holds_something(path: Path) -> bool:
    """Whether a file, or a folder that is not empty, is at `path`."""
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def occupied(path: Path) -> str:
    """Says that a result cannot go where something else is."""
    return (
        f"{path} already exists and holds something else; "
        "nothing was overwritten: choose another output path or move it away"
    )


def same_tree(first: Path, second: Path) -> bool:
    """Whether two files or trees hold the same names and bytes."""
    if first.is_dir() != second.is_dir():
        return False
    if not first.is_dir():
        return _same_file(first, second)
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*"))
    if names != sorted(str(path.relative_to(second)) for path in second.rglob("*")):
        return False
    return all(
        (first / name).is_dir() == (second / name).is_dir()
        and ((first / name).is_dir() or _same_file(first / name, second / name))
        for name in names
    )


def place_problem(path: Path) -> str:
    """Why nothing can be created at `path`, or '' when it can; creates nothing."""
    folder = path.absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is a file; a folder is needed"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"this user may not write into {folder}"
    return ""


@contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Turns `no space left` from anywhere inside into an OutOfSpaceError that names the volume."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = error.filename or folder
        raise OutOfSpaceError(
            f"no space left while writing {where}; nothing complete was lost: free some space or "
            "choose another volume, then run the same command again to resume"
        ) from error


def _link_tree(source: Path, destination: Path) -> None:
    # not shutil.copytree, which hides what went wrong in a list of texts
    destination.mkdir()
    for entry in source.iterdir():
        if entry.is_dir():
            _link_tree(entry, destination / entry.name)
        else:
            link_or_copy(entry, destination / entry.name)


def _same_file(first: Path, second: Path) -> bool:
    a, b = first.stat(), second.stat()
    if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino):
        return True
    if a.st_size != b.st_size:
        return False
    with open(first, "rb") as one, open(second, "rb") as two:
        while block := one.read(1 << 20):
            if block != two.read(1 << 20):
                return False
    return True
