"""Folders and `s3://bucket/prefix` behind one small interface: list, get, put, publish, remove.

storage = open_storage("s3://recordings/2024")      # or a path
for item in storage.items():
    storage.get(item, target / item.name)
"""

from __future__ import annotations

from pathlib import Path

from components.core.storage.base import ChangedError, Item, Received, Storage

__all__ = ["ChangedError", "Item", "Received", "Storage", "is_s3", "open_storage", "read_file"]

S3 = "s3://"


def is_s3(uri: str) -> bool:
    """Whether `uri` names a place in an object store rather than a path."""
    return uri.lower().startswith(S3)


def open_storage(uri: str, connections: int = 16) -> Storage:
    """The storage at a path or at `s3://bucket/prefix`; nothing is contacted yet.

    An object store's endpoint and credentials come from `TRAINYARD_S3_ENDPOINT`
    (`http://host:port` or `https://host`), `TRAINYARD_S3_ACCESS_KEY`, `TRAINYARD_S3_SECRET_KEY`
    and, where the server needs it, `TRAINYARD_S3_REGION`.

    Args:
        uri: where; `~` is the home directory.
        connections: HTTP connections kept open at most; as many threads can work at once.

    Raises:
        InputError: not a path or `s3://bucket/prefix`.
        ServiceError: the environment names no usable endpoint or half of the credentials.
    """
    if is_s3(uri):
        from components.core.storage.s3 import S3Storage

        return S3Storage(uri, connections)
    from components.core.storage.folder import FolderStorage

    return FolderStorage(Path(uri))


def read_file(uri: str, limit: int = 1 << 26) -> bytes:
    """The content of one small file or object, by its full path or URL.

    Raises:
        InputError: it does not exist, or has more than `limit` bytes.
        ServiceError: the object store cannot be reached or refuses.
    """
    parent, _, name = uri.rpartition("/")
    storage = open_storage(parent or ("/" if "/" in uri else "."))
    storage.check()  # tells within seconds what a patient read would only tell after retries
    return storage.read(name, limit)
