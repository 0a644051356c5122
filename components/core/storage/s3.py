"""A storage that is a prefix of a bucket in an S3 object store, through minio-py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from minio.helpers import check_bucket_name

from components.core import files
from components.core.errors import InputError, ServiceError
from components.core.storage.base import Item, Received, is_hidden, safe_name
from components.core.storage.download import Download
from components.core.storage.endpoint import Endpoint


class S3Storage:
    """A bucket's prefix behind the Storage interface."""

    def __init__(self, uri: str, connections: int = 16) -> None:
        self.bucket, _, prefix = uri[len("s3://") :].partition("/")
        try:
            check_bucket_name(self.bucket)
        except ValueError as error:
            raise InputError(f"{uri!r}: {error}; expected s3://bucket/prefix") from None
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.uri = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self.connections = connections
        self._endpoint = Endpoint.from_environment()
        self.identity = f"{self._endpoint.url} {self.uri}"
        self._client = self._endpoint.client(connections)

    def check(self) -> None:
        """See `Storage.check`."""
        with self._explained():
            found = self._endpoint.quick_client().list_objects(self.bucket, self.prefix)
            if next(iter(found), None) is None:
                raise InputError(f"{self.uri} holds nothing in {self._endpoint.url}")

    def items(self, folder: str = "") -> Iterator[Item]:
        """See `Storage.items`."""
        prefix = self.prefix + (safe_name(folder.rstrip("/")) + "/" if folder else "")
        with self._explained():
            for entry in self._client.list_objects(self.bucket, prefix, recursive=True):
                name = entry.object_name.removeprefix(self.prefix)
                if name and not is_hidden(name):
                    modified = entry.last_modified.timestamp() if entry.last_modified else 0.0
                    yield Item(name, entry.size or 0, entry.etag or "", modified)

    def exists(self, name: str) -> bool:
        """See `Storage.exists`."""
        key = self._key(name)
        with self._explained(name):
            try:
                self._client.stat_object(self.bucket, key)
            except S3Error as error:
                if error.code != "NoSuchKey":
                    raise
                return False
            return True

    def read(self, name: str, limit: int = 1 << 26) -> bytes:
        """See `Storage.read`."""
        with self._explained(name):
            response = self._client.get_object(self.bucket, self._key(name))
            try:
                content: bytes = response.read(limit + 1)
            finally:
                response.close()
                response.release_conn()
        if len(content) > limit:
            raise InputError(f"{self.uri}/{name} has more than {limit} bytes, too many for it")
        return content

    def get(
        self, item: Item, destination: Path, stopped: Callable[[], bool] = lambda: False
    ) -> Received:
        """See `Storage.get`; the content is compared with the size and, if it is one, the MD5."""
        download = Download(self._client, self.bucket, self._key(item.name), item, stopped)
        with self._explained(item.name), files.atomic_path(destination) as temporary:
            return Received(item.size, download.to(temporary))

    def put(self, source: Path, name: str) -> None:
        """See `Storage.put`; the server verifies what it gets (signed SHA-256, or MD5 with TLS)."""
        with self._explained(name):
            self._client.fput_object(self.bucket, self._key(name), str(source))

    def publish(self, source: Path, name: str, last: str) -> None:
        """See `Storage.publish`."""
        if not (source / last).is_file():
            raise InputError(f"{source} holds no {last}")
        if self.exists(f"{name}/{last}"):
            raise InputError(f"{self.uri}/{name} already exists; nothing was overwritten")
        self.remove(name)
        paths = sorted(path for path in source.rglob("*") if path.is_file())
        others = [path for path in paths if path != source / last]
        with ThreadPoolExecutor(max(1, min(self.connections, len(others)))) as pool:
            keys = [f"{name}/{path.relative_to(source).as_posix()}" for path in others]
            list(pool.map(self.put, others, keys))
        self.put(source / last, f"{name}/{last}")

    def remove(self, name: str, first: str = "") -> None:
        """See `Storage.remove`."""
        key = self._key(name)
        with self._explained(name):
            if first:
                self._client.remove_object(self.bucket, f"{key}/{safe_name(first)}")
            self._client.remove_object(self.bucket, key)
            inside = self._client.list_objects(self.bucket, f"{key}/", recursive=True)
            doomed = (DeleteObject(entry.object_name) for entry in inside)
            for error in self._client.remove_objects(self.bucket, doomed):
                raise ServiceError(f"cannot remove {self.uri}/{name}: {error.message}")

    def _key(self, name: str) -> str:
        return self.prefix + safe_name(name)

    def _explained(self, name: str = "") -> AbstractContextManager[None]:
        return self._endpoint.explained(f"{self.uri}/{name}" if name else self.uri)
