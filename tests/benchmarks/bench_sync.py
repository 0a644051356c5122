"""Speed of dataset_sync against a real MinIO, as ratios within one run.

small     2,000 objects of 50 kB through a proxy that holds each request back for 20 ms: listing,
          transfer, verification and journal, against a loop of single gets (timed on a sample)
large     20 objects of 20 MB through a proxy with the same delay and the rate of a gigabit link
          (125 MB/s): the same, against presigned GETs streamed to disk one by one
loopback  the same without a proxy, for information: there the rate is bounded by the MD5 and
          SHA-256 of every byte, which the plain GETs do not compute
repeat    the whole stage, probing and publishing included, on the 2,000 objects: a second run
          that finds nothing new as a share of the first (the interpreter's start is in neither)

The small objects are real videos of a few kB, padded. Each time is the best of three, which is
nearest to what the machine does when nothing else runs. Prints one JSON line per figure.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import urllib3

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from servers import S3Server, running_minio  # noqa: E402

from components.core.settings import build  # noqa: E402
from components.core.storage import open_storage  # noqa: E402
from components.core.video.encode import write_clip  # noqa: E402
from components.dataset_sync.mirror import Mirror  # noqa: E402
from components.dataset_sync.stage import STAGE, SyncSettings  # noqa: E402

SMALL, SMALL_BYTES = 2000, 50_000
LARGE, LARGE_BYTES = 20, 20_000_000
SAMPLE = 150
DELAY = 0.02
LINK = 125.0
"""MB/s"""

CONNECTIONS = 32
REPEATS = 3


def main() -> None:
    """Runs everything; ends with 1 if a target is missed."""
    with tempfile.TemporaryDirectory() as folder, running_minio(Path(folder)) as server:
        work = Path(folder) / "work"
        fill(server.client(), work)
        with slow_proxy(server) as slow:
            results = [small(slow, work), repeat(slow, work)]
        with slow_proxy(server, LINK) as slow:
            results.append(large(slow, work))
        loopback(server, work)
    raise SystemExit(0 if all(results) else 1)


def small(server: S3Server, work: Path) -> bool:
    client = server.client()
    names = [o.object_name for o in client.list_objects("small", recursive=True)][:SAMPLE]
    loop = min(
        seconds(lambda: [single_get(client, name, work / "one") for name in names])
        for _ in range(REPEATS)
    )
    ours = min(transfer(server, "small", work) for _ in range(REPEATS))
    rate = SMALL / ours
    return report("sync_small_objects", rate / (SAMPLE / loop), 8.0, objects_per_s=round(rate))


def large(server: S3Server, work: Path) -> bool:
    ratio, rate = against_plain(server, work)
    return report("sync_large_objects", ratio, 0.8, mb_per_s=rate)


def loopback(server: S3Server, work: Path) -> None:
    ratio, rate = against_plain(server, work)
    figures = {"name": "sync_large_objects_loopback", "ratio": round(ratio, 3), "mb_per_s": rate}
    print(json.dumps(figures), flush=True)


def against_plain(server: S3Server, work: Path) -> tuple[float, int]:
    """Our rate on the large objects as a multiple of the plain one, and in MB/s."""
    client = server.client()
    urls = [
        client.presigned_get_object("large", entry.object_name)
        for entry in client.list_objects("large", recursive=True)
    ]
    plain, ours = [], []
    for _ in range(REPEATS):
        plain.append(seconds(lambda: [save(url, work / f"{n}.mp4") for n, url in enumerate(urls)]))
        for number in range(LARGE):
            (work / f"{number}.mp4").unlink()
        ours.append(transfer(server, "large", work))
    took = min(ours)
    return min(plain) / took, round(LARGE * LARGE_BYTES / 1e6 / took)


def repeat(server: S3Server, work: Path) -> bool:
    os.environ.update(server.environment)
    first, second = (seconds(lambda n=n: stage(work, n)) for n in range(2))
    more = {"first_s": round(first, 2), "second_s": round(second, 2)}
    return report("sync_nothing_new", second / first, 0.1, at_most=True, **more)


def report(name: str, ratio: float, target: float, at_most: bool = False, **more: float) -> bool:
    met = ratio < target if at_most else ratio >= target
    record = {"name": name, "ratio": round(ratio, 3), "target": target, "ok": met, **more}
    print(json.dumps(record), flush=True)
    return met


def fill(client: Any, work: Path) -> None:
    """Uploads the objects, all different, without the proxy."""
    work.mkdir()
    frames = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
    write_clip(work / "tiny.mp4", frames, fps=8.0)
    tiny = (work / "tiny.mp4").read_bytes()
    filler = random.Random(0)

    def put(bucket: str, number: int, size: int) -> None:
        # A `free` box is the part of an MP4 file that readers skip.
        padding = size - len(tiny) - 8
        box = (padding + 8).to_bytes(4, "big") + b"free" + filler.randbytes(padding)
        name = f"class{number % 10}/{number:05}.mp4"
        client.put_object(bucket, name, BytesIO(tiny + box), size, part_size=1 << 26)

    for bucket, count, size in (("small", SMALL, SMALL_BYTES), ("large", LARGE, LARGE_BYTES)):
        client.make_bucket(bucket)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n, b=bucket, s=size: put(b, n, s), range(count)))


def transfer(server: S3Server, bucket: str, work: Path) -> float:
    """What the stage does up to probing, into a fresh mirror; returns the seconds it took."""
    os.environ.update(server.environment)
    began = time.perf_counter()
    storage = open_storage(f"s3://{bucket}", CONNECTIONS)
    mirror = Mirror(work / "mirror", storage.identity)
    mirror.begin()
    fetched = sum(1 for _ in mirror.fetch(storage, storage.items(), CONNECTIONS))
    ended = time.perf_counter()
    assert fetched == len(mirror.clips) == {"small": SMALL, "large": LARGE}[bucket]
    shutil.rmtree(work / "mirror")
    return ended - began


def stage(work: Path, number: int) -> None:
    """The whole stage, as any runner calls it."""
    settings = build(SyncSettings, {"source": "s3://small", "connections": CONNECTIONS})
    with redirect_stderr(StringIO()):
        STAGE.execute(settings, {}, {"clips": work / f"clips{number}"}, work / "state")


def single_get(client: Any, name: str, path: Path) -> None:
    """One object by minio-py, one request."""
    response = client.get_object("small", name)
    path.write_bytes(response.read())
    response.release_conn()


def save(url: str, path: Path) -> None:
    """A plain GET to a file."""
    with open(path, "wb") as file:
        response = HTTP.request("GET", url, preload_content=False)
        for block in response.stream(1 << 18):
            file.write(block)
        response.release_conn()


HTTP = urllib3.PoolManager()


def seconds(work: Any) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def slow_proxy(server: S3Server, rate: float = 0.0) -> Iterator[S3Server]:
    """The same server behind a proxy in a process of its own."""
    host = server.endpoint.removeprefix("http://")
    command = [sys.executable, str(ROOT / "tests" / "proxy.py"), host]
    command += ["--delay", str(DELAY), "--rate", str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        yield S3Server(f"http://{address}", server.access_key, server.secret_key)
        process.kill()


if __name__ == "__main__":
    main()
