"""Folders as they are, and folders of buckets as copies that are kept for the next run.

<work>/fetched/<server and prefix>/files/<name>   copies
<work>/fetched/<server and prefix>/journal.jsonl  name → size and tag of the version that is here
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path, PurePosixPath

from components.core import files
from components.core.errors import InputError
from components.core.formats import kitti_labels
from components.core.formats.image_files import EXTENSIONS, ImageFiles
from components.core.stage import Job
from components.core.state import digest
from components.core.storage import ChangedError, Item, Storage, is_s3, open_storage
from components.core.storage.base import safe_name, stop_if
from components.core.wording import counted

ANNOTATION_FILES = (".json", ".xml", ".yaml", ".yml", ".vott", ".txt")
"""How the name of one annotation file ends, where a URL could also be that of a folder."""

LABEL_FOLDERS = ("annotations", *kitti_labels.LABEL_FOLDERS)
"""Folders that only hold labels; the images are beside them."""


def is_image(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return PurePosixPath(name).suffix.lower() in EXTENSIONS


def split_inner(uri: str) -> tuple[str, str]:
    """The folder of a bucket that holds annotations and images, and what is named inside of it.

    Readers look for images above a folder that only holds labels, so that one belongs to it.
    """
    parent, _, name = uri.rstrip("/").rpartition("/")
    inner = ""
    if name.lower().endswith(ANNOTATION_FILES):
        uri, inner = parent, name
        parent, _, name = uri.rpartition("/")
    if name in LABEL_FOLDERS and not parent.endswith("/"):
        uri, inner = parent, f"{name}/{inner}".rstrip("/")
    return uri, inner


class Place:
    """The files at a path or URL; those of a bucket are copied when they are asked for."""

    def __init__(self, uri: str, job: Job, connections: int) -> None:
        """Lists a bucket; a path is taken as it is."""
        self.uri = uri
        self.remote = is_s3(uri)
        self._job, self._connections = job, connections
        self._items: dict[str, Item] = {}
        if not self.remote:
            self.folder = Path(uri).expanduser().absolute()
            return
        self._storage: Storage = open_storage(uri, connections)
        self.uri = self._storage.uri
        self._here = _Copies(job.work / "fetched" / digest(self._storage.identity, 16))
        self.folder = self._here.folder
        for item in self._storage.items():
            if not item.is_folder and _is_safe(item.name):
                self._items[item.name] = item
        self._here.forget({*self._here.known} - {*self._items})
        self._names = ImageFiles(self.folder, filter(is_image, self._items))

    @property
    def images(self) -> int:
        """How many images a bucket holds."""
        return len(self._names.names)

    def candidates(self, name: str) -> list[str]:
        """Images of a bucket that an annotation may mean by `name`."""
        return self._names.candidates(name)

    def bring(self, wanted: Callable[[str], bool]) -> int:
        """Copies the files whose names are wanted, unless this version is here; says how many.

        Raises:
            InputError: files changed while they were read.
            ServiceError: the object store fails in spite of retries.
        """
        items = [item for name, item in self._items.items() if wanted(name)]
        missing = [item for item in items if not self._here.holds(item)]
        linked = self._here.adopt(missing, self._siblings())
        missing = [item for item in missing if not self._here.holds(item)]
        if items:
            self._job.report.message(
                f"{counted(len(items), 'file')} of {self.uri}: {len(missing)} fetched, "
                f"{len(items) - len(missing)} here already"
                + (f" ({linked} of them from runs with other settings)" if linked else "")
            )
        unstable = []
        done, total = 0.0, sum(item.size for item in missing) / 1e6
        for item, error in _transfer(self._storage, missing, self._here, self._connections):
            if error is not None:
                unstable.append(item.name)
                continue
            done += item.size / 1e6
            self._job.report.progress(round(done, 3), round(total, 3), "MB")
        if unstable:
            raise InputError(
                f"{counted(len(unstable), 'file')} of {self.uri} changed or vanished while they "
                f"were read: {', '.join(sorted(unstable)[:10])}; run again when their writer is "
                "done, the rest is kept"
            )
        return len(items)

    def _siblings(self) -> Iterable[_Copies]:
        """Copies of the same place that runs with other settings have made."""
        own = self._here.root
        for folder in sorted(self._job.work.parent.parent.iterdir()):
            other = folder / "work" / "fetched" / own.name
            if other != own and other.is_dir():
                yield _Copies(other)


class _Copies:
    """What of one place is here; only one process writes it at a time."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / "files"
        self.known: dict[str, tuple[int, str]] = {}
        self._journal = root / "journal.jsonl"
        self._lock = threading.Lock()
        if self._journal.exists():
            for line in self._journal.read_text(encoding="utf-8").splitlines():
                try:
                    name, size, tag = json.loads(line)
                except ValueError:  # the line that a killed process was writing
                    continue
                self.known[name] = size, tag
        self.folder.mkdir(parents=True, exist_ok=True)

    def holds(self, item: Item) -> bool:
        """Whether this version is here, complete."""
        path = self.folder / item.name
        same = self.known.get(item.name) == (item.size, item.tag)
        return same and path.is_file() and path.stat().st_size == item.size

    def add(self, item: Item) -> None:
        """Notes that an item is here."""
        with self._lock:
            self.known[item.name] = item.size, item.tag
            with open(self._journal, "a", encoding="utf-8") as journal:
                journal.write(json.dumps([item.name, item.size, item.tag]) + "\n")

    def forget(self, names: Iterable[str]) -> None:
        """Removes copies of what is gone."""
        gone = set(names)
        for name in gone:
            files.remove(self.folder / name)
            del self.known[name]
        if gone:
            lines = (json.dumps([name, *version]) + "\n" for name, version in self.known.items())
            files.write_text(self._journal, "".join(lines))

    def adopt(self, items: Sequence[Item], others: Iterable[_Copies]) -> int:
        """Hard-links items that are in other copies of the same place; returns how many."""
        missing = list(items)
        for other in others if missing else ():
            for item in [item for item in missing if other.holds(item)]:
                target = self.folder / item.name
                with files.atomic_path(target) as temporary:
                    files.link_or_copy(other.folder / item.name, temporary)
                self.add(item)
            missing = [item for item in missing if not self.holds(item)]
        return len(items) - len(missing)


def _transfer(
    storage: Storage, items: Sequence[Item], here: _Copies, connections: int
) -> Iterator[tuple[Item, ChangedError | None]]:
    stop = threading.Event()

    def get(item: Item) -> None:
        stop_if(stop.is_set)
        target = here.folder / item.name
        target.parent.mkdir(parents=True, exist_ok=True)
        storage.get(item, target, stop.is_set)
        here.add(item)

    pool = ThreadPoolExecutor(connections, thread_name_prefix="transfer")
    try:
        pending = {pool.submit(get, item): item for item in items}
        for future in as_completed(pending):
            error = future.exception()
            if error is not None and not isinstance(error, ChangedError):
                raise error
            yield pending[future], error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _is_safe(name: str) -> bool:
    try:
        return bool(safe_name(name))
    except InputError:
        return False
