"""A prefix of a bucket in a real MinIO behind the storage interface."""

import hashlib
import io
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from minio.error import S3Error
from minio.sse import Sse, SseKMS, SseS3
from proxy import Proxy, running_proxy
from servers import S3Server, absent

from components.core.errors import InputError, ServiceError, StoppedError
from components.core.storage import ChangedError, Item, Storage, open_storage, read_file
from components.core.storage.download import RANGED_BYTES

MIB = 1 << 20


@pytest.fixture
def client(minio: S3Server) -> Any:
    return minio.client()


@pytest.fixture
def proxy(minio: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between the code under test and MinIO."""
    with running_proxy(minio.endpoint.removeprefix("http://")) as proxy:
        monkeypatch.setenv("TRAINYARD_S3_ENDPOINT", f"http://{proxy.address}")
        yield proxy


def put(client: Any, bucket: str, name: str, content: bytes, part_size: int = 0) -> None:
    client.put_object(bucket, name, io.BytesIO(content), len(content), part_size=part_size)


def the_item(storage: Storage) -> Item:
    (item,) = storage.items()
    return item


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_lists_only_below_the_prefix_whatever_the_names(client: Any, bucket: str) -> None:
    odd = ["a b.mp4", "a+b.mp4", "ä/ß.mp4", "100%.mp4", "x=y&z?.mp4", "emoji🎬.mp4"]
    hidden = ["set/.DS_Store", "set/.git/a.mp4"]
    for name in [*(f"set/{name}" for name in odd), "set2/other.mp4", "set/marker/", *hidden]:
        put(client, bucket, name, b"" if name.endswith("/") else b"x")
    items = list(open_storage(f"s3://{bucket}/set/").items())
    assert {item.name for item in items} == {*odd, "marker/"}
    assert [item.name for item in items if item.is_folder] == ["marker/"]
    assert {item.name for item in open_storage(f"s3://{bucket}").items("set2")} == {
        "set2/other.mp4"
    }
    assert abs(items[0].modified - time.time()) < 60


def test_lists_more_than_one_page(client: Any, bucket: str) -> None:
    for number in range(1001):
        put(client, bucket, f"many/{number}", b"")
    assert len({item.name for item in open_storage(f"s3://{bucket}/many").items()}) == 1001


@pytest.mark.parametrize(
    ("size", "part_size", "parts"),
    [(0, 0, 1), (1, 0, 1), (MIB, 0, 1), (11 * MIB + 3, 5 * MIB, 3), (RANGED_BYTES + 7, 0, 13)],
)
def test_gets_and_verifies_objects_of_every_size(
    client: Any, bucket: str, tmp_path: Path, size: int, part_size: int, parts: int
) -> None:
    content = noise(size)
    put(client, bucket, "p/object.bin", content, part_size)
    storage = open_storage(f"s3://{bucket}/p")
    item = the_item(storage)
    assert int(item.tag.partition("-")[2] or 1) == parts
    received = storage.get(item, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert (received.size, received.sha256) == (size, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("encryption", [SseS3(), SseKMS("tests", {})])
@pytest.mark.parametrize("size", [0, MIB, 11 * MIB])
def test_gets_encrypted_objects(
    client: Any, bucket: str, tmp_path: Path, encryption: Sse, size: int
) -> None:
    content = noise(size)
    stream = io.BytesIO(content)
    try:
        client.put_object(bucket, "object", stream, size, part_size=5 * MIB, sse=encryption)
    except S3Error as error:
        absent(f"this object store cannot encrypt with the key `tests`: {error.code}")
    storage = open_storage(f"s3://{bucket}")
    storage.get(the_item(storage), tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


@pytest.mark.parametrize("parts", [1, 3])
def test_a_byte_that_changes_on_the_way_is_noticed_and_fetched_again(
    client: Any, bucket: str, proxy: Proxy, tmp_path: Path, parts: int
) -> None:
    content = noise(12 * MIB)
    put(client, bucket, "object", content, 5 * MIB if parts > 1 else 64 * MIB)
    storage = open_storage(f"s3://{bucket}")
    item = the_item(storage)
    assert ("-3" in item.tag) == (parts == 3)
    proxy.flips = [3 * MIB]
    storage.get(item, tmp_path / "copy")
    assert proxy.flips == []
    assert (tmp_path / "copy").read_bytes() == content


def test_what_always_arrives_damaged_is_refused(
    client: Any, bucket: str, proxy: Proxy, tmp_path: Path
) -> None:
    put(client, bucket, "object", noise(MIB))
    storage = open_storage(f"s3://{bucket}")
    item = the_item(storage)
    proxy.flips = [100_000] * 100
    with pytest.raises(ServiceError, match="keeps arriving damaged"):
        storage.get(item, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [12 * MIB, RANGED_BYTES + 1])
def test_broken_connections_are_continued_not_started_over(
    client: Any, bucket: str, proxy: Proxy, tmp_path: Path, size: int
) -> None:
    content = noise(size)
    put(client, bucket, "object", content, 128 * MIB)
    storage = open_storage(f"s3://{bucket}")
    item = the_item(storage)
    proxy.cuts = [2 * MIB, 3 * MIB, 2 * MIB]
    proxy.transferred = 0
    storage.get(item, tmp_path / "copy")
    assert proxy.cuts == []
    assert (tmp_path / "copy").read_bytes() == content
    assert proxy.transferred < size + 2 * MIB


def test_a_busy_server_is_asked_again(client: Any, bucket: str, proxy: Proxy) -> None:
    put(client, bucket, "object", b"content")
    proxy.refusals = 3
    assert open_storage(f"s3://{bucket}").read("object") == b"content"
    assert proxy.refusals == 0


@pytest.mark.parametrize("size", [10, RANGED_BYTES])
@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_get_refuses_what_is_not_the_listed_version(
    client: Any, bucket: str, tmp_path: Path, change: str, size: int
) -> None:
    put(client, bucket, "object", noise(size))
    storage = open_storage(f"s3://{bucket}")
    item = the_item(storage)
    if change == "replaced":
        put(client, bucket, "object", bytes(size))
    else:
        client.remove_object(bucket, "object")
    (tmp_path / "copy").write_bytes(b"old")
    with pytest.raises(ChangedError):
        storage.get(item, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"old"


def test_a_stopped_get_leaves_nothing(client: Any, bucket: str, tmp_path: Path) -> None:
    put(client, bucket, "object", noise(MIB))
    storage = open_storage(f"s3://{bucket}")
    with pytest.raises(StoppedError):
        storage.get(the_item(storage), tmp_path / "copy", stopped=lambda: True)
    assert list(tmp_path.iterdir()) == []


def make_model(folder: Path, content: bytes) -> Path:
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(content)
    (folder / "labels.txt").write_bytes(b"a\nb\n")
    (folder / "config.pbtxt").write_bytes(b"name: 'net'")
    return folder


def test_publish_writes_the_last_file_last_and_never_overwrites(
    bucket: str, proxy: Proxy, tmp_path: Path
) -> None:
    storage = open_storage(f"s3://{bucket}/models")
    storage.publish(make_model(tmp_path / "new", noise(12 * MIB)), "net", last="config.pbtxt")
    assert storage.read("net/labels.txt") == b"a\nb\n"
    assert len(list(storage.items("net"))) == 3
    writes = [line for line in proxy.requests if line.startswith(("PUT", "POST"))]
    assert writes[-1] == f"PUT /{bucket}/models/net/config.pbtxt"
    with pytest.raises(InputError, match="already exists; nothing was overwritten"):
        storage.publish(make_model(tmp_path / "b", b"other"), "net", last="config.pbtxt")
    assert storage.read("net/1/model.onnx") == noise(12 * MIB)


def test_publish_replaces_the_leftover_of_an_interrupted_one(bucket: str, tmp_path: Path) -> None:
    storage = open_storage(f"s3://{bucket}")
    (tmp_path / "half").write_bytes(b"half")
    storage.put(tmp_path / "half", "net/1/old-name.onnx")
    storage.publish(make_model(tmp_path / "new", b"weights"), "net", last="config.pbtxt")
    assert {item.name for item in storage.items()} == {
        "net/1/model.onnx", "net/labels.txt", "net/config.pbtxt",
    }  # fmt: skip


def test_remove_takes_the_first_one_first(bucket: str, proxy: Proxy, tmp_path: Path) -> None:
    storage = open_storage(f"s3://{bucket}")
    for name in ("net/1/model", "net/config", "net2/config"):
        (tmp_path / "file").write_bytes(b"x")
        storage.put(tmp_path / "file", name)
    storage.remove("net", first="config")
    assert [item.name for item in storage.items()] == ["net2/config"]
    removals = [line for line in proxy.requests if line.startswith(("DELETE", "POST"))]
    assert removals[0] == f"DELETE /{bucket}/net/config"
    storage.remove("absent")
    assert storage.exists("net2/config")
    assert not storage.exists("net2")


def test_read_file_takes_a_url_and_has_a_limit(client: Any, bucket: str) -> None:
    put(client, bucket, "tables/groups.csv", b"clip,group\n")
    put(client, bucket, "top.csv", b"clip\n")
    assert read_file(f"s3://{bucket}/tables/groups.csv") == b"clip,group\n"
    assert read_file(f"s3://{bucket}/top.csv") == b"clip\n"
    with pytest.raises(InputError, match="more than 4 bytes"):
        read_file(f"s3://{bucket}/tables/groups.csv", limit=4)
    with pytest.raises(InputError, match=r"tables/none\.csv does not exist"):
        read_file(f"s3://{bucket}/tables/none.csv")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ACCESS_KEY", "nobody", "does not know the access key; correct TRAINYARD_S3_ACCESS_KEY"),
        ("SECRET_KEY", "wrong-secret", "the secret key is wrong; correct TRAINYARD_S3_SECRET_KEY"),
        ("", "", "wants credentials; set TRAINYARD_S3_ACCESS_KEY and TRAINYARD_S3_SECRET_KEY"),
    ],
)
def test_wrong_credentials_are_named_within_seconds(
    client: Any,
    bucket: str,
    minio: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    message: str,
) -> None:
    put(client, bucket, "object", b"x")
    for name in (variable,) if variable else ("ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.setenv(f"TRAINYARD_S3_{name}", value)
    began = time.monotonic()
    with pytest.raises(ServiceError, match=message) as raised:
        open_storage(f"s3://{bucket}").check()
    assert time.monotonic() - began < 5
    assert minio.secret_key not in str(raised.value)
    assert "wrong-secret" not in str(raised.value)


def test_missing_buckets_and_prefixes_are_named(client: Any, bucket: str) -> None:
    put(client, bucket, "set/object", b"x")
    open_storage(f"s3://{bucket}/set").check()
    with pytest.raises(InputError, match=rf"s3://{bucket}/se holds nothing"):
        open_storage(f"s3://{bucket}/se").check()
    with pytest.raises(ServiceError, match=rf"s3://{bucket}-absent/set: .* has no such bucket"):
        open_storage(f"s3://{bucket}-absent/set").check()
