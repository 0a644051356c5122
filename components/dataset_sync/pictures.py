"""Folders of pictures as items of a source: each is transferred as one Motion-JPEG file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from components.core import files
from components.core.state import digest
from components.core.storage import Item, Received, Storage
from components.core.storage.base import sha256_of, stop_if
from components.dataset_sync.mirror import Assembled

_PICTURE = re.compile(r"frame_(\d+)\.jpe?g", re.IGNORECASE)

SUFFIX = ".avi"
"""Of the files that are made."""

_FORM = 1
"""Of the files that are made; another number makes all of them anew."""


def frame_number(file: str) -> int | None:
    """The number in a name like `frame_12.jpg`; None of any other file."""
    found = _PICTURE.fullmatch(file)
    return int(found[1]) if found else None


@dataclass
class PictureFolder:
    """The pictures of one clip."""

    name: str
    """The folder, relative to the storage."""
    frames: int
    """How many there should be; 0 where that is not known."""
    fps: float
    pictures: list[Item] = field(default_factory=list)

    def item(self) -> Item:
        """The folder as one item, whose tag changes when any of its pictures does."""
        parts = sorted((picture.name, picture.size, picture.tag) for picture in self.pictures)
        return Item(
            self.name,
            sum(picture.size for picture in self.pictures),
            digest([_FORM, self.frames, self.fps, parts]),
            max(picture.modified for picture in self.pictures),
        )

    def numbered(self) -> dict[int, Item]:
        """Picture by frame number.

        Raises:
            ClipError: two pictures of one frame.
        """
        from components.core.video.decode import ClipError  # loads PyAV

        numbers: dict[int, Item] = {}
        for picture in self.pictures:
            number = frame_number(picture.name.rpartition("/")[2])
            assert number is not None
            if (other := numbers.setdefault(number, picture)) is not picture:
                raise ClipError(
                    f"pictures: {other.name} and {picture.name} are both frame {number}"
                )
        return numbers


class PictureSource:
    """A storage, and folders of pictures in it that are got as one file each.

    Pictures are small and many: those of one clip, too, are transferred at the same time.
    """

    def __init__(
        self, storage: Storage, folders: Iterable[PictureFolder], connections: int
    ) -> None:
        self._storage = storage
        self._folders: Mapping[str, PictureFolder] = {folder.name: folder for folder in folders}
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="picture")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def get(self, item: Item, destination: Path, stopped: Callable[[], bool]) -> Received:
        """See `Storage.get`; pictures that are damaged or missing are told by the result."""
        folder = self._folders.get(item.name)
        if folder is None:
            return self._storage.get(item, destination, stopped)
        own = destination.with_name(f"{destination.name}_pictures")
        own.mkdir()
        try:
            return self._assembled(folder, own, destination, stopped)
        finally:
            files.remove(own)

    def _assembled(
        self, folder: PictureFolder, own: Path, destination: Path, stopped: Callable[[], bool]
    ) -> Assembled:
        from components.core.video.decode import ClipError  # loads PyAV
        from components.core.video.picture_clip import write_picture_clip

        error, filled, damaged = "", 0, 0
        with files.atomic_path(destination) as temporary:
            try:
                numbered = folder.numbered()
                paths = {number: own / str(number) for number in numbered}
                self._fetch(((numbered[n], path) for n, path in paths.items()), stopped)
                stop_if(stopped)
                made = write_picture_clip(temporary, paths, folder.fps, folder.frames)
                filled, damaged = len(made.missing) + len(made.damaged), len(made.damaged)
            except ClipError as problem:
                error = str(problem)
                temporary.write_bytes(b"")
            with open(temporary, "rb") as file:
                sha256 = sha256_of(file)
            size = temporary.stat().st_size
        return Assembled(size, sha256, filled=filled, damaged=damaged, error=error)

    def _fetch(self, pictures: Iterable[tuple[Item, Path]], stopped: Callable[[], bool]) -> None:
        futures: list[Future[Received]] = [
            self._pool.submit(self._storage.get, picture, path, stopped)
            for picture, path in pictures
        ]
        try:
            for future in futures:
                future.result()
        finally:  # none may go on writing when the folder is removed
            for future in futures:
                future.cancel()
            wait(futures)
