"""Fetching one object from a bucket: resumed where it broke, in ranges if large, verified."""

from __future__ import annotations

import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from minio import Minio
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError, MaxRetryError

from components.core.errors import ServiceError
from components.core.storage.base import CHUNK, ChangedError, Item, stop_if

RANGED_BYTES = 1 << 26
"""Objects from this size on are fetched as several ranges at once."""

RANGE_BYTES = 1 << 25
RANGES_AT_ONCE = 4

ATTEMPTS = 5
"""Broken streams in a row, or damaged copies, until a transfer is given up."""

_ENCRYPTION, _MD5_KEPT = "x-amz-server-side-encryption", "AES256"
"""Encrypted by any other method (keys of a KMS), an object has an etag that is no MD5."""

_ETAG = re.compile(r"[0-9a-f]{32}(?:-(\d+))?")


class Download:
    """The transfer of one listed object; refuses any other version than the listed one."""

    def __init__(
        self, client: Minio, bucket: str, key: str, item: Item, stopped: Callable[[], bool]
    ) -> None:
        self._client, self._bucket, self._key, self._item = client, bucket, key, item
        self._stopped = stopped
        self._encrypted = False  # in a way that makes the etag something else than an MD5

    def to(self, path: Path) -> str:
        """Writes the object to the file `path`; returns its SHA-256 (hex).

        Raises:
            ChangedError: the object was replaced or removed since it was listed.
            ServiceError: its content keeps arriving damaged.
        """
        part_bytes = self._part_bytes()
        try:
            for _ in range(ATTEMPTS):
                digest = _Digest(part_bytes)
                with open(path, "w+b", buffering=0) as file:
                    self._fetch(file.fileno(), digest)
                verifiable = part_bytes and not self._encrypted
                if not verifiable or digest.etag(self._item.tag) == self._item.tag:
                    return digest.sha256()
        except S3Error as error:
            if error.code in ("PreconditionFailed", "NoSuchKey", "InvalidRange"):
                raise ChangedError(f"s3://{self._bucket}/{self._key}") from None
            raise
        raise ServiceError(
            f"s3://{self._bucket}/{self._key} keeps arriving damaged: its MD5 is not what its "
            f"etag {self._item.tag} says"
        )

    def _part_bytes(self) -> int:
        """Size of the parts the object was put in (bytes); 0 if the etag cannot be verified."""
        match = _ETAG.fullmatch(self._item.tag)
        if not match or not self._item.size:
            return 0
        parts = int(match[1] or 1)
        if parts <= 1:
            return self._item.size
        try:
            first = self._client.stat_object(
                self._bucket, self._key, extra_query_params={"partNumber": "1"}
            )
        except MinioException:  # not every server knows part numbers
            return 0
        size = first.size or 0
        return size if (parts - 1) * size < self._item.size <= parts * size else 0

    def _fetch(self, file: int, digest: _Digest) -> None:
        size = self._item.size
        if size < RANGED_BYTES:
            for block, offset in self._blocks(0, size):
                _write(file, block, offset)
                digest.update(block)
            return

        def fetch_range(start: int) -> None:
            for block, offset in self._blocks(start, min(start + RANGE_BYTES, size)):
                _write(file, block, offset)

        with ThreadPoolExecutor(RANGES_AT_ONCE) as pool:
            list(pool.map(fetch_range, range(0, size, RANGE_BYTES)))
        offset = 0
        while block := os.pread(file, CHUNK, offset):
            digest.update(block)
            offset += len(block)

    def _blocks(self, start: int, end: int) -> Iterator[tuple[bytes, int]]:
        """Streams bytes `start` to `end` with their offsets; goes on where a connection broke."""
        fruitless = 0
        while start < end:
            fruitless += 1
            try:
                for block in self._stream(start, end):
                    yield block, start
                    start += len(block)
                    fruitless = 0
                    stop_if(self._stopped)
            except MaxRetryError:  # urllib3 has already been patient
                raise
            except HTTPError:
                if fruitless >= ATTEMPTS:
                    raise
                time.sleep(random.uniform(0.5, 1) * 0.4 * 2**fruitless)

    def _stream(self, start: int, end: int) -> Iterator[bytes]:
        response = self._client.get_object(
            self._bucket,
            self._key,
            offset=start,
            length=end - start,
            request_headers={"If-Match": f'"{self._item.tag}"'},
        )
        try:
            if int(response.headers.get("Content-Length", -1)) != end - start:
                raise ServiceError(f"s3://{self._bucket}/{self._key}: the server ignores ranges")
            self._encrypted = response.headers.get(_ENCRYPTION, _MD5_KEPT) != _MD5_KEPT
            yield from response.stream(CHUNK, decode_content=False)
        finally:
            response.close()
            response.release_conn()


class _Digest:
    """SHA-256 of a stream, and the etag that S3 gives it when it is put in parts of one size."""

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._sha256 = hashlib.sha256()
        self._part = hashlib.md5(usedforsecurity=False)
        self._room = part_bytes
        self._parts: list[bytes] = []

    def update(self, block: bytes) -> None:
        """Takes the next bytes of the stream."""
        self._sha256.update(block)
        rest = memoryview(block)
        while self._part_bytes and rest:
            self._part.update(rest[: self._room])
            used = min(self._room, len(rest))
            rest = rest[used:]
            self._room -= used
            if not self._room:
                self._end_part()

    def sha256(self) -> str:
        """Of all bytes so far (hex)."""
        return self._sha256.hexdigest()

    def etag(self, like: str) -> str:
        """Of all bytes, in the form (one part or several) that `like` has."""
        if self._room < self._part_bytes:
            self._end_part()
        if "-" not in like:
            return self._parts[0].hex()
        whole = hashlib.md5(b"".join(self._parts), usedforsecurity=False)
        return f"{whole.hexdigest()}-{len(self._parts)}"

    def _end_part(self) -> None:
        self._parts.append(self._part.digest())
        self._part = hashlib.md5(usedforsecurity=False)
        self._room = self._part_bytes


def _write(file: int, block: bytes, offset: int) -> None:
    rest = memoryview(block)
    while rest:
        written = os.pwrite(file, rest, offset)
        rest, offset = rest[written:], offset + written
