"""Folders and `s3://bucket/prefix` behind one small interface: list, get, put, publish, remove.

storage = open_storage("s3://recordings/2024")      # or a path
for item in storage.items():
    storage.get(item, target / item.name)
"""

from __future__ import annotations

from pathlib import Path

from components.core.credentials import holds_credentials
from components.core.errors import InputError
from components.core.storage.base import ChangedError, Item, Received, Storage

__all__ = [
    "ChangedError",
    "Item",
    "Received",
    "Storage",
    "is_s3",
    "open_storage",
    "read_file",
    "refuse_credentials",
]

S3 = "s3://"


def is_s3(uri: str) -> bool:
    """Whether `uri` names a place in an object store rather than a path."""
    return uri.lower().startswith(S3)


def refuse_credentials(uri: str) -> None:
    """Keeps passwords out of parameters, which are shown and recorded.

    Raises:
        InputError: the address holds a user or a password; the message does not repeat them.
    """
    if holds_credentials(uri):
        raise InputError(
            "the address holds credentials, which others could read; leave them out, and put an "
            "object store's in TRAINYARD_S3_ACCESS_KEY and TRAINYARD_S3_SECRET_KEY"
        )


def open_storage(uri: str, connections: int = 16) -> Storage:
    """The storage at a path or at `s3://bucket/prefix`; nothing is contacted yet.

    An object store's endpoint and credentials come from `TRAINYARD_S3_ENDPOINT`
    (`http://host:port` or `https://host`), `TRAINYARD_S3_ACCESS_KEY`, `TRAINYARD_S3_SECRET_KEY`
    and, where the server needs it, `TRAINYARD_S3_REGION`.

    Args:
        uri: where; `~` is the home directory.
        connections: HTTP connections kept open at most; as many threads can work at once.

    Raises:
        InputError: not a path or `s3://bucket/prefix`, or one with credentials in it.
        ServiceError: the environment names no usable endpoint or half of the credentials.
    """
    refuse_credentials(uri)
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
    refuse_credentials(uri)
    parent, _, name = uri.rpartition("/")
    storage = open_storage(parent or ("/" if "/" in uri else "."))
    storage.check()  # tells within seconds what a patient read would only tell after retries
    return storage.read(name, limit)
